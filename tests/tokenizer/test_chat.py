"""Conversations: what the templates of others make of them, messages that are refused, answers that go on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

from dllm.errors import ModelError, PromptError
from dllm.models.families.table import FAMILIES
from dllm.tokenizer import Tokenizer, as_tokenizer
from dllm.tokenizer.chat import template_of
from tests.support.byte_bpe import train
from tests.support.chat_templates import CALL, CALLED, STYLES, TOOLS

NAMED = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}
OWN = sorted({family.chat_template for family in FAMILIES.values() if family.chat_template})
TEMPLATES = STYLES | {f"own {number}": template for number, template in enumerate(OWN)}
ASK = [{"role": "user", "content": "Who?"}]
TALK = [
    {"role": "system", "content": " Be brief.\n"},
    {"role": "user", "content": " Hi <b>\n"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes 'é' 🙂"},
    {"role": "user", "content": "Go"},
]


@pytest.fixture(scope="module")
def core():
    return train()


@pytest.fixture(scope="module")
def pair(core):
    """Ours and theirs, of one core."""
    return Tokenizer(core, named=NAMED), PreTrainedTokenizerFast(tokenizer_object=core, **NAMED)


def both(pair, template, messages, **options):
    ours, theirs = pair
    ours.chat_template = theirs.chat_template = template
    ours.template_variables = options
    prefilled = messages[-1]["role"] == "assistant"
    expected = theirs.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=not prefilled, continue_final_message=prefilled, **options
    )
    return ours.apply_chat_template(messages), expected


# --- equal to transformers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEMPLATES)
def test_rendered_as_by_transformers(name, pair):
    ours, theirs = pair
    for messages in (ASK, TALK[1:], TALK, [*TALK, {"role": "assistant", "content": "So: "}]):
        mine, expected = both(pair, TEMPLATES[name], messages, enable_thinking=False)
        assert mine == expected
    closed = theirs.apply_chat_template(TALK, tokenize=False, add_generation_prompt=False, enable_thinking=False)
    assert ours.apply_chat_template(TALK, add_generation_prompt=False) == closed


@pytest.mark.parametrize("name", ["dream", "llama3", "ling"])
def test_tools_and_calls_as_by_transformers(name, pair):
    mine, expected = both(pair, STYLES[name], CALLED, tools=TOOLS)
    assert mine == expected and "Zürich <&>" in mine and "Today's weather" in mine
    mine, expected = both(pair, STYLES[name], [*CALLED, {"role": "assistant", "content": "It"}])
    assert mine == expected and mine.endswith("It")


CONTENT = st.text(st.sampled_from(list(" \n\tab<>|'\"{}%é🙂\\#")), max_size=12)
FILLED = CONTENT.filter(str.strip)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(TEMPLATES)),
    st.none() | FILLED,
    st.lists(st.tuples(CONTENT, CONTENT), max_size=2),
    CONTENT,
    st.none() | FILLED,
)
def test_any_conversation_as_by_transformers(core, name, system, turns, last, prefill):
    messages = [] if system is None else [{"role": "system", "content": system}]
    for asked, said in turns:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    messages.append({"role": "user", "content": last})
    if prefill is not None:
        messages.append({"role": "assistant", "content": prefill})
    pair = Tokenizer(core, named=NAMED), PreTrainedTokenizerFast(tokenizer_object=core, **NAMED)
    mine, expected = both(pair, TEMPLATES[name], messages)
    assert mine == expected


def test_what_templates_refuse(pair):
    for messages in (ASK * 2, [*TALK[1:3], TALK[2]]):
        with pytest.raises(Exception, match="roles must alternate"):
            both(pair, STYLES["mistral"], messages)
        with pytest.raises(PromptError, match="refuses these messages: After the optional system message"):
            pair[0].apply_chat_template(messages)


def test_reasoning_under_each_of_its_names(pair):
    for name in ("reasoning_content", "thinking", "reasoning"):
        said = {"role": "assistant", "content": "Ana.", name: "It says so."}
        mine, expected = both(pair, STYLES["qwen3"], [*ASK, said])
        assert mine == expected and "<think>\nIt says so.\n</think>\n\nAna." in mine


# --- going on in a turn -----------------------------------------------------------------------------------------------


def llada(core, template=STYLES["llada"]):
    return Tokenizer(core, chat_template=template, named=NAMED)


@pytest.mark.parametrize("content", ["t", "e", "<|eot_id|>", "assistant", "So, I", "- a\n- ", "<think>\nLet me"])
@pytest.mark.parametrize("style", ["llada", "sdar", "ling"])
def test_a_prompt_ends_behind_the_last_words(style, content, core):
    """Also where the words are those of the template."""
    chat = llada(core, STYLES[style])
    opened = chat.apply_chat_template(ASK)
    begun = chat.apply_chat_template([*ASK, {"role": "assistant", "content": content}])
    assert begun == opened + (content.rstrip() if style == "llada" else content)


@pytest.mark.parametrize("content", ["", " \n", "\n\n"])
def test_nothing_said_yet_is_an_open_turn(content, core):
    chat = llada(core)
    assert chat.apply_chat_template([*ASK, {"role": "assistant", "content": content}]) == chat.apply_chat_template(ASK)


def test_the_last_of_equal_turns_is_the_one(core):
    said = {"role": "assistant", "content": "Yes"}
    text = llada(core).apply_chat_template([*ASK, said, *ASK, said])
    assert text.endswith("Yes") and text.count("Yes") == 2 and text.count("<|eot_id|>") == 3


def test_a_turn_that_the_template_changes_cannot_go_on(core):
    for template in ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "nothing of it", STYLES["deepseek"]):
        content = "<think>a</think>b" if "think" in template else "abc"
        with pytest.raises(
            PromptError, match=r"message 1 is to be continued, and the chat template leaves out or chan"
        ):
            llada(core, template).apply_chat_template([*ASK, {"role": "assistant", "content": content}])
    with pytest.raises(PromptError, match="message 1 ends the conversation with tool_calls; give what the tool said"):
        llada(core, STYLES["dream"]).apply_chat_template(CALLED[:2])


# --- messages ---------------------------------------------------------------------------------------------------------


def test_parts_of_text_are_one_text(core):
    parts = [{"type": "text", "text": "Wh"}, {"type": "text", "text": "o?"}]
    chat = llada(core)
    assert chat.apply_chat_template([{"role": "user", "content": parts}]) == chat.apply_chat_template(ASK)
    assert chat.apply_chat_template([*ASK, {"role": "assistant", "content": parts}]).endswith("Who?")


def test_what_clients_send_back_goes_through(core):
    answer = {"role": "assistant", "content": "Ana", "tool_calls": [], "refusal": None, "audio": None, "name": "a"}
    assert "Ana" in llada(core).apply_chat_template([*ASK, answer, *ASK])


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "usr", "content": "x"}, r"message 1 has role='usr'.* Did you mean 'user'\? Known roles: system, dev"),
        ({"role": "user", "content": 3}, r"content=3, which must be a string or a list of \{'type': 'text'"),
        ({"role": "user", "content": []}, r"chat takes a list like .*; message 1 has content=\[\], which must be"),
        ({"role": "user", "content": ["x"]}, r"message 1 has content\[0\]='x', which must be"),
        (
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": "u"}]},
            r"message 1 has content\[1\] of type 'image_url'; only parts of type 'text'",
        ),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, r"content\[0\] with text=None"),
        ({"role": "user", "content": [{"type": "text", "text": "", "x": 1}]}, r"content\[0\] with the key 'x'"),
        ({"role": "user", "contnet": "x", "content": "x"}, r"key 'contnet'.* Did you mean 'content'\? Known"),
        ({"role": "user", "content": "x", 1: 2}, "message 1 has the key 1, which"),
        ({"role": "user", "content": "x", "name": 3}, "message 1 has name=3, which must be a string"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, "tool_calls, which belongs to a message of role"),
        ({"role": "user", "content": "x", "tool_call_id": "1"}, "tool_call_id, which belongs to a message of role"),
        ({"role": "assistant", "tool_calls": [CALL]}, "has tool_calls, which this chat template cannot render"),
        ({"role": "tool", "content": "x"}, "role='tool', which this chat template cannot render; put the result"),
    ],
)  # fmt: skip
def test_messages_that_are_refused(message, said, core):
    with pytest.raises(PromptError, match=said):
        llada(core).apply_chat_template([*ASK, message, *ASK])


@pytest.mark.parametrize("calls", [3, "f", [3], {"a": 1}, [{"function": {1, 2}}]])
def test_calls_of_another_form(calls, core):
    with pytest.raises(PromptError, match="message 0 has tool_calls"):
        llada(core, STYLES["dream"]).apply_chat_template([{"role": "assistant", "tool_calls": calls}, *ASK])


def test_what_a_template_names_is_its_own_affair(core):
    template = (
        "{% for m in messages %}{% if m.role == 'critic' %}({{ m.score }} {{ m.content }}){% else %}{{ m.content }}"
        "{% endif %}{% endfor %}"
    )
    chat = llada(core, template)
    assert chat.apply_chat_template([{"role": "critic", "content": "ok", "score": 3}, *ASK]) == "(3 ok)Who?"
    with pytest.raises(PromptError, match="must be what JSON can hold"):
        chat.apply_chat_template([{"role": "critic", "content": "ok", "score": {1}}, *ASK])


def test_what_a_template_leaves_out_is_said(core):
    only_users = llada(core, "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}")
    with pytest.raises(
        PromptError, match=r"message 0 has role='system', which this chat template does not render; use"
    ):
        only_users.apply_chat_template(TALK)
    developer = [{"role": "developer", "content": "Be brief."}, *ASK]
    with pytest.raises(PromptError, match=r"role='developer', .* use the role 'system' or 'user'"):
        llada(core, STYLES["modernbert"]).apply_chat_template(developer)
    assert "developer\nBe brief." in llada(core, STYLES["sdar"]).apply_chat_template(developer)


# --- which template ---------------------------------------------------------------------------------------------------


def test_of_named_templates_the_default(core, tmp_path):
    named = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    assert template_of(named, "x") == template_of({"tool_use": "t", "default": "d"}, "x") == "d"
    assert template_of(None, "x") is None
    theirs = PreTrainedTokenizerFast(tokenizer_object=core)
    theirs.chat_template = {"tool_use": "t", "default": "d"}
    assert as_tokenizer(theirs).apply_chat_template(ASK) == "d"


@pytest.mark.parametrize(
    "bad",
    [5, True, [], {}, ["x"], [{"name": ["x"], "template": "t"}], [{"name": "default", "template": 3}], [{}], {"a": 1},
     {"default": None}, [{"name": "rag", "template": "t"}], [[["default", "t"]]]],
)  # fmt: skip
def test_templates_of_another_form(bad, core, tmp_path):
    core.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": bad}))
    with pytest.raises(ModelError, match=r"chat_template in tokenizer_config\.json (is|names)"):
        Tokenizer.from_folder(tmp_path)


# --- tokenizers from outside ------------------------------------------------------------------------------------------


class Slow(PreTrainedTokenizer):
    """A transformers tokenizer without a fast core: words of one letter."""

    vocab_size = 128

    def get_vocab(self):
        return {chr(i): i for i in range(128)}

    def _tokenize(self, text, **kwargs):
        return list(text)

    def _convert_token_to_id(self, token):
        return ord(token)

    def _convert_id_to_token(self, index):
        return chr(index)


class WithItsOwn(Slow):
    """One that renders in its own way, and need not be told that a turn goes on."""

    def apply_chat_template(self, conversation, tokenize=True, add_generation_prompt=False):
        text = "".join(f"<{turn['role']}>{turn['content']}</>" for turn in conversation)
        return text + ("<assistant>" if add_generation_prompt else "")


class Strict(Slow):
    """One that wants to be told."""

    def apply_chat_template(
        self, conversation, tokenize=True, add_generation_prompt=False, continue_final_message=False
    ):
        if continue_final_message is not (conversation[-1]["role"] == "assistant") or add_generation_prompt:
            raise ValueError("expected another last role")
        return "".join(turn["content"] for turn in conversation)


def test_foreign_tokenizers_go_on_too():
    begun = [*ASK, {"role": "assistant", "content": "So, "}]
    slow = Slow()
    slow.chat_template = STYLES["sdar"]
    expected = slow.apply_chat_template(begun, tokenize=False, continue_final_message=True)
    assert as_tokenizer(slow).apply_chat_template(begun) == expected and expected.endswith("assistant\nSo, ")
    assert as_tokenizer(WithItsOwn()).apply_chat_template(begun) == "<user>Who?</><assistant>So, "
    assert as_tokenizer(WithItsOwn()).apply_chat_template(CALLED[::2]).endswith("<tool>it rains</><assistant>")
    assert as_tokenizer(Strict()).apply_chat_template(begun) == "Who?So, "
    with pytest.raises(
        PromptError, match="the tokenizer's apply_chat_template refuses these messages: expected another"
    ):
        as_tokenizer(Strict()).apply_chat_template(ASK)
    slow.chat_template = "{% for i in range(9) %}{{ 'a' * 10**9 }}{% endfor %}"
    with pytest.raises(PromptError, match=r"MB of memory|longer than 5 s|more than 2000000"):
        as_tokenizer(slow).apply_chat_template(ASK)
