"""`dllm view`: what denoising did, as a page or a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from dllm.cli.inputs import read_file
from dllm.cli.shell import UsageError

if TYPE_CHECKING:
    from dllm.trace import Trace

MOST = 4
"""Canvases side by side on one page."""
KINDS = (".html", ".htm", ".png", ".gif")


def view(
    traces: Annotated[
        list[Path], Argument(metavar="TRACE", help="What --trace FILE has written; several are shown side by side.")
    ],
    out: Annotated[
        Path | None,
        Option(
            "--out",
            "-o",
            metavar="FILE",
            help="page.html: the page of `dllm serve` with the traces inside, which needs nothing beside it. "
            "x.png, x.gif: the order of commits, as one picture or moving. \\[default: TRACE.html]",
            show_default=False,
        ),
    ] = None,
    browse: Annotated[bool, Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Make a page of a saved trace: its canvas at every step, with a slider through time. Prints the file's path."""
    path = traces[0].parent / f"{traces[0].stem}.html" if out is None else out
    _check(traces, path, browse)
    loaded = {trace.name if len(set(traces)) == 1 else str(trace): _load(trace) for trace in traces}
    from dllm.eval.files import write_whole

    write_whole(path, _made(loaded, path.suffix.lower()))
    print(path)
    if browse:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())


def _check(traces: list[Path], path: Path, browse: bool) -> None:
    for trace in traces:
        if trace.is_dir():
            raise UsageError(f"TRACE {trace} is a folder; name a file that --trace has written")
    if path.suffix.lower() not in KINDS:
        raise UsageError(f"--out {path}: end it in one of {', '.join(KINDS)}, which says what is made")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--out {path}: not a file in an existing folder")
    if path.resolve() in {trace.resolve() for trace in traces}:
        raise UsageError(f"--out {path} is the trace itself; name another file")
    page = path.suffix.lower().startswith(".htm")
    if not page and len(traces) > 1:
        raise UsageError(f"--out {path} shows one trace, and {len(traces)} are given; a page (.html) shows several")
    if not page and browse:
        raise UsageError("--open opens a page; with --out give a file that ends in .html")
    if len(traces) > MOST:
        raise UsageError(f"{len(traces)} traces are given; a page shows {MOST} at most")


def _load(path: Path) -> Trace:
    from dllm.errors import ConfigError
    from dllm.trace import Trace

    try:
        trace = Trace.from_jsonl(read_file(path, "TRACE"))
        trace.cells()
    except ConfigError as error:
        raise UsageError(f"TRACE {path}: {error}") from None
    return trace


def _made(traces: dict[str, Trace], kind: str) -> str | bytes:
    if kind.startswith(".htm"):
        from dllm.serve.page import page_of

        return page_of(traces)
    from dllm.eval.commit_order import as_gif, as_png

    (trace,) = traces.values()
    return as_png(trace) if kind == ".png" else as_gif(trace)
