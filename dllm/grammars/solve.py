"""Whether a canvas can be completed, and how.

A lattice with closed gaps holds every completion and more, so if it has no sentence there is none. If it has one, its
labels are threaded through the canvas with the exact number of tokens. Where they do not fit, the gap in which they
fail is opened, and a few before it; the search goes on, each round with less that is wrong, until a sentence fits or
none is left. Gaps are first taken to hold less than they can (`View`), which is nearly always enough.
"""

from __future__ import annotations

from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.chart import Chart
from dllm.grammars.compiled import Compiled
from dllm.grammars.lattice import View, build
from dllm.grammars.thread import Thread, Ways

FEW_MASKS = 40
"""Masks up to which gaps of one are open from the start: then the lattice stays small, and most sentences do not fit
them by chance."""
AT_ONCE = 5
"""Gaps that are opened where a sentence does not fit."""
MEMORY = 256 << 20
"""Bytes that the chart of a search may take; one that could take more is not made, and the search is given up."""


class UndecidedError(Exception):
    """The search was given up: it says neither that the canvas can be completed nor that it cannot."""


def solve(compiled: Compiled, canvas: Canvas, memory: int = MEMORY) -> Thread | None:
    """A sentence and how it lies on the canvas; None if no completion of the canvas is a sentence. Exact both ways.

    Raises:
        UndecidedError: a chart might outgrow `memory` bytes.
    """
    limit = int((16 * memory / compiled.tables.count) ** 0.5)  # nodes: each has a row a symbol, on average half as long
    few = canvas.ids.count(MASK) <= FEW_MASKS
    opened = [gap for gap in canvas.gaps if gap.width == 1] if few else []
    view, exact = View.CALM, False
    while True:
        layout = build(canvas, compiled.table, compiled.reach, opened, exact=exact, view=view, limit=limit)
        if layout is None:
            raise UndecidedError
        chart = Chart.make(compiled.tables, layout.lattice)
        if not chart.possible:
            if view < View.ANY:
                view = View(view + 1)
            elif exact or not opened:
                return None
            else:
                exact = True  # what is open was taken in plain ways only
            continue
        sentence = chart.sentence()
        for ways in (Ways.CALM if view == View.CALM else Ways.PLAIN, Ways.EXACT):
            thread = Thread.make(canvas, compiled.table, compiled.reach, sentence, ways)
            if thread.fits:
                return thread
        view = max(view, View.FEW)
        closed = [gap for gap in canvas.gaps if gap not in opened]
        assert closed, "with all gaps open, what is found fits"
        before = [gap for gap in closed if gap.start <= thread.reached]
        opened += (before or closed)[-AT_ONCE:]
