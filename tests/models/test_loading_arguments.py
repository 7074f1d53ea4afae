"""What users may call a model, and arguments that are refused. Nothing here reaches the network."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import huggingface_hub
import pytest
import torch

import dllm.hub as folder_module
from dllm.errors import ConfigError, DllmError, ModelError
from dllm.hub import resolve_folder
from dllm.models import loading
from dllm.models.loading import load_model
from tests.support.checkpoints import LLADA, copy


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dtype": "int8"}, "'bfloat16'"),
        ({"dtype": torch.int8}, "'bfloat16'"),
        ({"device": "gpu"}, "'cuda'"),
        ({"device": "cpu", "device_map": "auto"}, "choose one"),
        ({"device_map": "balanced"}, "'auto'"),
        ({"device_map": {"layers": "cpu"}}, "legal are '', embed, blocks, norm, head"),
        ({"device_map": {"embed": "cpu"}}, "places nothing that holds"),
        ({"device_map": {"": "disk"}}, "disk"),
        ({"revision": "main"}, "Hub ids"),
    ],
)
def test_illegal_arguments(options, match):
    with pytest.raises(ConfigError, match=match):
        load_model(LLADA, **options)


@pytest.fixture
def no_network(monkeypatch):
    """Fails the test if the Hub is asked for anything."""

    def refuse(*_, **__):
        pytest.fail("asked the Hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


@pytest.mark.parametrize("name", ["./x", "~/x", "/no/x", "a/b/c", "../x", "x/", Path("org/name"), "a b"])
def test_paths_never_ask_the_hub(no_network, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path / "..")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelError, match="no such folder"):
        resolve_folder(name)


@pytest.mark.parametrize("bad", ["", None, 3])
def test_what_is_no_name_at_all(no_network, bad):
    with pytest.raises(ModelError, match="must be a folder, a Hub id or 'tiny'"):
        load_model(bad)


def test_existing_folder_and_file(no_network, tmp_path):
    assert resolve_folder(tmp_path) == tmp_path
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="is a file"):
        resolve_folder(tmp_path / "config.json")


def test_hub_ids_ask_for_the_needed_files_only(monkeypatch, tmp_path):
    asked = {}

    def download(repository, *, revision, allow_patterns):
        asked.update(repository=repository, revision=revision, patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve_folder("GSAI-ML/LLaDA-8B-Instruct", "abc") == tmp_path
    assert (asked["repository"], asked["revision"]) == ("GSAI-ML/LLaDA-8B-Instruct", "abc")
    assert {"*.json", "*.safetensors", "merges.txt"} <= set(asked["patterns"])
    assert not any(pattern.endswith((".py", ".bin", "*")) for pattern in asked["patterns"])


def test_hub_failures_say_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host\nmore")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # whatever the environment says
    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelError, match=r"neither a folder nor available.*no route to host\)$") as caught:
        resolve_folder("org/name")
    assert isinstance(caught.value, DllmError)


def test_offline_says_so(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set, and it is not in the local cache; unset that"):
        resolve_folder("org/name-that-is-nowhere")


def test_a_folder_of_code_alone_says_what_is_missing(tmp_path):
    (tmp_path / "config.json").write_text((LLADA / "config.json").read_text())
    (tmp_path / "modeling_llada.py").write_text("raise SystemExit")
    with pytest.raises(ModelError, match=r"no weights.*modeling_llada\.py is code, which dllm never runs"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"architectures": ["Other"], "auto_map": {}}')
    with pytest.raises(ModelError, match="Code that comes with a checkpoint is never run"):
        load_model(tmp_path)


def test_a_large_checkpoint_shows_a_bar(monkeypatch):
    shown = []
    monkeypatch.setattr(loading, "LARGE", 1)
    monkeypatch.setattr(
        loading, "progress_bar", lambda *arguments: shown.append(arguments) or nullcontext(lambda: None)
    )
    load_model(LLADA)
    assert shown == [(21, None, "loading")]


def test_tiny_is_packaged_or_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(folder_module, "__file__", str(tmp_path / "folder.py"))
    with pytest.raises(ModelError, match="'tiny' is not in this installation"):
        resolve_folder("tiny")
    (tmp_path / "models").mkdir()
    copy(LLADA, tmp_path / "models" / "tiny")
    assert resolve_folder("tiny") == tmp_path / "models" / "tiny"
