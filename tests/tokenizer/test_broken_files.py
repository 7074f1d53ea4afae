"""Tokenizer files that are not what they should be: a `ModelError` names the file and what it holds."""

from __future__ import annotations

import json

import pytest

from dllm import ModelError
from dllm.tokenizer import Tokenizer, as_tokenizer

SLOW = {"vocab.json": {"a": 0, "b": 1}, "merges.txt": "#version\n"}


def tokenizer_folder(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, value in {**SLOW, **files}.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("file", "value", "match"),
    [
        ("tokenizer_config.json", {"additional_special_tokens": 5}, "'additional_special_tokens' is 5"),
        ("special_tokens_map.json", {"additional_special_tokens": [5]}, "'additional_special_tokens' is 5"),
        ("special_tokens_map.json", {"mask_token": 5}, "'mask_token' is 5"),
        ("special_tokens_map.json", {"eos_token": {"content": ["x"]}}, r"'eos_token' is \{'content'"),
        (
            "tokenizer_config.json",
            {"chat_template": [{"name": ["x"]}]},
            r"chat_template in tokenizer_config.json is \[\{'name'",
        ),
        ("tokenizer_config.json", {"chat_template": [5]}, r"chat_template in tokenizer_config.json is \[5\]"),
        ("tokenizer_config.json", {"chat_template": {"default": 5}}, "chat_template in tokenizer_config.json is"),
        ("tokenizer_config.json", {"chat_template": "x" * (1 << 21)}, "chat_template in .*1,048,576 characters"),
        ("chat_template.jinja", "x" * (1 << 21), r"chat_template\.jinja: is longer"),
        ("tokenizer_config.json", {"added_tokens_decoder": [1]}, "'added_tokens_decoder' is .*an object"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"-1": {"content": "x"}}}, "with the id '-1'"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"9" * 400: {"content": "x"}}}, "with the id '999"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"3": None}}, "added tokens hold None with the id 3"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"3": {"content": ["x"]}}}, "added tokens hold"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"3": {"content": "x", "special": "no"}}},
            "neither true nor",
        ),
        ("added_tokens.json", {"x": 1.5}, "added tokens hold .* with the id 1.5"),
        ("added_tokens.json", {"x": True}, "with the id True"),
        ("added_tokens.json", {"x": 1 << 70}, "with the id 1180591620717411303424"),
        ("vocab.json", {"a": "x"}, "the tokenizer files cannot be read"),
        ("vocab.json", {"a": 1 << 70}, "the tokenizer files cannot be read"),
        ("merges.txt", "a", "the tokenizer files cannot be read"),
        ("tokenizer.json", {"added_tokens": 5}, "'added_tokens' is 5"),
        ("tokenizer.json", {"added_tokens": [{"content": "x"}]}, "with the id None"),
        ("tokenizer.json", {"model": {"type": "BPE"}}, "the tokenizer files cannot be read"),
    ],
)
def test_tokenizer_files_of_wrong_types(tmp_path, file, value, match):
    folder = tokenizer_folder(tmp_path / "x", **{file: value})
    with pytest.raises(ModelError, match=match) as caught:
        Tokenizer.from_folder(folder)
    assert len(str(caught.value)) < 1_000


BPE = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
WORDS = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "missing"}


def made(**parts):
    empty = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"))
    return {"version": "1.0", **empty, "added_tokens": [], "model": BPE, **parts}


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ({"model": {**BPE, "continuing_subword_prefix": "#" * 9}}, "files cannot be read .*library failed"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "files cannot be read"),
        ({"model": WORDS}, r"cannot encode 'a b' \(WordLevel error"),
        ({"pre_tokenizer": {"type": "FixedLength", "length": 0}}, "cannot encode 'a b' .*library failed"),
        ({"decoder": {"type": "Strip", "content": "a", "start": 5, "stop": 5}}, "cannot decode .*library failed"),
    ],
)
def test_failures_inside_the_tokenizers_library(tmp_path, parts, match):
    """Bare exceptions, and panics, which are no exceptions."""
    (tmp_path / "tokenizer.json").write_text(json.dumps(made(**parts)))
    with pytest.raises(ValueError, match=match) as caught:
        tokenizer = as_tokenizer(str(tmp_path))
        tokenizer.encode("a b")
        tokenizer.decode([0])
    assert type(caught.value).__module__ == "dllm.errors"
