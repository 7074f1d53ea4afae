"""Whether a canvas can be completed, and how.

A lattice with closed gaps holds every completion and more, so if it has no sentence there is none. If it has one, its
labels are threaded through the canvas with the exact number of tokens. Where they do not fit, the gap in which they
fail is opened, and the search goes on: each round holds less that is wrong, until a sentence fits or none is left.
"""

from __future__ import annotations

from dllm.grammars.chart import Chart
from dllm.grammars.compiled import Compiled
from dllm.grammars.lattice import Canvas, Gap, build
from dllm.grammars.thread import Thread

LIMIT = 4000
"""Nodes of a lattice, beyond which the search is given up."""


class UndecidedError(Exception):
    """The search was given up: it says neither that the canvas can be completed nor that it cannot."""


def solve(compiled: Compiled, canvas: Canvas, limit: int = LIMIT) -> Thread | None:
    """A sentence and how it lies on the canvas; None if no completion of the canvas is a sentence. Exact both ways.

    Raises:
        UndecidedError: the lattice outgrew `limit` nodes.
    """
    opened: list[Gap] = []
    exact = False
    while True:
        layout = build(canvas, compiled.table, compiled.reach, opened, exact=exact, limit=limit)
        if layout is None:
            raise UndecidedError
        chart = Chart.make(compiled.tables, layout.lattice)
        closed = [gap for gap in canvas.gaps if gap not in opened]
        if not chart.possible:
            if exact or not opened:
                return None
            exact = True  # what is open was taken in plain ways only
            continue
        sentence = chart.sentence()
        thread = Thread.make(canvas, compiled.table, compiled.reach, sentence, exact=not closed)
        if thread.fits:
            return thread
        before = [gap for gap in closed if gap.start <= thread.reached]
        opened.append((before or closed)[-1])
