"""`dllm chat`: how an answer begins, templates that do not want to end."""

import json
import shutil

import pytest

from dllm import LLM, PromptError
from dllm.cli import chat as chat_command
from tests.support import cli as cli_support
from tests.support.cli import SHORT, byte_tokenizer

# fixtures, by the names the tests ask for them
model_folder, dllm = cli_support.model_folder, cli_support.dllm


def prompt(result):
    assert result.exit_code == 0, result.stderr
    return byte_tokenizer().decode(json.loads(result.stdout)["prompt_token_ids"])


def test_a_prefilled_answer_goes_on(dllm):
    begun = dllm("chat", "hi", "--prefill", r"So\n", "-e", *SHORT, "--json")
    assert prompt(begun) == "u:hi\na:So\n"
    assert not json.loads(begun.stdout)["text"].startswith("So")
    assert prompt(dllm("chat", "hi", "--prefill", "-", *SHORT, "--json")) == "u:hi\na:-"


def test_every_turn_of_a_conversation_begins_so(dllm, monkeypatch):
    lines, asked = iter(["a", "b", None]), []

    def turn(llm, conversation, params, output):
        asked.append([message["content"] for message in conversation])
        return "reply"

    monkeypatch.setattr(chat_command, "_check_conversation", lambda output: None)
    monkeypatch.setattr(chat_command, "_ask", lambda: next(lines))
    monkeypatch.setattr(chat_command, "_turn", turn)
    assert dllm("chat", "--prefill", "So: ").exit_code == 0
    assert asked == [["a", "So: "], ["a", "So: reply", "b", "So: "]]


def test_an_empty_prefill(dllm):
    result = dllm("chat", "hi", "--prefill", "")
    assert result.exit_code == 2 and "--prefill is empty" in result.stderr


@pytest.fixture
def hostile(model_folder, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(model_folder, folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ 'a' * 10**9 }}"}))
    return folder


def test_a_hostile_checkpoint_is_one_line(dllm, hostile):
    result = dllm("chat", "hi", model=hostile)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("dllm: the chat template") and result.stderr.count("\n") == 1
    with pytest.raises(PromptError, match="the chat template"):
        LLM(hostile).chat([{"role": "user", "content": "hi"}])
