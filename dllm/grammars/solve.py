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
LIMIT = 16_000
"""Nodes of a lattice, beyond which the search is given up."""
MEMORY = 256 << 20
"""Bytes of a chart, beyond which the search is given up."""


class UndecidedError(Exception):
    """The search was given up: it says neither that the canvas can be completed nor that it cannot."""


def solve(compiled: Compiled, canvas: Canvas, limit: int = LIMIT) -> Thread | None:
    """A sentence and how it lies on the canvas; None if no completion of the canvas is a sentence. Exact both ways.

    Raises:
        UndecidedError: the lattice outgrew `limit` nodes, or the chart its memory.
    """
    few = canvas.ids.count(MASK) <= FEW_MASKS
    opened = [gap for gap in canvas.gaps if gap.width == 1] if few else []
    view, exact = View.CALM, False
    while True:
        layout = build(canvas, compiled.table, compiled.reach, opened, exact=exact, view=view, limit=limit)
        chart = None if layout is None else Chart.bounded(compiled.tables, layout.lattice, MEMORY)
        if chart is None:
            raise UndecidedError
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
