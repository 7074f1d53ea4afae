"""A text changed in a window of its canvas only: what is read on either side of the window stays.

The labels on either side are given, and every gap in the window is open, so a sentence that is found there fits. The
lattice is small, and so is its chart. That none is found proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.chart import Chart
from dllm.grammars.search.lattice import View, build
from dllm.grammars.search.loops.lattice import Frame
from dllm.grammars.search.placement import Placement
from dllm.grammars.tables.compiled import CompiledGrammar

NEAR = 6
"""Positions between changes that are taken together, at most."""


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        windows: positions on either side that a window takes in, and labels that one token emits, at most.
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


def adapted(compiled: CompiledGrammar, canvas: Canvas, placement: Placement) -> Placement | None:
    """The text that lay on a canvas of this length, on one where more or other tokens are given: as much of it as will
    do, and another otherwise; None if none was found. One group of changes is taken after the other."""
    after: Placement | None = placement
    while after is not None and (changed := after.changed(canvas)):
        low = high = changed[0]
        for at in changed:
            high = at + 1 if at - high <= NEAR else high
        moved = after.moved(canvas, low, high)
        after = repaired(compiled, canvas, after, low, high, LITTLE) if moved is None else moved
    return after


def repaired(
    compiled: CompiledGrammar, canvas: Canvas, placement: Placement, low: int, high: int, effort: Effort
) -> Placement | None:
    """Another text that fits the canvas on positions `low:high`, or None if none was found."""
    last, sentence = None, np.array(placement.sentence, dtype=np.int32)
    for around, labels in effort.windows:
        window = placement.window(low - around, high + around)
        if (window, labels) == last:
            continue
        last = (window, labels)
        if canvas.ids[window.low : window.high].count(MASK) > effort.masks:
            return None
        inside = canvas.part(window.low, window.high)
        (begin, before), (end, behind) = window.begin, window.goal
        frame = Frame(begin, sentence[:before], end, sentence[behind:])
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
        chart = Chart.make(compiled.productions, layout.lattice)
        if chart.possible:
            own = placement.reading(chart.sentence(), window.high)
            found = own.placed(canvas, own.window(window.low, window.high))
            if found is not None:
                return found
    return None
