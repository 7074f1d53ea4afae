"""`dllm compare`: schedulers side by side on the same prompts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from dllm.cli.compare_options import HowOptions, WhatOptions
from dllm.cli.grouping import grouped

if TYPE_CHECKING:
    from dllm.eval.reports import Titled


@grouped
def compare(
    out: Annotated[
        Path | None,
        Option(metavar="DIR", help="results.jsonl, report.md, summary.json and plots; goes on where a run stopped."),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object on stdout instead of tables.")] = False,
    *,
    what: WhatOptions,
    how: HowOptions,
) -> None:
    """Compare schedulers on the same prompts and noise: accuracy, forwards and speed, each with its interval."""
    from dllm.eval.compare import compare as run
    from dllm.eval.compare import sample_count
    from dllm.eval.reports import Report

    baselines, schedulers = what.specs()
    plan = how.plan(what, [*baselines, *schedulers])
    with progress("compare", sample_count(plan)) as advance:
        lines = run(plan, out, advance)
    report = Report.make(plan, lines, baselines)
    written = [] if out is None else report.save(out)
    if as_json:
        print(json.dumps(report.summary()))
        return
    print_tables([*report.overviews(), *report.headlines()])
    for path in written:
        print(path)


@contextmanager
def progress(what: str, total: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with the time left, if it is shown."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("samples"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bars:
        bar = bars.add_task(what, total=total)
        yield lambda done: bars.advance(bar, done)


def print_tables(tables: Sequence[Titled], wide: int = 13) -> None:
    """Tables for the terminal; those whose columns do not fit are left to the written report.

    Args:
        wide: characters that a column takes, about.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = 200
    for title, columns, rows in tables:
        if len(columns) * wide > console.width:
            continue
        table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(Text(column.strip("`")), overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell.strip("`")) for cell in row))
        console.print(table)
        console.print()
