"""What a folder may hold that nobody should open, believe or wait for: each kind has its `ModelError`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dllm import ModelError, load_model
from dllm import hub as hub_module
from dllm.hub import read_json, read_text, resolve_folder
from dllm.testing.checkpoints import make_checkpoint
from dllm.tokenizer import tokenizer_of
from tests.support.checkpoints import DREAM, IDS, LLADA, NORM, copy, shard

INDEX = "model.safetensors.index.json"


# --- nothing outside the folder ---------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    """A folder beside the model's, whose files are whole: opening one would work."""
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "../outside/{}",
        "{home}/outside/{}",
        "./{}",
        "x/../{}",
        "..\\outside\\{}",
        "\0{}",
        ".{}",
        "{long}",
        "",
        ".",
        "..",
    ],
)
def test_an_index_names_files_of_its_own_folder(tmp_path, outside, name):
    folder = shard(LLADA, tmp_path / "x")
    weight_map = json.loads((folder / INDEX).read_text())["weight_map"]
    file = weight_map[NORM]
    shutil.copy(folder / file, outside)
    named = name.format(file, home=tmp_path, long="x" * 5_000)
    changed = {tensor: named if shard == file else shard for tensor, shard in weight_map.items()}
    (folder / INDEX).write_text(json.dumps({"weight_map": changed}))
    with pytest.raises(ModelError, match=r"index\.json: puts 'model\.[^']+' into .*of this folder") as caught:
        load_model(folder)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("bad", [5, None, True, 1.5, ["x"], {}])
def test_an_index_gives_every_tensor_the_name_of_a_file(tmp_path, bad):
    folder = shard(LLADA, tmp_path)
    weight_map = json.loads((folder / INDEX).read_text())["weight_map"]
    (folder / INDEX).write_text(json.dumps({"weight_map": {**weight_map, NORM: bad}}))
    with pytest.raises(ModelError, match=rf"index\.json: puts '{NORM}' into"):
        load_model(folder)


FILES = (
    *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "adapter_config.json"),
)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A checkpoint with all files that are read of one in a single file."""
    folder = make_checkpoint("llada", tmp_path_factory.mktemp("made") / "complete")
    for file in ("generation_config.json", "special_tokens_map.json", "added_tokens.json"):
        (folder / file).write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    return folder


def load_all(folder):
    load_model(folder, device="cpu")
    tokenizer_of(folder, None)


@pytest.mark.parametrize("file", FILES)
def test_links_out_of_the_folder_are_not_followed(tmp_path, outside, complete, file):
    folder = tmp_path / "x"
    shutil.copytree(complete, folder)
    if (folder / file).exists():
        shutil.move(folder / file, outside / file)
    else:
        (outside / file).write_text("{}")
    for target in (outside / file, Path("../outside") / file):
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to(target)
        with pytest.raises(ModelError, match=rf"{file}: is a link to .*nothing outside the folder is opened"):
            load_all(folder)


def test_a_shard_that_is_a_link_out_of_the_folder(tmp_path, outside):
    folder = shard(LLADA, tmp_path / "x")
    name = "model-00001-of-00003.safetensors"
    shutil.move(folder / name, outside)
    (folder / name).symlink_to(outside / name)
    with pytest.raises(ModelError, match=rf"{name}: is a link to .*nothing outside"):
        load_model(folder)


def test_links_of_the_hubs_cache_and_inside_the_folder_are_followed(tmp_path, outside):
    blobs = tmp_path / "models--org--name" / "blobs"
    folder = tmp_path / "models--org--name" / "snapshots" / "0123"
    blobs.mkdir(parents=True)
    copy(LLADA, folder)
    expected = load_model(folder).logits(IDS)
    for number, path in enumerate(sorted(folder.iterdir())):
        shutil.move(path, blobs / str(number))
        path.symlink_to(Path("../../blobs") / str(number))
    assert torch.equal(load_model(folder).logits(IDS), expected)
    (tmp_path / "link").symlink_to(folder)
    assert torch.equal(load_model(tmp_path / "link").logits(IDS), expected)
    # a blob that is itself a link elsewhere
    shutil.move(blobs / "0", outside / "0")
    (blobs / "0").symlink_to(outside / "0")
    with pytest.raises(ModelError, match="nothing outside the folder"):
        load_model(folder)
    inside = copy(LLADA, tmp_path / "inside")
    (inside / "config.json").rename(inside / "really.json")
    (inside / "config.json").symlink_to("really.json")
    assert torch.equal(load_model(inside).logits(IDS), expected)


def test_links_to_nothing_and_things_that_are_no_files(tmp_path):
    folder = copy(LLADA, tmp_path / "x")
    (folder / "config.json").unlink()
    for target in ("config.json", "nowhere"):
        (folder / "config.json").symlink_to(target)
        with pytest.raises(ModelError, match=r"config\.json: cannot be opened"):
            load_model(folder)
        (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(ModelError, match=r"config\.json: is not a file"):
        load_model(folder)


@pytest.mark.parametrize("name", ["x" * 5_000, "x" * 300 + "/y", "\0", "a\0b/c", "~nobody-of-this-name/x", "\udc80"])
def test_names_that_no_folder_can_have(name):
    with pytest.raises(ModelError, match="no such folder") as caught:
        resolve_folder(name)
    assert len(str(caught.value)) < 1_000 or len(name) > 1_000


# --- files of text ----------------------------------------------------------------------------------------------------

JSON_FILES = [file for file in FILES if file.endswith(".json") and file != "adapter_config.json"]
BROKEN = {
    "empty": (b"", "not valid JSON"),
    "a list": (b"[1]", "must hold a JSON object, not list"),
    "null": (b"null", "must hold a JSON object, not NoneType"),
    "100,000 lists": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested more than 64 levels"),
    "70 lists": (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "nested more than 64 levels"),
    "100,000 objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested more than 64 levels"),
    "a key twice": (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
    "5,000 digits": (b'{"a": ' + b"9" * 5_000 + b"}", "not valid JSON"),
    "half a character": (b'{"a": "\\udc00"}', r"half of a surrogate pair, \\udc00"),
    "no UTF-8": (b'{"a": "\xff"}', "cannot be read"),
    "UTF-16": (b"\xff\xfe{\x00}\x00", "cannot be read"),
    "cut": (b'{"a": ', "not valid JSON"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("file", JSON_FILES)
def test_broken_json_is_named(tmp_path, complete, file, what):
    data, match = BROKEN[what]
    folder = tmp_path / "x"
    shutil.copytree(complete, folder)
    (folder / file).write_bytes(data)
    with pytest.raises(ModelError, match=rf"x/{file}: .*{match}") as caught:
        load_all(folder)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_index_is_named(tmp_path, what):
    data, match = BROKEN[what]
    folder = shard(LLADA, tmp_path / "x")
    (folder / INDEX).write_bytes(data)
    with pytest.raises(ModelError, match=rf"x/{INDEX}: .*{match}"):
        load_model(folder)


def test_a_byte_order_mark_and_pairs_of_surrogates_are_read(tmp_path):
    file = tmp_path / "x.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": "\\ud83d\\ude42", "b": NaN}')
    assert read_json(file)["a"] == "🙂"


def test_files_that_are_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "SMALL", 10)
    file = tmp_path / "x.json"
    file.write_text('{"a": "bcdefgh"}')
    with pytest.raises(ModelError, match=r"x\.json: is longer than 10 characters"):
        read_text(file, hub_module.SMALL)


# --- numbers ----------------------------------------------------------------------------------------------------------

HUGE = (
    1 << 25,
    1 << 31,
    1 << 63,
    1 << 70,
    10**400,
    -(1 << 70),
    1e300,
    float("inf"),
    float("nan"),
    True,
    "64",
    [64],
    {},
)
SIZES = {
    LLADA: ("d_model", "n_heads", "n_kv_heads", "n_layers", "mlp_hidden_size", "vocab_size", "embedding_size"),
    DREAM: ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size"),
}


@pytest.mark.parametrize(("source", "key"), [(source, key) for source, keys in SIZES.items() for key in keys])
def test_sizes_are_checked_before_they_reach_torch(tmp_path, source, key):
    for number, value in enumerate(HUGE):
        with pytest.raises(ModelError, match=f"'{key}' is ") as caught:
            load_model(copy(source, tmp_path / str(number), **{key: value}))
        assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("value", [10**400, 1e300, 1e-300, float("nan"), float("inf"), 0, -1, True, "1", None, [1]])
@pytest.mark.parametrize("key", ["rms_norm_eps", "rope_theta"])
def test_factors_are_checked_too(tmp_path, key, value):
    with pytest.raises(ModelError, match=f"'{key}' is .*a positive number"):
        load_model(copy(LLADA, tmp_path, **{key: value}))


@pytest.mark.parametrize(
    ("example", "changes", "match"),
    [
        ("sdar", {"head_dim": 1 << 20, "num_attention_heads": 64}, "heads times their width: 67108864; .* at most"),
        ("llada", {"mlp_hidden_size": None, "mlp_ratio": 1 << 20}, "feed-forward width: 67108864"),
        ("llada2", {"num_shared_experts": 1 << 20}, "width of the shared experts: 33554432"),
        ("sdar", {"num_hidden_layers": 10_000}, "asks for 10000 layers and experts, and there are 2[0-9] tensors"),
        ("sdar-moe", {"num_experts": 10_000}, "asks for 20002 layers and experts"),
        ("modernbert", {"num_hidden_layers": 10_000}, "asks for 10000 layers and experts"),
        ("llada2", {"first_k_dense_replace": 1 << 40}, "'first_k_dense_replace' is 1099511627776"),
        ("llada-moe", {"moe_layer_freq": [1] * 500_000}, r"'moe_layer_freq' is \[1, 1.*\.\.\.; it must be"),
        ("sdar-moe", {"mlp_only_layers": [0, 7]}, "'mlp_only_layers' is .*a list of layers, 0 to 1"),
        ("sdar-moe", {"mlp_only_layers": [0.0]}, "'mlp_only_layers' is"),
        ("sdar-moe", {"num_experts": "8"}, "'num_experts' is '8'"),
        ("sdar", {"block_size": 1 << 20}, "'block_size' is 1048576; it must be .* at most 4096"),
    ],
)
def test_products_and_counts_are_checked_before_anything_is_built(tmp_path, example, changes, match):
    folder = make_checkpoint(example, tmp_path / "x", tokenizer=False)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ModelError, match=match) as caught:
        load_model(folder)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(("example", "key"), [("a2d-llama", "hidden_size"), ("modernbert", "vocab_size")])
def test_nothing_is_allocated_before_the_shapes_are_known_to_fit(tmp_path, example, key, monkeypatch):
    """Also where it would succeed: memory that is not touched is not counted."""
    folder = make_checkpoint(example, tmp_path / "x", tokenizer=False)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: 1 << 20}))
    allocated, empty = [], torch.empty

    def noted(*size, **options):
        made = empty(*size, **options)
        allocated.append(0 if made.is_meta else made.nbytes)
        return made

    monkeypatch.setattr(torch, "empty", noted)
    with pytest.raises(ModelError, match="wrong shape"):
        load_model(folder)
    assert max(allocated) < 1 << 20


@pytest.mark.parametrize("value", [["float32"], {}, 5, "float8"])
@pytest.mark.parametrize("key", ["torch_dtype", "dtype"])
def test_a_dtype_that_is_none(tmp_path, key, value):
    with pytest.raises(ModelError, match=f"'{key}' is .*give load_model a dtype"):
        load_model(copy(LLADA, tmp_path, **{"torch_dtype": None, key: value}))


# --- weights ----------------------------------------------------------------------------------------------------------


def test_rotary_frequencies_of_old_files_are_passed_over(tmp_path):
    tensors = load_file(DREAM / "model.safetensors")
    tensors["rotary_emb.inv_freq"] = torch.ones(8)
    tensors |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(8) for i in range(2)}
    model = load_model(copy(DREAM, tmp_path / "x", tensors, torch_dtype=None))
    assert torch.equal(model.logits(IDS), load_model(DREAM).logits(IDS))
    assert torch.equal(load_model(shard(tmp_path / "x", tmp_path / "y")).logits(IDS), model.logits(IDS))
    tensors["model.layers.0.inv_freq"] = torch.ones(8)
    with pytest.raises(ModelError, match=r"1 unexpected: model\.layers\.0\.inv_freq"):
        load_model(copy(DREAM, tmp_path / "z", tensors))


def test_an_adapter_is_called_one(tmp_path):
    alone = tmp_path / "lora"
    alone.mkdir()
    (alone / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "org/base"}')
    save_file({"base_model.model.q.lora_A.weight": torch.ones(2, 2)}, alone / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"an adapter of 'org/base' \(LoRA.*merge it into its base"):
        load_model(alone)
    beside = copy(LLADA, tmp_path / "beside")
    (beside / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"adapter_config\.json makes this an adapter \(LoRA"):
        load_model(beside)


# --- ids --------------------------------------------------------------------------------------------------------------


def test_ids_that_are_not_ids_do_not_become_the_mask(tmp_path):
    folder = copy(LLADA, tmp_path, drop=("mask_token_id",))
    (folder / "added_tokens.json").write_text(json.dumps({"<|mdm_mask|>": -3}))
    with pytest.raises(ModelError, match="with the id -3"):
        load_model(folder)
    with pytest.raises(ModelError, match=r"'mask_token_id' is \[3, 4\]; it must be one id"):
        load_model(copy(LLADA, tmp_path / "two", mask_token_id=[3, 4]))
