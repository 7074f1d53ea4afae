"""Tokenizers that users bring along, and chat templates."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tokenizers
import torch
from transformers import PreTrainedTokenizerFast

from dllm.errors import ModelError, PromptError
from dllm.models.families.dream import DREAM
from dllm.models.families.llada import LLADA
from dllm.tokenizer import Tokenizer, as_tokenizer, tokenizer_of
from tests.support.byte_bpe import SPECIAL, train


@pytest.fixture(scope="module")
def core() -> tokenizers.Tokenizer:
    return train()


@pytest.fixture(scope="module")
def tokenizer(core) -> Tokenizer:
    return Tokenizer(core)


# --- wrap -------------------------------------------------------------------------------------------------------------


class Letters:
    """The least a tokenizer can be."""

    def encode(self, text: str) -> list[int]:
        return [ord(c) - 97 for c in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(97 + i) for i in ids)


class SlowStyle(Letters):
    """A transformers tokenizer without a fast core, as far as it is asked."""

    all_special_ids = (25,)
    special_tokens_map = {"eos_token": "z"}  # noqa: RUF012
    chat_template = "unused"

    def __len__(self) -> int:
        return 26

    def encode(self, text, add_special_tokens=True):
        return ([25] if add_special_tokens else []) + super().encode(text)

    def decode(self, ids, skip_special_tokens=False, clean_up_tokenization_spaces=True):
        assert not clean_up_tokenization_spaces
        return super().decode([i for i in ids if not (skip_special_tokens and i == 25)])

    def convert_ids_to_tokens(self, i):
        return chr(97 + i)

    def convert_tokens_to_ids(self, token):
        return ord(token) - 97

    def apply_chat_template(self, messages, tokenize, add_generation_prompt):
        return "".join(m["content"] for m in messages) + ("a" if add_generation_prompt else "")


def test_wrap_what_is_already_there(tokenizer, core, tmp_path):
    core.save(str(tmp_path / "tokenizer.json"))
    assert as_tokenizer(tokenizer) is tokenizer
    for form in (tmp_path, str(tmp_path), core):
        assert as_tokenizer(form).encode("hi there<|mask|>") == tokenizer.encode("hi there<|mask|>")


def test_wrap_transformers_fast(core, tokenizer):
    theirs = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>", mask_token="<|mask|>")
    theirs.chat_template = "{{ eos_token }}{{ messages[0]['content'] }}"
    ours = as_tokenizer(theirs)
    assert ours.encode("hi<|mask|>") == tokenizer.encode("hi<|mask|>")
    assert ours.apply_chat_template([{"role": "user", "content": "x"}]) == "<|endoftext|>x"


def test_wrap_anything_with_encode_and_decode():
    ours = as_tokenizer(Letters())
    assert (ours.encode("abc"), ours.decode([0, 1, 2]), ours.token_bytes(2)) == ([0, 1, 2], "abc", b"c")
    assert ours.decodable(5).all()
    assert ours.token_to_id("a") is ours.id_to_token(0) is None
    assert ours.special_ids == frozenset()
    with pytest.raises(PromptError, match="no chat template"):
        ours.apply_chat_template([{"role": "user", "content": "x"}])


def test_wrap_a_slow_transformers_tokenizer():
    ours = as_tokenizer(SlowStyle())
    assert ours.encode("abz") == [0, 1, 25]
    assert (ours.decode([0, 25, 99]), ours.decode([0, 25], skip_special=True)) == ("az", "a")
    assert ours.decodable(30).tolist() == [True] * 26 + [False] * 4
    assert (ours.token_bytes(0), ours.token_bytes(25), ours.token_bytes(26)) == (b"a", None, None)
    assert (ours.vocab_size, ours.token_to_id("c"), ours.id_to_token(3)) == (26, 2, "d")
    assert ours.apply_chat_template([{"role": "user", "content": "x"}]) == "xa"


class Answering(Letters):
    """Answers what it is told to."""

    def __init__(self, encoded=(0,), decoded="a", **more):
        self.encoded, self.decoded = encoded, decoded
        for name, value in more.items():
            setattr(self, name, value)

    def encode(self, text):
        return self.encoded

    def decode(self, ids):
        return self.decoded


@pytest.mark.parametrize(
    "bad", [None, "12", 7, [1.0], [0.5], ["1"], [[1, 2]], [None], [-1], torch.tensor([[1, 2]]), torch.ones(2)]
)
def test_what_is_no_list_of_ids(bad):
    with pytest.raises(ModelError, match=r"Answering gives for encode \w+ .*; it must be a sequence of token ids"):
        as_tokenizer(Answering(encoded=bad)).encode("x")
    with pytest.raises(ModelError, match="gives for all_special_ids"):
        as_tokenizer(Answering(all_special_ids=7 if bad is None else bad)).token_bytes(0)


@pytest.mark.parametrize("good", [(1, 2), [1, 2], torch.tensor([1, 2]), np.array([1, 2]), iter([1, 2]), bytes([1, 2])])
def test_what_is_a_list_of_ids(good):
    assert as_tokenizer(Answering(encoded=good)).encode("x") == [1, 2]


@pytest.mark.parametrize("bad", [b"a", None, 7, ["a"]])
def test_what_is_no_text(bad):
    ours = as_tokenizer(Answering(decoded=bad))
    with pytest.raises(ModelError, match=r"Answering gives for decode \w+ .*; it must be a string"):
        ours.decode([0])
    with pytest.raises(ModelError, match="gives for decode"):
        ours.token_bytes(0)


def test_what_is_no_token():
    ours = as_tokenizer(Answering(token_to_id=lambda token: "3", id_to_token=lambda number: 3))
    with pytest.raises(ModelError, match="gives for token_to_id list"):
        ours.token_to_id("a")
    with pytest.raises(ModelError, match="gives for id_to_token int 3"):
        ours.id_to_token(0)
    assert as_tokenizer(Answering(id_to_token=lambda number: b"\xe9")).id_to_token(0) == "\ufffd"


def test_what_somebody_elses_tokenizer_raises():
    ours = as_tokenizer(Letters())
    with pytest.raises(ModelError, match=r"Letters\.decode fails on \[2000000\] \(ValueError: chr"):
        ours.decode([2_000_000])

    class Failing(Letters):
        def encode(self, text):
            raise KeyError(text)

    with pytest.raises(PromptError, match=r"Failing\.encode fails on 'x' \(KeyError: 'x'\)"):
        as_tokenizer(Failing()).encode("x")


def test_wrap_refuses_the_rest():
    with pytest.raises(ModelError, match="lacks encode and decode"):
        as_tokenizer(3)
    with pytest.raises(ModelError, match="no such folder"):
        as_tokenizer("./nowhere")


# --- chat -------------------------------------------------------------------------------------------------------------

CHAT = [
    {"role": "user", "content": " Hi\n"},
    {"role": "assistant", "content": "Yes"},
    {"role": "user", "content": "Go"},
]


def test_llada_template(core):
    text = Tokenizer(core, chat_template=LLADA.chat_template).apply_chat_template(CHAT)
    turn = "<|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>"
    turns = [turn.format(role, content) for role, content in (("user", "Hi"), ("assistant", "Yes"), ("user", "Go"))]
    assert text == "<|startoftext|>" + "".join(turns) + "<|start_header_id|>assistant<|end_header_id|>\n\n"


def test_dream_template(core):
    chat = Tokenizer(core, chat_template=DREAM.chat_template)
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    user = "<|im_start|>user\nGo<|im_end|>\n"
    assert chat.apply_chat_template(CHAT[2:]) == system + user + "<|im_start|>assistant\n"
    assert chat.apply_chat_template(CHAT[2:], add_generation_prompt=False) == system + user
    own = [{"role": "system", "content": "Be brief."}, *CHAT[2:]]
    assert chat.apply_chat_template(own, False) == "<|im_start|>system\nBe brief.<|im_end|>\n" + user
    assert SPECIAL["<|im_start|>"] in chat.encode(chat.apply_chat_template(CHAT))


def test_where_the_template_comes_from(core, tmp_path):
    core.save(str(tmp_path / "tokenizer.json"))
    message = [{"role": "user", "content": "x"}]
    with pytest.raises(PromptError, match="no chat template"):
        Tokenizer.from_folder(tmp_path).apply_chat_template(message)
    assert Tokenizer.from_folder(tmp_path, default_template="d").apply_chat_template(message) == "d"
    named = [{"name": "tool", "template": "t"}, {"name": "default", "template": "n{{ bos_token }}"}]
    config = {"chat_template": named, "bos_token": {"content": "<|im_start|>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert Tokenizer.from_folder(tmp_path, default_template="d").apply_chat_template(message) == "n<|im_start|>"
    (tmp_path / "chat_template.jinja").write_text("j")
    assert Tokenizer.from_folder(tmp_path, default_template="d").apply_chat_template(message) == "j"


def test_a_folder_without_a_template_gets_the_familys(core, tmp_path):
    assert tokenizer_of(tmp_path, DREAM.chat_template) is None
    core.save(str(tmp_path / "tokenizer.json"))
    assert tokenizer_of(tmp_path, DREAM.chat_template).chat_template == DREAM.chat_template


@pytest.mark.parametrize(
    "bad",
    ["hi", [], {}, None, ["hi"], [{"role": "user"}], [{"content": "x"}], [{"role": "user", "content": None}],
     [{"role": 1, "content": "x"}], [{"role": "user", "content": {"type": "text", "text": "x"}}]],
)  # fmt: skip
def test_bad_messages(bad, tokenizer):
    with pytest.raises(PromptError, match="chat takes a list like"):
        tokenizer.apply_chat_template(bad)


def test_a_template_may_refuse(core):
    chat = Tokenizer(core, chat_template="{{ raise_exception('no system turn') }}")
    with pytest.raises(PromptError, match="no system turn"):
        chat.apply_chat_template(CHAT)
