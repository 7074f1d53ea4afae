"""Text to ids and back: two file formats of one BPE, exact bytes, special tokens."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers

from dllm.errors import ModelError, PromptError
from dllm.tokenizer import Tokenizer, as_tokenizer
from dllm.tokenizer.token_bytes import byte_alphabet, byte_level, sentencepiece
from tests.support.byte_bpe import SPECIAL, TEXTS, train


@pytest.fixture(scope="module")
def core() -> tokenizers.Tokenizer:
    return train()


@pytest.fixture(scope="module")
def fast_folder(core, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fast")
    core.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module", params=["added_tokens_decoder", "added_tokens.json"])
def slow_folder(request, core, tmp_path_factory) -> Path:
    """The same tokenizer as Dream ships it: vocab.json, merges.txt and added tokens in one of two places."""
    folder = tmp_path_factory.mktemp("slow")
    bpe = json.loads(core.to_str())["model"]
    vocab = {text: i for text, i in bpe["vocab"].items() if text not in SPECIAL}
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in bpe["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    if request.param == "added_tokens.json":
        (folder / "added_tokens.json").write_text(json.dumps(SPECIAL))
        (folder / "special_tokens_map.json").write_text(
            json.dumps({"eos_token": "<|endoftext|>", "mask_token": {"content": "<|mask|>"}})
            .replace("}}", '}, "additional_special_tokens": ["<|im_start|>", {"content": "<|im_end|>"}]}')
        )  # fmt: skip
    else:
        decoder = {str(i): {"content": text, "special": True, "normalized": False} for text, i in SPECIAL.items()}
        (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    return folder


@pytest.fixture(scope="module")
def tokenizer(fast_folder) -> Tokenizer:
    return Tokenizer.from_folder(fast_folder)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_built_from_vocab_and_merges_equals_tokenizer_json(text, slow_folder, tokenizer):
    slow = Tokenizer.from_folder(slow_folder)
    assert slow.encode(text) == tokenizer.encode(text)
    assert slow.decode(slow.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    assert slow.special_ids == tokenizer.special_ids == set(SPECIAL.values())
    assert torch.equal(slow.decodable(700), tokenizer.decodable(700))


def test_digits_stay_single_and_normal_forms_meet(slow_folder):
    slow = Tokenizer.from_folder(slow_folder)
    assert len(slow.encode("1984")) == 4
    assert slow.encode("cafe\u0301") == slow.encode("caf\u00e9")


def test_no_or_broken_tokenizer(tmp_path):
    with pytest.raises(ModelError, match=r"expected tokenizer\.json, or vocab\.json with merges\.txt"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    (tmp_path / "merges.txt").write_text("#version\na b c\n")
    with pytest.raises(ModelError, match="cannot be read"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "merges.txt").write_text("")
    (tmp_path / "tokenizer_config.json").write_text('{"added_tokens_decoder": {"x": 3}}')
    with pytest.raises(ModelError, match="added tokens"):
        Tokenizer.from_folder(tmp_path)


def test_files_of_different_versions_are_refused(core, tmp_path):
    core.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|new|>": 900}))
    with pytest.raises(ModelError, match=r"give '<\|new\|>' the id 900"):
        Tokenizer.from_folder(tmp_path)


def test_padding_and_truncation_of_the_file_are_switched_off(core, tmp_path):
    other = tokenizers.Tokenizer.from_str(core.to_str())
    other.enable_truncation(2)
    other.enable_padding(length=8)
    other.save(str(tmp_path / "tokenizer.json"))
    expected = Tokenizer(core).encode("hello there")
    assert Tokenizer.from_folder(tmp_path).encode("hello there") == expected
    assert as_tokenizer(other).encode("hello there") == expected
    assert other.truncation is not None, "the caller's object is left as it was"


# --- ids, text, bytes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(text, tokenizer):
    assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_of_tokens_concatenate_to_the_text(text, tokenizer):
    parts = [tokenizer.token_bytes(i) for i in tokenizer.encode(text)]
    for special in SPECIAL:
        text = text.replace(special, "")
    assert b"".join(part for part in parts if part is not None) == unicodedata.normalize("NFC", text).encode()


def test_special_tokens(tokenizer):
    ids = tokenizer.encode("a<|mask|>b")
    assert ids[1] == SPECIAL["<|mask|>"] == tokenizer.token_to_id("<|mask|>")
    assert tokenizer.id_to_token(605) == "<|mask|>"
    assert tokenizer.token_bytes(605) is None
    assert tokenizer.decode(ids) == "a<|mask|>b"
    assert tokenizer.decode(ids, skip_special=True) == "ab"
    assert tokenizer.token_to_id("no such token") is None


def test_nothing_is_added_to_a_text(core):
    other = tokenizers.Tokenizer.from_str(core.to_str())
    other.post_processor = tokenizers.processors.TemplateProcessing("<|endoftext|> $A", None, [("<|endoftext|>", 600)])
    assert other.encode("hi").ids[0] == 600
    assert as_tokenizer(other).encode("hi") == as_tokenizer(core).encode("hi")


def test_decodable_leaves_out_holes_and_the_end(tokenizer):
    mask = tokenizer.decodable(700)
    assert mask.dtype == torch.bool
    ids = set(mask.nonzero().flatten().tolist())
    assert ids == set(range(300)) | set(SPECIAL.values())
    assert tokenizer.vocab_size == 606
    assert tokenizer.decodable(100).all()
    assert tokenizer.id_to_token(603) is tokenizer.token_bytes(603) is None


def test_decode_never_raises_for_ids(tokenizer):
    emoji = tokenizer.encode("🙂")
    assert len(emoji) == 4
    assert tokenizer.decode(emoji[:2]) == "\ufffd"
    assert tokenizer.decode([*emoji[2:], *tokenizer.encode("ok")]).endswith("ok")
    assert tokenizer.decode([603, 10**12, -1, *tokenizer.encode("ok")]) == "ok"
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode(torch.tensor(emoji)) == "🙂"


@pytest.mark.parametrize("bad", [None, 3, b"x", ["a"], "\ud800"])
def test_what_cannot_be_encoded(bad, tokenizer):
    with pytest.raises(PromptError):
        tokenizer.encode(bad)


def test_byte_alphabet_is_the_published_one():
    assert sorted(byte_alphabet().values()) == list(range(256))
    assert set(byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert (byte_alphabet()["Ġ"], byte_alphabet()["Ċ"], byte_alphabet()["a"]) == (32, 10, 97)
    assert byte_level("Ġé") == b" \xe9"
    assert byte_level("漢") == "漢".encode()


def test_sentencepiece_bytes():
    assert [sentencepiece(t) for t in ("▁Hi", "<0x0A>", "<0xff>", "<0x0A>x", "é")] == [
        b" Hi", b"\n", b"\xff", b"<0x0A>x", "é".encode(),
    ]  # fmt: skip
    core = tokenizers.Tokenizer(models.BPE({"▁": 0, "a": 1, "<0x0A>": 2, "▁a": 3}, [("▁", "a")], byte_fallback=True))
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    assert [Tokenizer(core).token_bytes(i) for i in range(5)] == [b" ", b"a", b"\n", b" a", None]


def test_bytes_of_other_vocabularies_are_those_of_the_text():
    core = tokenizers.Tokenizer(models.WordLevel({"yes": 0, "no": 1}, unk_token="no"))
    assert Tokenizer(core).token_bytes(0) == b"yes"
