"""ModernBERT through transformers' own class: its logits to the bit, strictly loaded, and used like any other model."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import ModernBertConfig, ModernBertForMaskedLM
from typer.testing import CliRunner

from dllm import LLM, CapabilityError, ConfigError, ModelError, SamplingParams, load_model
from dllm.cache import resolve_cache
from dllm.cli.app import app
from dllm.models.base import RowDenoiser, RowInput
from dllm.models.borrowed import Borrowed
from dllm.models.families.config import ConfigReader
from dllm.models.families.modernbert import MODERNBERT
from dllm.testing.checkpoints import make_checkpoint
from tests.support.checkpoints import copy, shard

V, WINDOW, MASK, END = 300, 8, 298, 299
TOLERANCE = {"atol": 1e-5, "rtol": 0}
EMBEDDING, HEAD = "model.embeddings.tok_embeddings.weight", "decoder.weight"
QUESTION = [{"role": "system", "content": " Be short. "}, {"role": "user", "content": "Who?"}]


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    special = {name: END for name in ("pad_token_id", "eos_token_id", "bos_token_id", "cls_token_id", "sep_token_id")}
    config = ModernBertConfig(
        vocab_size=V,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=5,
        num_attention_heads=4,
        local_attention=WINDOW,
        max_position_embeddings=128,
        initializer_range=0.2,
        mask_token_id=MASK,
        **special,
    )
    return ModernBertForMaskedLM(config).eval()


@pytest.fixture(scope="module")
def folder(judge, tmp_path_factory):
    path = tmp_path_factory.mktemp("modernbert")
    judge.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder, device="cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_checkpoint("modernbert", tmp_path_factory.mktemp("made") / "modernbert")


def ids(rows, length, seed=0):
    return torch.randint(0, V, (rows, length), generator=torch.Generator().manual_seed(seed))


def whole(canvas):
    positions = torch.arange(len(canvas))
    return RowInput(canvas, positions, positions)


# --- logits -----------------------------------------------------------------------------------------------------------


def test_logits_are_those_of_transformers(judge, model):
    canvas = ids(2, 5 * WINDOW)
    expected = judge(input_ids=canvas).logits.detach()
    assert expected.std() > 0.5  # not the logits of a network that says nothing
    torch.testing.assert_close(model.logits(canvas), expected, **TOLERANCE)


def test_padding_is_never_seen(judge, model):
    canvas, mask = ids(3, 30), torch.zeros(3, 30, dtype=torch.long)
    spans = [(0, 21), (9, 30), (0, 30)]
    for row, (start, end) in enumerate(spans):
        mask[row, start:end] = 1
    found = model.logits(canvas, mask)
    padded = judge(input_ids=canvas, attention_mask=mask).logits.detach()
    torch.testing.assert_close(found[mask.bool()], padded[mask.bool()], **TOLERANCE)
    assert not found[mask == 0].any()
    for row, (start, end) in enumerate(spans):
        assert torch.equal(found[row, start:end], model.logits(canvas[row : row + 1, start:end])[0])


def test_a_row_does_not_depend_on_its_mates(model):
    rows = [whole(ids(1, length, length)[0]) for length in (17, 5, 17, 1, 40)]
    for found, row in zip(model.forward_rows(rows), rows, strict=True):
        assert torch.equal(found, model.forward_rows([row])[0])


def test_half_precision_is_that_of_transformers(folder, judge):
    half = ModernBertForMaskedLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    model, canvas = load_model(folder, dtype="bfloat16", device="cpu"), ids(1, 30)
    assert model.dtype == torch.bfloat16
    torch.testing.assert_close(model.logits(canvas), half(input_ids=canvas).logits.float().detach(), **TOLERANCE)


@pytest.mark.parametrize("placement", ["auto", {"": "cpu"}])
def test_device_map(folder, model, placement):
    canvas = ids(1, 30)
    torch.testing.assert_close(
        load_model(folder, device_map=placement).logits(canvas), model.logits(canvas), **TOLERANCE
    )


# --- the config -------------------------------------------------------------------------------------------------------

OLD = {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0}
NEW = {
    "layer_types": ["full_attention", *["sliding_attention"] * 2, "full_attention", "sliding_attention"],
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 160000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    },
}


@pytest.mark.parametrize(("keys", "other"), [(OLD, NEW), (NEW, OLD)], ids=["transformers 4", "transformers 5"])
def test_both_spellings_of_the_config(folder, model, tmp_path, keys, other):
    found = load_model(copy(folder, tmp_path, drop=tuple(other), **keys))
    assert torch.equal(found.logits(ids(1, 30)), model.logits(ids(1, 30)))


def test_the_layout_of_attention_is_read(folder, model, tmp_path):
    for number, changes in enumerate(({"local_attention": 4}, {"global_attn_every_n_layers": 2})):
        keys = {**OLD, **changes}
        found = load_model(copy(folder, tmp_path / str(number), drop=tuple(NEW), **keys))
        assert not torch.allclose(found.logits(ids(1, 30)), model.logits(ids(1, 30)), atol=1e-2)


@pytest.mark.parametrize(
    "key", ["num_attention_heads", "local_attention", "norm_eps", "hidden_activation", "max_position_embeddings"]
)
def test_a_key_without_which_transformers_would_guess(folder, tmp_path, key):
    with pytest.raises(ModelError, match=f"'{key}' is missing"):
        load_model(copy(folder, tmp_path, drop=(key,)))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"layer_types": ["sliding_attention"] * 5}, "'layer_types' is .*for layer 0 and every n-th"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "'sliding_attention' is missing"),
        ({"rope_parameters": {k: {"rope_type": "yarn"} for k in NEW["rope_parameters"]}}, "'rope_type' is 'yarn'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "'rope_scaling' is"),
        ({"hidden_activation": "nonesuch"}, "transformers .* cannot build ModernBertForMaskedLM from it"),
        ({"num_attention_heads": 7}, "transformers .* cannot build ModernBertForMaskedLM from it"),
    ],
)  # fmt: skip
def test_configs_that_are_refused(folder, tmp_path, changes, match):
    with pytest.raises(ModelError, match=match):
        load_model(copy(folder, tmp_path, **changes))


def test_a_class_that_this_transformers_lacks():
    values = {**json.loads(json.dumps(OLD)), "architectures": ["NonesuchForMaskedLM"], "num_hidden_layers": 2}
    needed = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "local_attention", "norm_eps")
    values |= dict.fromkeys((*needed, "hidden_activation", "classifier_activation", "max_position_embeddings"), 8)
    with pytest.raises(ModelError, match="has no NonesuchForMaskedLM; install a newer transformers"):
        Borrowed(MODERNBERT, ConfigReader(values, "here"))


# --- the weights ------------------------------------------------------------------------------------------------------


def test_every_tensor_must_be_there_and_fit(folder, tmp_path):
    tensors = load_file(folder / "model.safetensors")
    norm = tensors.pop("model.layers.1.attn_norm.weight")
    tensors |= {"model.layers.1.attention_norm.weight": norm, "head.norm.weight": torch.ones(65)}
    with pytest.raises(ModelError) as caught:
        load_model(copy(folder, tmp_path, tensors))
    for part in (
        "1 missing: model.layers.1.attn_norm.weight",
        "1 unexpected: model.layers.1.attention_norm.weight",
        "head.norm.weight is [65] in the file and [64] by the config",
    ):
        assert part in str(caught.value)


def test_a_stored_head_is_the_embedding(folder, model, tmp_path):
    tensors = load_file(folder / "model.safetensors")
    assert HEAD not in tensors
    same = load_model(copy(folder, tmp_path / "same", {**tensors, HEAD: tensors[EMBEDDING].clone()}))
    assert torch.equal(same.logits(ids(1, 9)), model.logits(ids(1, 9)))
    other = copy(folder, tmp_path / "other", {**tensors, HEAD: tensors[EMBEDDING] + 1})
    with pytest.raises(ModelError, match=f"{HEAD} differs from {EMBEDDING}; untie"):
        load_model(other)
    assert load_model(copy(other, tmp_path / "untied", tie_word_embeddings=False)).tied is None
    with pytest.raises(ModelError, match=f"1 missing: {HEAD}"):
        load_model(copy(folder, tmp_path / "none", tie_word_embeddings=False))


def test_shards_and_pickles(folder, model, tmp_path):
    assert torch.equal(load_model(shard(folder, tmp_path)).logits(ids(1, 9)), model.logits(ids(1, 9)))
    for file in tmp_path.glob("model*"):
        file.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ModelError, match="only pickled weights"):
        load_model(tmp_path)


# --- as a model -------------------------------------------------------------------------------------------------------


def test_what_it_says_of_itself(model, folder):
    assert isinstance(model, RowDenoiser)
    assert (model.vocab_size, model.max_length, model.mask_token_id, model.eos_token_ids) == (V, 128, MASK, (END,))
    assert (model.family, model.folder, model.capabilities) == (MODERNBERT, folder, frozenset())
    assert model.id_sources["mask_token_id"] == "config.json"
    assert load_model(folder, mask_token_id=7).mask_token_id == 7
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_what_it_cannot_do(model, folder):
    assert type(resolve_cache(None, model)).__name__ == "NoCache"
    with pytest.raises(CapabilityError, match="use cache='none' or 'auto'"):
        LLM(model).generate([1, 2, 3], SamplingParams(max_new_tokens=4, cache="prefix"))
    with pytest.raises(CapabilityError, match="ModernBERT keeps no keys and values"):
        model.new_kv(4)
    with pytest.raises(ConfigError, match="attention of ModernBERT is full"):
        load_model(folder, block_length=4)


def test_chat(made):
    llm = LLM(made)
    tokens = {name: llm.tokenizer.token_to_id(name) for name in ("[MASK]", "[/Answer]")}
    assert (llm.model.mask_token_id, llm.model.eos_token_ids) == (tokens["[MASK]"], (257, tokens["[/Answer]"]))
    assert llm.tokenizer.apply_chat_template(QUESTION) == (
        "[SYS]\nBe short.\n[/SYS]\n\n[Question]\nWho?\n[/Question]\n\n[Answer]\n"
    )
    output = llm.chat(QUESTION, SamplingParams(max_new_tokens=12))
    prompts = ["abc", "a longer prompt than that", "abc"]
    together = llm.generate(prompts, SamplingParams(max_new_tokens=12))
    assert [one.token_ids for one in together] == [
        llm.generate(prompt, SamplingParams(max_new_tokens=12)).token_ids for prompt in prompts
    ]
    assert len(output.token_ids) <= 12 and llm.model.mask_token_id not in output.token_ids


def test_command_line(made):
    run = CliRunner().invoke(app, ["generate", "-m", str(made), "-n", "8", "abc"])
    assert run.exit_code == 0, run.stderr
    run = CliRunner().invoke(app, ["doctor", "--json", "-m", str(made)])
    assert run.exit_code == 0, run.stderr
    facts = json.loads(run.stdout)["models"][1]
    assert (facts["family"], facts["capabilities"]) == ("ModernBERT", [])
    assert facts["chat_template"]
    assert facts["parameters"] == sum(tensor.numel() for tensor in load_file(made / "model.safetensors").values())
