"""iLLaDA and DreamReasoner: what is known of them holds against transformers' Llama and Qwen3, the rest is refused."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM
from typer.testing import CliRunner

from dllm import LLM, ConfigError, ModelError, PromptError, SamplingParams, load_model
from dllm.cli.app import app
from dllm.models.families.table import FAMILIES, TABLE
from dllm.testing.checkpoints import make_checkpoint
from dllm.testing.configs import EXAMPLES
from tests.support.checkpoints import copy

NAMES = ("illada", "dream-reasoner")
JUDGES = {"illada": (LlamaConfig, LlamaForCausalLM), "dream-reasoner": (Qwen3Config, Qwen3ForCausalLM)}
BLOCK, LENGTH = 8, 29
KEYS = {
    "illada": ("rms_norm_eps", "rope_theta", "num_key_value_heads", "tie_word_embeddings", "max_position_embeddings"),
    "dream-reasoner": ("attention_bias", "rope_theta", "num_key_value_heads", "max_position_embeddings"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return {name: make_checkpoint(name, tmp_path_factory.mktemp("made") / name, seed=3) for name in NAMES}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def canvas(rows=2):
    return torch.randint(0, 250, (rows, LENGTH), generator=torch.Generator().manual_seed(1))


def judged(name, folder):
    """`[B, L, V]` of transformers' network under the family's attention, row i for position i."""
    config_class, model_class = JUDGES[name]
    example = EXAMPLES[name]
    config = {**example.published, **example.small}
    for key in ("architectures", "model_type", "torch_dtype", "block_size", "layer_norm_eps"):
        config.pop(key, None)
    judge = model_class(config_class(**config)).eval()
    missing = judge.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not missing.unexpected_keys
    assert set(missing.missing_keys) <= ({"lm_head.weight"} if config["tie_word_embeddings"] else set())
    judge.tie_weights()
    block = torch.arange(LENGTH) // (BLOCK if name == "dream-reasoner" else LENGTH)
    mask = torch.where(block[:, None] >= block[None, :], 0.0, torch.finfo(torch.float32).min)
    return judge(input_ids=canvas(), attention_mask=mask.expand(2, 1, -1, -1)).logits.detach()


def test_logits_are_those_of_transformers(name, made):
    model = load_model(made[name], dtype="float32", device="cpu")
    expected = judged(name, made[name])
    assert expected.std() > 0.5
    torch.testing.assert_close(model.logits(canvas()), expected, atol=5e-5, rtol=1e-4)


def test_what_they_say_of_themselves(made):
    illada, reasoner = (load_model(made[name]) for name in NAMES)
    assert (illada.lookback, illada.block_rule, illada.max_length) == (0, None, 8192)
    assert (reasoner.lookback, reasoner.block_rule.length, reasoner.usual.block_length) == (0, BLOCK, BLOCK)
    with pytest.raises(ConfigError, match="attention of iLLaDA is full"):
        load_model(made["illada"], block_length=4)
    assert all(model.family.second_hand for model in (illada, reasoner))


def test_the_published_ids_and_block(made, tmp_path):
    vocabulary = {"vocab_size": 152000, "num_hidden_layers": 1}
    known = make_checkpoint("illada", tmp_path / "a", tokenizer=False, changes={**vocabulary, "eos_token_id": 2})
    assert load_model(known).mask_token_id == 5
    silent = {**vocabulary, "block_size": None, "mask_token_id": None}
    model = load_model(make_checkpoint("dream-reasoner", tmp_path / "b", tokenizer=False, changes=silent))
    assert (model.mask_token_id, model.block_rule.length) == (151669, 32)


def test_dream_keeps_its_own_row():
    assert FAMILIES["DreamModel"].name == "Dream" and FAMILIES["DreamForCausalLM"].name == "DreamReasoner"
    assert len(FAMILIES) == sum(len(row.architectures) for row in TABLE)


def test_generation(name, made):
    llm, params = LLM(made[name]), SamplingParams(max_new_tokens=12)
    prompts = ["abc", "a longer prompt than that"]
    together = llm.generate(prompts, params)
    assert [one.token_ids for one in together] == [llm.generate(prompt, params).token_ids for prompt in prompts]


def test_chat_needs_a_template_that_somebody_knows(made):
    with pytest.raises(PromptError, match="no chat template"):
        LLM(made["illada"]).chat([{"role": "user", "content": "Who?"}])
    asked = LLM(made["dream-reasoner"]).tokenizer.apply_chat_template([{"role": "user", "content": "Who?"}])
    assert asked == "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"


def test_missing_keys_are_refused(name, made, tmp_path):
    for key in KEYS[name]:
        with pytest.raises(ModelError, match=f"'{key}' is missing"):
            load_model(copy(made[name], tmp_path / key, drop=(key,)))


@pytest.mark.parametrize("key", ["attention_bias", "mlp_bias", "layer_norm_eps"])
def test_illada_with_switches_nobody_has_seen(made, tmp_path, key):
    with pytest.raises(ModelError, match=f"'{key}' is"):
        load_model(copy(made["illada"], tmp_path, **{key: 1e-5 if key == "layer_norm_eps" else True}))


def test_other_tensors_than_those_expected_do_not_load(name, made, tmp_path):
    tensors = load_file(made[name] / "model.safetensors")
    norm = "model.layers.0.self_attn.q_norm.weight"
    changed = {k: t for k, t in tensors.items() if k != norm} if norm in tensors else {**tensors, norm: torch.ones(16)}
    with pytest.raises(ModelError, match=f"1 (missing|unexpected): {norm}"):
        load_model(copy(made[name], tmp_path, changed))


def test_illadas_head_may_be_stored_too(made, tmp_path):
    tensors = load_file(made["illada"] / "model.safetensors")
    embedding = tensors["model.embed_tokens.weight"]
    same = load_model(copy(made["illada"], tmp_path / "same", {**tensors, "lm_head.weight": embedding.clone()}))
    assert torch.equal(same.logits(canvas()), load_model(made["illada"]).logits(canvas()))
    with pytest.raises(ModelError, match=r"lm_head\.weight differs from .*; untie it"):
        load_model(copy(made["illada"], tmp_path / "other", {**tensors, "lm_head.weight": embedding + 1}))


def test_doctor_tells_hearsay(made):
    run = CliRunner().invoke(app, ["doctor", "-m", str(made["illada"])])
    assert run.exit_code == 0, run.stderr
    assert run.stdout.count("second_hand") == 1  # tiny is not hearsay
    assert FAMILIES["ILLaDAForCausalLM"].second_hand in run.stdout
