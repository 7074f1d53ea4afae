"""`dllm infill`: fill the holes of a document."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from dllm.cli.delivery import deliver, run_request
from dllm.cli.grammar_options import GRAMMAR, GrammarOptions
from dllm.cli.grouping import grouped
from dllm.cli.inputs import read_argument, read_file
from dllm.cli.options import Escape, ModelOptions, OutputOptions, SamplingOptions
from dllm.cli.shell import UsageError

_HOLE = "<mask:"


@grouped
def infill(
    document: Annotated[
        str | None,
        Argument(
            help="Text with <mask:N> or <mask:A-B> holes, the path of a file that holds it, or - for stdin.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[Path | None, Option(metavar="PATH", help="The document's file, whatever it is called.")] = None,
    escape: Escape = False,
    swallow: Annotated[
        bool,
        Option(
            "--swallow",
            help="Of --grammar: a string or a comment that a hole begins may go on over the text behind it.",
            rich_help_panel=GRAMMAR,
        ),
    ] = False,
    *,
    model: ModelOptions,
    sampling: SamplingOptions,
    grammar: GrammarOptions,
    output: OutputOptions,
) -> None:
    """Fill every <mask:N> of DOCUMENT with exactly N tokens, <mask:A-B> with A to B, and print the whole document.

    A DOCUMENT without a hole must be the path of a file that holds one.
    <<mask: stands for a literal <mask:. End-of-text, --stop and --max-new-tokens play no part here.
    A grammar governs the whole document: dllm infill --grammar cpp FILE
    """
    text = _document(document, file, escape)
    params = sampling.params(grammar.load(escape=escape, swallow=swallow), escape=escape)
    output.check(params)
    llm = model.load()
    deliver(llm, run_request(llm, llm.infill, llm.stream_infill, text, params, output), output)


def _document(document: str | None, file: Path | None, escape: bool) -> str:
    if (document is None) == (file is None):
        raise UsageError("give a DOCUMENT (or - for stdin) or --file PATH, one of the two")
    if file is not None:
        return read_file(file, "--file")
    if document == "-" or _HOLE in str(document):
        return read_argument(str(document), "DOCUMENT", escape=escape)
    if not os.path.isfile(str(document)):
        raise UsageError(f"DOCUMENT {document!r:.60}: it has no hole <mask:N>, and there is no file of that name")
    return read_file(Path(str(document)), "DOCUMENT")
