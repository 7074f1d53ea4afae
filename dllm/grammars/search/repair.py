"""A text changed in a window of its canvas only: what is read on either side of the window stays.

The labels on either side are given, and every gap in the window is open, so a sentence that is found there fits. The
lattice is small, and so is its chart. That none is found proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.chart import Chart
from dllm.grammars.search.lattice import Frame, View, build
from dllm.grammars.search.placement import Thread
from dllm.grammars.tables.compiled import CompiledGrammar

NEAR = 6
"""Positions between changes that are taken together, at most."""


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        windows: positions on either side that are changed with a piece, and labels that one token emits, at most.
        masks: of a window, at most.
        nodes, made: of its lattice, and made for it, at most.
    """

    windows: tuple[tuple[int, int], ...]
    masks: int
    nodes: int
    made: int


LITTLE = Effort(((2, 2), (6, 1), (6, 2), (12, 1), (24, 1)), masks=6, nodes=300, made=1500)
"""Some milliseconds a window, at most."""
MUCH = Effort(((2, 2), (6, 1), (6, 2), (12, 1), (24, 1), (48, 1)), masks=30, nodes=1000, made=5000)


def adapted(compiled: CompiledGrammar, canvas: Canvas, thread: Thread) -> Thread | None:
    """The text that lay on a canvas of this length, on one where more or other tokens are given: as much of it as will
    do, and another otherwise; None if none was found. One group of changes is taken after the other."""
    after: Thread | None = thread
    while after is not None and (changed := after.changed(canvas)):
        low = high = changed[0]
        for at in changed:
            high = at + 1 if at - high <= NEAR else high
        moved = after.moved(canvas, low, high)
        after = repaired(compiled, canvas, after, low, high, LITTLE) if moved is None else moved
    return after


def repaired(
    compiled: CompiledGrammar, canvas: Canvas, thread: Thread, low: int, high: int, effort: Effort = MUCH
) -> Thread | None:
    """Another text that fits the canvas on positions `low:high`, or None if none was found."""
    last = None
    for around, labels in effort.windows:
        piece = thread.piece(low - around, high + around)
        if (piece, labels) == last:
            continue
        last = (piece, labels)
        if canvas.ids[piece.low : piece.high].count(MASK) > effort.masks:
            return None
        inside = Canvas(canvas.ids[piece.low : piece.high], canvas.ends and piece.high == len(canvas.ids))
        (begin, before), (end, behind) = piece.begin, piece.goal
        frame = Frame(begin, thread.sentence[:before], end, thread.sentence[behind:])
        layout = build(
            *(inside, compiled.table, compiled.reach, inside.gaps),
            exact=False,
            view=View.FEW,
            labels=labels,
            limit=effort.nodes,
            made=effort.made,
            frame=frame,
        )
        if layout is None:
            return None
        chart = Chart.make(compiled.tables, layout.lattice)
        if chart.possible:
            found = thread.laid(canvas, piece, sentence=tuple(chart.sentence()))
            if found is not None:
                return found
    return None
