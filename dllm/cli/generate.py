"""`dllm generate`: continue a prompt."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

from dllm.cli.delivery import deliver, run_request
from dllm.cli.grammar_options import GrammarOptions
from dllm.cli.grouping import grouped
from dllm.cli.inputs import read_argument, read_ids
from dllm.cli.options import Escape, ModelOptions, OutputOptions, SamplingOptions
from dllm.cli.shell import UsageError


@grouped
def generate(
    prompt: Annotated[str | None, Argument(help="The prompt, or - to read it from stdin.", show_default=False)] = None,
    prompt_ids: Annotated[str | None, Option(metavar="IDS", help="Token ids instead of PROMPT: '1,2,3'.")] = None,
    escape: Escape = False,
    *,
    model: ModelOptions,
    sampling: SamplingOptions,
    grammar: GrammarOptions,
    output: OutputOptions,
) -> None:
    r"""Continue PROMPT and print the answer alone.

    PROMPT is used verbatim: no chat template, no newline added.

    tiny expects a newline after each line of a prompt; any of these gives it them:
    dllm generate -e '["Mary", "Linda"]\nReverse the list.\n'
    dllm generate $'["Mary", "Linda"]\nReverse the list.\n'
    dllm generate - < prompt.txt
    """
    request = _request(prompt, prompt_ids, escape)
    params = sampling.params(grammar.load(escape=escape), escape=escape)
    output.check(params)
    llm = model.load()
    deliver(llm, run_request(llm, llm.generate, llm.stream, request, params, output), output)


def _request(prompt: str | None, prompt_ids: str | None, escape: bool) -> str | list[int]:
    if (prompt is None) == (prompt_ids is None):
        raise UsageError("give a PROMPT (or - for stdin) or --prompt-ids, one of the two")
    if prompt_ids is not None:
        return read_ids(prompt_ids, "--prompt-ids")
    return read_argument(str(prompt), "PROMPT", escape=escape)
