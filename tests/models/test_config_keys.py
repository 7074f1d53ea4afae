"""Every key of a config is read, known to be harmless, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dllm import ModelError, load_model
from dllm.models.families.keys import BOOKKEEPING, NEUTRAL
from dllm.models.families.table import TABLE
from dllm.testing.checkpoints import make_checkpoint
from dllm.testing.configs import EXAMPLES
from tests.support.checkpoints import DREAM, IDS, LLADA, copy

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = tuple(EXAMPLES)


def changed(folder, drop=(), **config):
    values = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps({key: value for key, value in values.items() if key not in drop}))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small checkpoint of every example, and its config as it was made."""
    folders = {}
    for name in NAMES:
        folder = make_checkpoint(name, tmp_path_factory.mktemp("made") / name, tokenizer=False)
        folders[name] = folder, (folder / "config.json").read_text()
    return folders


@pytest.fixture(params=NAMES)
def folder(request, made):
    path, config = made[request.param]
    (path / "config.json").write_text(config)
    return path


# --- refused ----------------------------------------------------------------------------------------------------------

CHANGING = {
    "expert_capacity": 64,
    "delete_token_id": 5,
    "logit_softcapping": 30.0,
    "final_logit_softcapping": 50.0,
    "attention_multiplier": 0.5,
    "embedding_multiplier": 12.0,
    "residual_multiplier": 0.22,
    "use_relay": True,
    "use_regular_causal": True,
    "is_decoder": True,
    "pruned_heads": {"0": [1]},
    "no_rope_layers": [1, 0],
    "frobnicate": "x",
    "Vocab_size": 3,
}


@pytest.mark.parametrize("key", CHANGING)
def test_keys_that_change_the_network(folder, key):
    with pytest.raises(ModelError, match=f"'{key}' is ") as caught:
        load_model(changed(folder, **{key: CHANGING[key]}))
    assert repr(CHANGING[key]) in str(caught.value)


def test_a_block_is_read_where_a_family_has_one_and_refused_elsewhere(made):
    for name, key in (("llada2", "block_size"), ("dream", "bd_size"), ("llada", "block_size"), ("sdar", "bd_size")):
        path, config = made[name]
        (path / "config.json").write_text(config)
        with pytest.raises(ModelError, match=f"'{key}' is 16, and nothing here reads that key"):
            load_model(changed(path, **{key: 16}))


def test_the_nearest_known_key_is_named(tmp_path):
    for key, near in (("rope_thetta", "rope_theta"), ("n_head", "n_heads"), ("mask_id", "mask_token_id")):
        with pytest.raises(ModelError, match=f"'{key}' is 7, .*Did you mean '{near}'"):
            load_model(copy(LLADA, tmp_path / key, **{key: 7}))
    with pytest.raises(ModelError) as caught:
        load_model(copy(LLADA, tmp_path / "long", **{"x" * 5_000: ["y" * 5_000]}))
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("key", ["quantization_config", "quantization", "compression_config"])
def test_quantized_checkpoints_get_a_hint(folder, key):
    with pytest.raises(ModelError, match=f"'{key}' is .*take the original one, and give load_model quantize='int8'"):
        load_model(changed(folder, **{key: {"bits": 4}}))
    load_model(changed(folder, **{key: None}))


def test_keys_inside_of_keys(tmp_path):
    theta = {"rope_theta": 1e6, "rope_type": "default"}
    drop = ("rope_theta", "rope_scaling")
    assert load_model(copy(DREAM, tmp_path / "0", drop=drop, rope_parameters={**theta, "partial_rotary_factor": 1.0}))
    for number, inside in enumerate(({"factor": 4}, {"partial_rotary_factor": 0.5}, {"type": "yarn"})):
        with pytest.raises(ModelError, match=rf"'rope_parameters': '{next(iter(inside))}' is "):
            load_model(copy(DREAM, tmp_path / f"x{number}", drop=drop, rope_parameters={**theta, **inside}))
    for number, wrong in enumerate((5, [theta], "default", True)):
        with pytest.raises(ModelError, match=r"'rope_parameters' is .*an object"):
            load_model(copy(DREAM, tmp_path / f"y{number}", drop=drop, rope_parameters=wrong))


@pytest.mark.parametrize("value", [{"type": "linear", "factor": 2.0}, {"rope_type": "x"}, {}, "x", 5, [], True])
def test_a_scaled_rotation(folder, value):
    with pytest.raises(ModelError, match="'rope_scaling' is "):
        load_model(changed(folder, rope_scaling=value))


def test_a_window_that_is_switched_off_may_be_named(made):
    for name in ("dream", "sdar", "llada2", "llada-moe", "fast-dllm-v2"):
        path, config = made[name]
        (path / "config.json").write_text(config)
        off = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
        load_model(changed(path, **off))
        with pytest.raises(ModelError, match="'use_sliding_window' is True"):
            load_model(changed(path, use_sliding_window=True))
        if name != "dream":  # which requires the switch
            with pytest.raises(ModelError, match="'sliding_window' is 4096"):
                load_model(changed(path, drop=("use_sliding_window",), sliding_window=4096))


def test_true_is_not_one(tmp_path):
    with pytest.raises(ModelError, match="'rope' is 1"):
        load_model(copy(LLADA, tmp_path, rope=1))


# --- read or harmless -------------------------------------------------------------------------------------------------


def test_bookkeeping_and_what_is_neutral_change_nothing(folder):
    expected = load_model(folder).logits(IDS)
    config = json.loads((folder / "config.json").read_text())
    read = {"torch_dtype", "dtype", "eos_token_id", "mask_token_id", "architectures", "_name_or_path"}
    more = {key: "whatever" for key in BOOKKEEPING - read - config.keys()}
    more |= {key: legal[0] for key, legal in NEUTRAL.items() if key not in config}
    more |= {"frobnicate": None, "logit_softcapping": None, "sliding_window": None, "rope_scaling": {"type": "default"}}
    assert torch.equal(load_model(changed(folder, **more)).logits(IDS), expected)


PUBLISHED = {
    "llada2": {
        "max_window_layers": 28, "norm_softmax": False, "output_dropout": 0.0, "output_router_logits": False,
        "rotary_dim": 8, "router_dtype": "fp32", "transformers_version": "4.52.3", "use_rmsnorm": True,
        "use_sliding_window": False, "using_split_qkv_in_self_attention": False, "embedding_dropout": 0.0,
        "auto_map": {"AutoConfig": "configuration_llada2_moe.LLaDA2MoeConfig"}, "num_nextn_predict_layers": 0,
        "rope_parameters": {"rope_theta": 600000, "rope_type": "default", "partial_rotary_factor": 0.5},
    },
    "llada": {
        "llm_vocab_size": 126464, "new_vocab_size": 134656, "num_new_special_tokens": 0, "codebook_size": 8192,
        "num_vq_tokens": 1024, "gradient_checkpointing": True, "tie_word_embeddings": False,
    },
    "fast-dllm-v2": {
        "attention_dropout": 0.0, "bos_token_id": 151643, "initializer_range": 0.02, "max_window_layers": 28,
        "sliding_window": 131072, "layer_types": ["full_attention"] * 2, "use_mrope": False, "use_cache": True,
    },
    "sdar": {
        "debug": False, "ep_size": 1, "fuse_cross_entropy": True, "micro_forward": False, "skip_checkpoint": False,
        "use_deepep": False, "attn_implementation": "flex_attention", "num_experts": 0, "mlp_only_layers": [],
    },
    "modernbert": {
        "layer_norm_eps": 1e-5, "position_embedding_type": "absolute", "classifier_pooling": "mean",
        "deterministic_flash_attn": False, "sparse_prediction": False, "sparse_pred_ignore_index": -100,
        "reference_compile": None, "repad_logits_with_grad": False, "initializer_cutoff_factor": 2.0,
        "mlp_dropout": 0.0, "embedding_dropout": 0.0, "gradient_checkpointing": False,
    },
}  # fmt: skip
"""What published configs of these families hold besides what is read of them."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_load(made, name):
    path, config = made[name]
    (path / "config.json").write_text(config)
    expected = load_model(path).logits(IDS)
    drop = ("use_qk_norm",) if name == "llada2" else ()  # not in the published file, which has the norms
    assert torch.equal(load_model(changed(path, drop, **PUBLISHED[name])).logits(IDS), expected)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in GOLDEN.glob("*/config.json")))
def test_every_key_of_the_references_configs_is_known(name, tmp_path):
    load_model(GOLDEN / name)
    with pytest.raises(ModelError, match="'another' is 1, and nothing here reads"):
        load_model(copy(GOLDEN / name, tmp_path, another=1))


def test_no_family_lists_what_everybody_has():
    assert [family.name for family in TABLE if set(family.harmless) & (BOOKKEEPING | NEUTRAL.keys())] == []
    assert not BOOKKEEPING & NEUTRAL.keys()
