"""What `load_model` loads: shards, dtypes, device maps, tied heads, switches, and which ids it finds."""

from __future__ import annotations

import json
from pathlib import Path

import accelerate
import pytest
import torch
from safetensors.torch import load_file

from dllm.errors import ConfigError, ModelError
from dllm.models.loading import load_model
from tests.support.checkpoints import DREAM, EMBEDDING, HEAD, IDS, LLADA, TIED, copy, shard


@pytest.mark.parametrize("source", [LLADA, TIED, DREAM])
def test_shards_equal_the_single_file(source, tmp_path):
    assert torch.equal(load_model(shard(source, tmp_path)).logits(IDS), load_model(source).logits(IDS))


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16, "float16", torch.float16, "float32", torch.float32])
def test_dtypes(dtype):
    model = load_model(LLADA, dtype=dtype, device="cpu")
    expected = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert {p.dtype for p in model.parameters()} == {model.dtype} == {model.new_kv(3).keys.dtype} == {expected}
    logits = model.logits(IDS)
    assert logits.dtype == torch.float32
    assert (logits - load_model(LLADA, device="cpu").logits(IDS)).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("config", "stored", "expected"),
    [
        ({"torch_dtype": "bfloat16"}, torch.float32, torch.bfloat16),
        ({"torch_dtype": None, "dtype": "bfloat16"}, torch.float32, torch.bfloat16),
        ({"torch_dtype": "float16"}, torch.float32, torch.float32),  # on a CPU
        ({"torch_dtype": None}, torch.bfloat16, torch.bfloat16),
        ({"torch_dtype": None}, torch.float64, torch.float32),
    ],
)
def test_automatic_dtype(config, stored, expected, tmp_path):
    tensors = {name: t.to(stored) for name, t in load_file(LLADA / "model.safetensors").items()}
    assert load_model(copy(LLADA, tmp_path, tensors, **config), device="cpu").dtype == expected


def test_weights_do_not_depend_on_the_file_afterwards(tmp_path):
    model = load_model(copy(LLADA, tmp_path))
    before = model.logits(IDS)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert torch.equal(model.logits(IDS), before)


@pytest.mark.parametrize("source", [LLADA, TIED, DREAM])
@pytest.mark.parametrize("device_map", [{"": "cpu"}, {"embed": "cpu", "blocks": "cpu", "norm": "cpu", "head": "cpu"}])
def test_device_map(source, device_map):
    assert torch.equal(
        load_model(source, device_map=device_map).logits(IDS), load_model(source, device="cpu").logits(IDS)
    )


@pytest.mark.parametrize("source", [TIED, DREAM])
def test_automatic_device_map(source):
    assert load_model(source, device_map="auto").logits(IDS).shape == (1, 20, 256)


@pytest.mark.parametrize("source", [TIED, DREAM])
def test_hooks_of_accelerate_change_nothing(source):
    """What a model spread over devices runs through, as far as one device can show it."""
    model = load_model(source, device="cpu")
    expected = model.logits(IDS)
    parts = {name: "cpu" for name, _ in model.named_children()}
    model.unpack()
    accelerate.dispatch_model(model, parts, force_hooks=True)
    assert torch.equal(model.logits(IDS), expected)
    assert model.device == torch.device("cpu")


def test_tied_head_shares_the_embedding():
    model = load_model(TIED)
    model.unpack()
    assert model.head.weight is model.embed.weight
    spread = load_model(TIED, device_map={"": "cpu"})
    assert spread.head.weight is spread.embed.weight


def test_tied_head_that_is_stored_anyway(tmp_path):
    tensors = load_file(TIED / "model.safetensors")
    tensors[HEAD] = tensors[EMBEDDING].clone()
    model = load_model(copy(TIED, tmp_path / "equal", tensors))
    assert torch.equal(model.logits(IDS), load_model(TIED).logits(IDS))
    tensors[HEAD][0, 0] += 1
    with pytest.raises(ModelError, match=r"ties the head.*ff_out\.weight differs"):
        load_model(copy(TIED, tmp_path / "other", tensors))


def test_block_groups(tmp_path):
    """The published modules name blocks by group when `block_group_size` exceeds 1."""
    tensors = {
        name.replace("blocks.0.", "block_groups.0.0.").replace("blocks.1.", "block_groups.0.1."): tensor
        for name, tensor in load_file(LLADA / "model.safetensors").items()
    }
    model = load_model(copy(LLADA, tmp_path, tensors, block_group_size=2))
    assert torch.equal(model.logits(IDS), load_model(LLADA).logits(IDS))


def test_llada_switches_that_no_golden_has(tmp_path):
    """All-linear bias, norms over whole projections, scaled embedding: each is loaded and each has its effect."""
    tensors = load_file(LLADA / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name in list(tensors):
        if tensors[name].dim() == 2 and "wte" not in name:
            tensors[name.replace("weight", "bias")] = torch.randn(tensors[name].shape[0], generator=generator) * 0.1
    for layer in (0, 1):
        for part in ("q_norm", "k_norm"):
            tensors[f"model.transformer.blocks.{layer}.{part}.weight"] = torch.rand(64, generator=generator)
    switches = {"include_bias": True, "attention_layer_norm": True, "input_emb_norm": True}
    model = load_model(copy(LLADA, tmp_path, tensors, **switches))
    assert model.spec.embedding_scale == 8.0
    model.unpack()  # parameters are given up for packed weights
    full = model.logits(IDS)
    for name in (
        "head.bias",
        "blocks.0.mlp.down.bias",
        "blocks.1.attention.k_norm.weight",
        "blocks.0.attention.o.bias",
    ):
        parameter = model.get_parameter(name)
        saved = parameter.clone()
        parameter.mul_(1.5).add_(0.1)
        assert not torch.allclose(model.logits(IDS), full, atol=1e-4), name
        parameter.copy_(saved)
    assert torch.equal(model.logits(IDS), full)


# --- ids --------------------------------------------------------------------------------------------------------------


def tokenizer_files(folder: Path, **names: int) -> None:
    decoder = {str(token_id): {"content": text, "special": True} for text, token_id in names.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))


def test_mask_id_sources(tmp_path):
    assert load_model(LLADA, mask_token_id=3).mask_token_id == 3
    assert load_model(LLADA, mask_token_id=3).id_sources["mask_token_id"] == "argument"
    bare = copy(LLADA, tmp_path, drop=("mask_token_id",))
    assert load_model(bare).mask_token_id is None  # the published id lies beyond this vocabulary
    tokenizer_files(bare, **{"<|mdm_mask|>": 77})
    assert load_model(bare).mask_token_id == 77
    (bare / "special_tokens_map.json").write_text(json.dumps({"mask_token": {"content": "<hidden>"}}))
    tokenizer_files(bare, **{"<|mdm_mask|>": 77, "<hidden>": 78})
    model = load_model(bare)
    assert (model.mask_token_id, model.id_sources["mask_token_id"]) == (78, "<hidden> of the tokenizer")


def test_end_ids_are_collected(tmp_path):
    copy(LLADA, tmp_path, eos_token_id=[241, 240])
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 12}))
    tokenizer_files(tmp_path, **{"<|eot_id|>": 99, "<|other|>": 98})
    model = load_model(tmp_path)
    assert model.eos_token_ids == (241, 240, 12, 99)
    assert model.id_sources["eos_token_ids"] == (
        "241: config.json; 240: config.json; 12: generation_config.json; 99: <|eot_id|> of the tokenizer"
    )
    assert load_model(copy(LLADA, tmp_path / "none", drop=("eos_token_id",))).eos_token_ids == ()


def test_added_tokens_json_names_the_turn_end(tmp_path):
    copy(DREAM, tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|im_end|>": 55, "<|mask|>": 400}))
    assert load_model(tmp_path).eos_token_ids == (241, 55)


@pytest.mark.parametrize("bad", [-1, 256, "246", True, 1.5])
def test_bad_mask_argument(bad):
    with pytest.raises(ConfigError, match=r"mask_token_id=.*0\.\.255"):
        load_model(LLADA, mask_token_id=bad)


def test_ids_outside_the_vocabulary_in_the_config(tmp_path):
    with pytest.raises(ModelError, match=r"'mask_token_id' holds 256; legal ids are 0\.\.255"):
        load_model(copy(LLADA, tmp_path, mask_token_id=256))
    with pytest.raises(ModelError, match=r"'eos_token_id' holds 'x'"):
        load_model(copy(LLADA, tmp_path, eos_token_id=["x"]))


def test_null_sizes_mean_what_the_published_config_says(tmp_path):
    """`n_kv_heads` null: one per query head, or one in all with multi-query attention; `mlp_hidden_size`: a ratio."""
    given = load_model(LLADA, dtype="float32", device="cpu")
    null = load_model(copy(LLADA, tmp_path / "kv", n_kv_heads=None), dtype="float32", device="cpu")
    ids = torch.arange(12)[None]
    assert torch.equal(given.logits(ids), null.logits(ids))
    with pytest.raises(ModelError, match=r"k_proj.weight.*\[16, 64\]|\[16, 64\].*k_proj.weight"):
        load_model(copy(LLADA, tmp_path / "mqa", n_kv_heads=None, multi_query_attention=True))
    with pytest.raises(ModelError, match=r"\[256, 64\]"):
        load_model(copy(LLADA, tmp_path / "mlp", mlp_hidden_size=None))
