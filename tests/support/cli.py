"""What the command-line tests share: a small model folder, and ways to run a command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend
from typer.testing import CliRunner

from dllm import LLM
from dllm.cli import first_use
from dllm.cli.app import app
from dllm.cli.options import ModelOptions

ROOT = Path(__file__).parents[2]
LLADA = ROOT / "tests" / "golden" / "llada"
MASK, EOS = 246, 241
SHORT = ("-n", "8", "--block-length", "4")


def byte_tokenizer():
    """256 ids, one a byte; the two bytes that UTF-8 never uses give their places to the mask and the end of text."""
    letters = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {"þ", "ÿ"})
    ids = [i for i in range(256) if i not in (MASK, EOS)]
    vocab = dict(zip(letters, ids, strict=True)) | {"<|mdm_mask|>": MASK, "<|endoftext|>": EOS}
    backend = Backend(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<|mdm_mask|>"), AddedToken("<|endoftext|>")])
    return backend


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A random LLaDA checkpoint with a tokenizer and a short chat template; its context holds 64 tokens."""
    folder = tmp_path_factory.mktemp("model")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(LLADA / name, folder / name)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    template = "{% for m in messages %}{{ m['role'][0] + ':' + m['content'] + '\n' }}{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return folder


@pytest.fixture
def dllm(model_folder, monkeypatch):
    """Run a command in this process; the model is loaded once."""
    llm = LLM(model_folder)
    load = ModelOptions.load

    def loaded(options):
        return llm if options == ModelOptions(model=str(model_folder)) else load(options)

    monkeypatch.setattr(ModelOptions, "load", loaded)
    monkeypatch.setattr(first_use, "PATIENCE", 1e9)  # whether the loops are compiled yet is not what is tested

    def run(*arguments, input=None, model=model_folder):
        named = () if model is None else ("-m", str(model))
        return CliRunner().invoke(app, [*arguments, *named], input=input)

    return run


def python_m_dllm(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dllm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False, **options)
