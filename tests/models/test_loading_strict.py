"""Every way of loading a checkpoint partly or wrongly is an error that says what is wrong."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from dllm.errors import ModelError
from dllm.models.checkpoint import open_checkpoint
from dllm.models.loading import load_model
from tests.support.checkpoints import DREAM, HEAD, LLADA, NORM, copy, shard


def test_missing_unexpected_and_misshapen_tensors_are_all_named(tmp_path):
    tensors = load_file(LLADA / "model.safetensors")
    tensors["model.transformer.extra"] = torch.zeros(2)
    tensors[NORM] = torch.zeros(65)
    del tensors[HEAD]
    with pytest.raises(ModelError) as caught:
        load_model(copy(LLADA, tmp_path, tensors))
    message = str(caught.value)
    assert f"1 missing: {HEAD}" in message
    assert "1 unexpected: model.transformer.extra" in message
    assert f"{NORM} is [65] in the file and [64] by the config" in message


def test_a_long_list_is_cut(tmp_path):
    with pytest.raises(ModelError, match="and 1 more"):
        load_model(copy(LLADA, tmp_path, n_layers=1))


def test_tensor_in_two_shards(tmp_path):
    shard(LLADA, tmp_path)
    first, second = sorted(tmp_path.glob("model-*"))[:2]
    save_file({**load_file(second), **load_file(first)}, second)
    with pytest.raises(ModelError, match=r"model-00002.*in another shard too: model\.transformer"):
        load_model(tmp_path)


def test_shard_that_is_missing(tmp_path):
    shard(LLADA, tmp_path)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match="1 shards that are not there: model-00002-of-00003"):
        load_model(tmp_path)


def test_index_that_names_the_wrong_shard_or_tensor(tmp_path):
    index = shard(LLADA, tmp_path) / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"]
    for name, file in ((NORM, "model-00001-of-00003.safetensors"), ("ghost", "model-00001-of-00003.safetensors")):
        index.write_text(json.dumps({"weight_map": {**weight_map, name: file}}))
        with pytest.raises(ModelError, match=f"1 tensors are not in the shard it names: {name}"):
            load_model(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_broken_index(tmp_path, text):
    (shard(LLADA, tmp_path) / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match=r"index\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 1000, -100])
def test_truncated_file(tmp_path, keep):
    file = copy(LLADA, tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"model\.safetensors: truncated or corrupt"):
        load_model(tmp_path)


def test_quantised_weights_are_refused(tmp_path):
    tensors = {**load_file(LLADA / "model.safetensors"), NORM: torch.zeros(64, dtype=torch.int8)}
    with pytest.raises(ModelError, match=r"ln_f\.weight \(I8\).*quantised"):
        load_model(copy(LLADA, tmp_path / "int8", tensors))
    with pytest.raises(ModelError, match="'quantization_config'"):
        load_model(copy(LLADA, tmp_path / "config", quantization_config={"bits": 4}))


def test_pickled_or_no_weights(tmp_path):
    (copy(LLADA, tmp_path) / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights; expected model\.safetensors"):
        load_model(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ModelError, match=r"pickled.*convert them to safetensors"):
        load_model(tmp_path)


# --- config -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["rope_theta", "weight_tying", "rms_norm_eps", "n_kv_heads", "rope", "block_group_size"]
)
def test_missing_llada_key(tmp_path, key):
    with pytest.raises(ModelError, match=f"'{key}' is missing"):
        load_model(copy(LLADA, tmp_path, drop=(key,)))


@pytest.mark.parametrize("key", ["rope_theta", "tie_word_embeddings", "num_key_value_heads", "use_sliding_window"])
def test_missing_dream_key(tmp_path, key):
    with pytest.raises(ModelError, match=f"'{key}' is missing"):
        load_model(copy(DREAM, tmp_path, drop=(key,)))


@pytest.mark.parametrize(
    ("source", "key", "value"),
    [
        (LLADA, "alibi", True),
        (LLADA, "block_type", "sequential"),
        (LLADA, "activation_type", "gelu"),
        (LLADA, "layer_norm_type", "low_precision"),
        (LLADA, "rope", False),
        (LLADA, "rope_scaling", {"factor": 2}),
        (LLADA, "multi_query_attention", True),
        (LLADA, "bias_for_layer_norm", True),
        (LLADA, "layer_norm_with_affine", False),
        (LLADA, "clip_qkv", 8.0),
        (LLADA, "n_heads", 5),
        (LLADA, "n_kv_heads", 3),
        (LLADA, "n_layers", 0),
        (LLADA, "d_model", 64.0),
        (LLADA, "rope_theta", -1),
        (LLADA, "weight_tying", "no"),
        (LLADA, "embedding_size", 100),
        (LLADA, "torch_dtype", "int8"),
        (DREAM, "hidden_act", "gelu"),
        (DREAM, "rope_scaling", {"rope_type": "yarn"}),
        (DREAM, "use_sliding_window", True),
        (DREAM, "use_mrope", True),
        (DREAM, "head_dim", 32),
    ],
)
def test_values_that_are_not_implemented(tmp_path, source, key, value):
    with pytest.raises(ModelError, match=f"'{key}' is ") as caught:
        load_model(copy(source, tmp_path, **{key: value}))
    assert repr(value) in str(caught.value)


def test_bias_everywhere_with_norms_left_open_is_refused(tmp_path):
    with pytest.raises(ModelError, match="'bias_for_layer_norm' is None"):
        load_model(copy(LLADA, tmp_path, include_bias=True, bias_for_layer_norm=None))


def test_unknown_architecture(tmp_path):
    with pytest.raises(
        ModelError, match=r"'LLaDAModel' is not one of LLaDAModelLM, .*DreamModel.*Did you mean 'LLaDAModelLM'"
    ):
        load_model(copy(LLADA, tmp_path, architectures=["LLaDAModel"]))
    for bad in ([], None, "LLaDAModelLM"):
        with pytest.raises(ModelError, match="'architectures' is"):
            load_model(copy(LLADA, tmp_path, architectures=bad))


def test_model_type_is_not_looked_at(tmp_path):
    assert load_model(copy(DREAM, tmp_path, model_type="llada")).lookback == 1


def test_broken_config(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(tmp_path)
    for text in ("{", "[1]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ModelError, match=r"config\.json"):
            load_model(tmp_path)


def test_headers_are_read_without_the_weights(tmp_path):
    checkpoint = open_checkpoint(shard(LLADA, tmp_path))
    assert len(checkpoint.tensors) == 21
    assert checkpoint.tensors[NORM].shape == (64,)
    assert checkpoint.dtype == torch.float32
