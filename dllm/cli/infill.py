"""`dllm infill`: fill the holes of a document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from dllm.cli.answer import answer, deliver
from dllm.cli.grouping import grouped
from dllm.cli.inputs import read_argument, read_file
from dllm.cli.options import Escape, ModelOptions, OutputOptions, SamplingOptions
from dllm.cli.shell import UsageError


@grouped
def infill(
    document: Annotated[
        str | None, Argument(help="Text with <mask:N> holes, or - to read it from stdin.", show_default=False)
    ] = None,
    file: Annotated[Path | None, Option(metavar="PATH", help="Read the document from a file.")] = None,
    escape: Escape = False,
    *,
    model: ModelOptions,
    sampling: SamplingOptions,
    output: OutputOptions,
) -> None:
    """Fill every <mask:N> of DOCUMENT with exactly N tokens and print the whole document.

    <<mask: stands for a literal <mask:. End-of-text, --stop and --max-new-tokens play no part here.
    """
    text = _document(document, file, escape)
    params = sampling.params(escape=escape)
    output.check(params)
    llm = model.load()
    deliver(llm, answer(llm, llm.infill, llm.stream_infill, text, params, output), output)


def _document(document: str | None, file: Path | None, escape: bool) -> str:
    if (document is None) == (file is None):
        raise UsageError("give a DOCUMENT (or - for stdin) or --file PATH, one of the two")
    return read_file(file, "--file") if file is not None else read_argument(str(document), "DOCUMENT", escape=escape)
