"""The families of the table: switches of their configs against plain references, strict reading, made checkpoints."""

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dllm import LLM, ConfigError, ModelError, SamplingParams, load_model
from dllm.cache import caches
from dllm.errors import PromptError
from dllm.models.base import KV, SHADOWS
from dllm.models.families import table
from dllm.models.families.table import TABLE
from dllm.schedulers import schedulers
from dllm.testing.checkpoints import make_checkpoint
from dllm.testing.configs import EXAMPLES
from tests.references import plain_moe

IDS = random.Random(0).choices(range(250), k=19)
MIXED = {
    "llada-moe": (
        {},
        {"attention_bias": True, "qk_layernorm": False},
        {"clip_qkv": 0.6, "num_key_value_heads": 4, "partial_rotary_factor": 0.5},
        {"shared_expert_intermediate_size": 48, "moe_router_enable_expert_bias": True, "num_experts_per_tok": 3},
        {"moe_layer_freq": [0, 1], "norm_topk_prob": True},
    ),
    "llada2": (
        {},
        {"use_bias": True, "use_qkv_bias": True, "use_qk_norm": False},
        {"num_shared_experts": 2, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 4},
        {"moe_router_enable_expert_bias": False, "norm_topk_prob": False, "partial_rotary_factor": 1},
        {"num_shared_experts": 0, "first_k_dense_replace": 0, "n_group": 1, "topk_group": 1},
    ),
}


@pytest.mark.parametrize(("example", "changes"), [(name, one) for name, several in MIXED.items() for one in several])
def test_mixtures_equal_the_network_read_aloud(example, changes, tmp_path):
    folder = make_checkpoint(example, tmp_path / "x", changes=changes)
    if example == "llada2":
        logits = load_model(folder, block_length=8).logits(torch.tensor([IDS]))[0]
        expected = plain_moe.llada2(folder, IDS, 8)
    else:
        logits, expected = load_model(folder).logits(torch.tensor([IDS]))[0], plain_moe.llada_moe(folder, IDS)
    torch.testing.assert_close(logits, expected.float(), atol=5e-5, rtol=1e-4)


def test_the_router_of_llada2_is_float32_in_any_dtype(tmp_path):
    folder = make_checkpoint("llada2", tmp_path / "x")
    model = load_model(folder, dtype="bfloat16")
    mixture = model.blocks[1].mlp
    assert mixture.bias.dtype == torch.float32 and model.dtype == torch.bfloat16
    exact = load_model(folder, dtype="float32")
    agree = (model.logits(torch.tensor([IDS])).argmax(-1) == exact.logits(torch.tensor([IDS])).argmax(-1)).float()
    assert agree.mean() > 0.7
    cast = exact.to(torch.bfloat16)
    assert cast.blocks[1].mlp.router.weight.dtype == cast.blocks[1].mlp.bias.dtype == torch.float32
    assert torch.equal(cast.logits(torch.tensor([IDS])), model.logits(torch.tensor([IDS])))
    assert model.to(torch.float32).logits(torch.tensor([IDS])).isfinite().all()


def test_a_token_of_a_mixture_does_not_depend_on_the_others(tmp_path):
    """However many tokens choose an expert."""
    model = load_model(make_checkpoint("llada-moe", tmp_path / "x"))
    rows = [random.Random(i).choices(range(250), k=i) for i in range(1, 20)]
    alone = [model.logits(torch.tensor([row]))[0] for row in rows]
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    together = model.logits(ids, mask)
    assert all(torch.equal(one, many[: len(one)]) for one, many in zip(alone, together, strict=True))


# --- strict reading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "key", "value"),
    [
        ("llada-moe", "moe_router_score_function", "sigmoid"),
        ("llada-moe", "partial_rotary_factor", -1),
        ("llada-moe", "num_experts_per_tok", 9),
        ("llada-moe", "moe_layer_freq", [1]),
        ("llada-moe", "rope_scaling", {"factor": 2}),
        ("llada-moe", "router_num_group", 4),
        ("llada2", "norm_head", True),
        ("llada2", "score_function", "softmax"),
        ("llada2", "num_key_value_heads", 0),
        ("llada2", "n_group", 3),
        ("llada2", "topk_group", 5),
        ("llada2", "num_experts_per_tok", 5),
        ("llada-moe", "moe_layer_freq", [[1], 1]),
        ("a2d-qwen3", "layer_types", [["x"]]),
        ("sdar-moe", "mlp_only_layers", 5),
        ("llada2", "router_dtype", "bf16"),
        ("llada2", "rotary_dim", 4),
        ("sdar", "head_dim", 31),
        ("sdar", "use_sliding_window", True),
        ("sdar", "block_size", 0),
        ("sdar-moe", "num_experts_per_tok", 100),
        ("a2d-qwen3", "layer_types", ["sliding_attention", "full_attention"]),
        ("fast-dllm-v2", "hidden_act", "gelu"),
    ],
)
def test_values_that_are_not_implemented(example, key, value, tmp_path):
    folder = make_checkpoint(example, tmp_path / "x", tokenizer=False)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(ModelError, match=f"'{key}' is ") as caught:
        load_model(folder)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("example", "key"),
    [("llada-moe", "qk_layernorm"), ("llada2", "use_bias"), ("sdar", "attention_bias"), ("sdar-moe", "norm_topk_prob")],
)
def test_missing_keys(example, key, tmp_path):
    folder = make_checkpoint(example, tmp_path / "x", tokenizer=False)
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"'{key}' is missing"):
        load_model(folder)


def test_what_transformers_5_writes_of_rotary_embedding(tmp_path):
    folder = make_checkpoint("a2d-qwen3", tmp_path / "x")
    expected = load_model(folder).logits(torch.tensor([IDS]))
    config = json.loads((folder / "config.json").read_text())
    theta = config.pop("rope_theta")
    config.pop("rope_scaling")
    (folder / "config.json").write_text(json.dumps(config | {"rope_parameters": {"rope_theta": theta}}))
    assert torch.equal(load_model(folder).logits(torch.tensor([IDS])), expected)
    for more in ({}, {"rope_theta": theta}):
        scaled = config | more | {"rope_parameters": {"rope_theta": theta, "rope_type": "yarn"}}
        (folder / "config.json").write_text(json.dumps(scaled))
        with pytest.raises(ModelError, match="'rope_type' is 'yarn'"):
            load_model(folder)
    (folder / "config.json").write_text(
        json.dumps(config | {"rope_theta": 1.0, "rope_parameters": {"rope_theta": theta}})
    )
    with pytest.raises(ModelError, match=r"'rope_theta' is 1\.0"):
        load_model(folder)


@pytest.mark.parametrize("example", ["llada", "llada-moe", "llada2", "dream"])
def test_a_scaled_rotation_is_refused_wherever_it_is_written(example, tmp_path):
    folder = make_checkpoint(example, tmp_path / "x", tokenizer=False)
    config = json.loads((folder / "config.json").read_text())
    scaled = {"rope_parameters": {"rope_theta": config["rope_theta"], "rope_type": "yarn", "factor": 4}}
    (folder / "config.json").write_text(json.dumps(config | scaled))
    with pytest.raises(ModelError, match="'rope_type' is 'yarn'"):
        load_model(folder)


def test_what_a_folder_is_called_is_its_own_name(tmp_path, monkeypatch):
    def block(*parts):
        folder = tmp_path.joinpath(*parts)
        if not folder.exists():
            make_checkpoint("a2d-qwen2", folder, tokenizer=False)
        rule = load_model(folder).block_rule
        return rule and rule.length

    assert block("bd3lm_runs", "mdlm") is None
    assert block("x-BD3LM-v0.1") == 32
    assert block("models--org--a2d-bd3lm-v0.1", "snapshots", "0123") == 32
    monkeypatch.chdir(tmp_path / "x-BD3LM-v0.1")
    assert load_model(".").block_rule.length == 32
    folder = make_checkpoint("llada2", tmp_path / "llada2.1-mini", tokenizer=False)
    assert load_model(folder).usual.scheduler == "llada2(0.7)+edit(0.5)"


@pytest.mark.parametrize("example", ["llada2", "sdar-moe", "llada-moe"])
def test_merged_experts_are_refused_with_a_hint(example, tmp_path):
    folder = make_checkpoint(example, tmp_path / "x", tokenizer=False)
    tensors = load_file(folder / "model.safetensors")
    layer = "model.layers.1.mlp.experts"
    names = [f"{layer}.{e}.gate_proj.weight" for e in range(8)]
    tensors[f"{layer}.gate_proj"] = torch.stack([tensors.pop(name) for name in names])
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"experts are stacked.*original checkpoint"):
        load_model(folder)


def test_a_mask_id_outside_the_vocabulary_is_none_and_generate_says_what_to_give(tmp_path):
    model = load_model(make_checkpoint("llada2", tmp_path / "x", tokenizer=False))
    assert model.mask_token_id is None and model.logits(torch.tensor([IDS])).shape == (1, 19, 512)
    with pytest.raises(ConfigError, match="mask_token_id=ID"):
        LLM(model)
    assert LLM(model, mask_token_id=256).generate(IDS, SamplingParams(max_new_tokens=3)).token_ids


# --- made checkpoints -------------------------------------------------------------------------------------------------


def test_every_file_of_a_family_is_in_the_table():
    shared = {"__init__", "config", "family", "keys", "qwen", "table"}
    assert {path.stem for path in Path(table.__file__).parent.glob("*.py")} - shared == set(table.FAMILY_FILES)
    assert len({family.name for family in TABLE}) == len(TABLE)


def test_every_family_of_the_table_has_an_example():
    made = {example.published["architectures"][0] for example in EXAMPLES.values()}
    assert all(set(family.architectures) & made for family in TABLE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_made_checkpoints_are_the_same_for_a_seed_and_sharded_alike(example, tmp_path):
    one = make_checkpoint(example, tmp_path / "one")
    two = make_checkpoint(example, tmp_path / "two", shard_bytes=50_000)
    assert len(list(two.glob("*.safetensors"))) > 2
    ids = torch.tensor([IDS])
    logits = load_model(one).logits(ids)
    assert torch.equal(logits, load_model(two).logits(ids))
    other = load_model(make_checkpoint(example, tmp_path / "three", seed=1)).logits(ids)
    assert not torch.allclose(logits, other) and 0.5 < float(logits.std()) < 8
    with pytest.raises(ConfigError, match="holds a checkpoint already"):
        make_checkpoint(example, one)


@pytest.mark.parametrize("example", EXAMPLES)
def test_padding_and_batch_mates_change_no_bit(example, tmp_path):
    """And on block-causal models what follows does not: a prefix of whole blocks has the logits it has alone."""
    model = load_model(make_checkpoint(example, tmp_path / f"x{EXAMPLES[example].named}"))
    rows = [random.Random(i).choices(range(250), k=k) for i, k in enumerate((40, 7, 23, 33))]
    alone = [model.logits(torch.tensor([row]))[0] for row in rows]
    for left in (True, False):
        gaps = [[0] * (45 - len(row)) for row in rows]
        ids = torch.tensor([gap + row if left else row + gap for gap, row in zip(gaps, rows, strict=True)])
        mask = torch.tensor([g + [1] * len(r) if left else [1] * len(r) + g for g, r in zip(gaps, rows, strict=True)])
        together = model.logits(ids, mask)
        for b, one in enumerate(alone):
            assert torch.equal(together[b][mask[b].bool()], one)
    if model.block_rule is not None and model.block_rule.length < 40:
        length = model.block_rule.length
        prefix = model.logits(torch.tensor([rows[0][:length]]))[0]
        torch.testing.assert_close(alone[0][:length], prefix, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_family_generates_under_every_cache_and_scheduler(example, tmp_path, request):
    """That all of them run to their end; what comes out is compared elsewhere. Every third scheduler with each family,
    unless all is asked for."""
    llm = LLM(str(make_checkpoint(example, tmp_path / f"x{EXAMPLES[example].named}")))
    causal = getattr(llm.model, "block_rule", None) is not None
    stores = KV in llm.model.capabilities
    able = [name for name in caches.names() if name == "none" or (stores and (causal or name != "exact"))]
    for cache in able:
        out = llm.generate("ab", SamplingParams(max_new_tokens=9, cache=cache, ignore_eos=True))
        assert len(out.token_ids) == 9 and out.stats.cache == cache
    every = 1 if request.config.getoption("full") else 3
    for name in schedulers.names()[[*EXAMPLES].index(example) % every :: every]:
        if name != "learn2pd" and (SHADOWS in llm.model.capabilities or name != "wino"):  # a filter is one model's
            spec = {"saber": "saber(2)", "pc": "pc(table=flat)"}.get(name, name)  # a table is one tokenizer's
            out = llm.generate("ab", SamplingParams(max_new_tokens=9, scheduler=spec, ignore_eos=True))
            assert len(out.token_ids) == 9, name
    if llm.tokenizer.chat_template is None:
        with pytest.raises(PromptError, match="no chat template"):
            llm.chat([{"role": "user", "content": "ab"}])
        return
    assert llm.chat([{"role": "user", "content": "ab"}], SamplingParams(max_new_tokens=5)).prompt_token_ids
