"""`dllm chat`: one answer, or a conversation on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from dllm.cli.delivery import deliver, run_request
from dllm.cli.grammar_options import GrammarOptions
from dllm.cli.grouping import grouped
from dllm.cli.inputs import read_argument, unescape
from dllm.cli.options import Escape, ModelOptions, OutputOptions, SamplingOptions
from dllm.cli.shell import UsageError

if TYPE_CHECKING:
    from dllm import LLM, SamplingParams

Conversation = list[dict[str, str]]
RESET = "/reset"


@grouped
def chat(
    message: Annotated[
        str | None,
        Argument(help="One message, or - to read it from stdin. Without it: a conversation.", show_default=False),
    ] = None,
    system: Annotated[str | None, Option(metavar="TEXT", help="A system message in front.")] = None,
    prefill: Annotated[
        str | None,
        Option(metavar="TEXT", help="How the answer begins; it goes on from there, and only that is printed."),
    ] = None,
    escape: Escape = False,
    *,
    model: ModelOptions,
    sampling: SamplingOptions,
    grammar: GrammarOptions,
    output: OutputOptions,
) -> None:
    """Answer MESSAGE through the model's chat template; without MESSAGE, converse until end of file (Ctrl-D)."""
    opening: Conversation = []
    if system is not None:
        opening.append({"role": "system", "content": read_argument(system, "--system", escape=escape)})
    begun = "" if prefill is None else read_argument(prefill, "--prefill", escape=escape, stdin=False)
    if prefill == "":
        raise UsageError("--prefill is empty; give the text that the answer begins with, or leave it out")
    text = None if message is None else _checked(read_argument(message, "MESSAGE", escape=escape))
    if text is None:
        _check_conversation(output)
    params = sampling.params(grammar.load(escape=escape), escape=escape)
    output.check(params)
    llm = model.load()
    if text is None:
        _converse(llm, opening, begun, params, output, escape)
    else:
        _turn(llm, _asked(opening, text, begun), params, output)


def _asked(conversation: Conversation, text: str, begun: str) -> Conversation:
    """What is answered: a message, and the beginning of the answer if there is one."""
    asked = [*conversation, {"role": "user", "content": text}]
    return [*asked, {"role": "assistant", "content": begun}] if begun else asked


def _turn(llm: LLM, conversation: Conversation, params: SamplingParams, output: OutputOptions) -> str:
    result = run_request(llm, llm.chat, llm.stream_chat, conversation, params, output)
    deliver(llm, result, output)
    return result.text


def _converse(
    llm: LLM, opening: Conversation, begun: str, params: SamplingParams, output: OutputOptions, escape: bool
) -> None:
    """Turns until end of file. A turn that cannot be answered is reported and forgotten; the conversation goes on."""
    from dllm.errors import PromptError

    print(f"{RESET} forgets what was said, Ctrl-D ends; with -e, \\n stands for a new line.", file=sys.stderr)
    conversation = opening
    while (line := _ask()) is not None:
        text = unescape(line) if escape else line
        if not text.strip():
            continue
        if text.strip() == RESET:
            conversation = opening
            continue
        try:
            reply = _turn(llm, _asked(conversation, text, begun), params, output)
        except PromptError as error:
            print(f"dllm: {error}", file=sys.stderr)
        else:
            conversation = [*_asked(conversation, text, ""), {"role": "assistant", "content": begun + reply}]


def _ask() -> str | None:
    """A line from the terminal, or None at its end. The prompt goes to stderr, so that stdout holds answers only."""
    print("> ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)
        return None
    return line.rstrip("\n")


def _check_conversation(output: OutputOptions) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("a conversation needs a terminal; give a MESSAGE, or - to read one from stdin")
    if output.as_json or output.trace is not None:
        raise UsageError(f"{'--json' if output.as_json else '--trace'} is for a single answer; give a MESSAGE")


def _checked(message: str) -> str:
    if not message.strip():
        raise UsageError("MESSAGE is empty; give some text")
    return message
