"""Consoles of rich, whose text is made harmless, and what is drawn on them: tables and the bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from dllm.cli.terminal import harmless

PIPED_WIDTH = 200
"""Characters a line of tables that go to a pipe or a file."""


class HarmlessConsole(Console):
    """Every piece of text that is drawn passes here, in a table, a bar or a moving picture; its own moves stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(harmless(piece.text), piece.style)


def screen() -> Console:
    """Stderr, for bars and what moves.

    The stream is found now: while something moves, rich puts a stand-in before stderr, whose way leads to the door, and
    there the moves would be spelled out as well.
    """
    return HarmlessConsole(file=getattr(sys.stderr, "rich_proxied_file", sys.stderr), stderr=True)


def page() -> Console:
    """Stdout, for tables."""
    console = HarmlessConsole()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


@contextmanager
def progress(what: str, total: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with the time left, if it is shown.

    Args:
        what: is counted.
    """
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen(), disable=not shown) as bars:
        bar = bars.add_task(what, total=total)
        yield lambda done: bars.advance(bar, done)


def cell(text: str) -> Text:
    """Text as it is, not rich's markup; harmless now, so that the table is wide enough for it."""
    return Text(harmless(text))


TitledTable = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def print_tables(tables: Iterable[TitledTable], wide: int = 13) -> None:
    """Tables for the terminal; those whose columns do not fit are left to the written report.

    Args:
        tables: title, columns and cells of each.
        wide: characters that a column takes, about.
    """
    console = page()
    for title, columns, rows in tables:
        if len(columns) * wide > console.width:
            continue
        table = Table(title=cell(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(cell(column.strip("`")), overflow="fold")
        for row in rows:
            table.add_row(*(cell(one.strip("`")) for one in row))
        console.print(table)
        console.print()
