"""From a canvas to a lattice of lexemes.

The lattice has a path for every way in which the canvas can be read as lexemes. It is built from the right end on, and
two places from which the same continuations lead on are one node: that keeps it small. A gap is taken in one of two
ways:

- open: each of its masks is exactly one token, so the number of tokens is exact;
- closed: anything may stand there, of any length, so the lattice holds more than the canvas allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.canvas import Canvas, Gap
from dllm.grammars.search.loops.lattice import Bounds, Frame, Reading, build_nodes
from dllm.grammars.search.loops.nodes import Lattice, Nodes
from dllm.grammars.tables.reach import Reach
from dllm.grammars.tables.token_table import TokenTable

FEW = 3
"""Masks of a gap up to which it pays to count labels."""
LABELS = 2
"""Labels that the token of an open mask emits, at most, unless everything is to be tried."""


class View(IntEnum):
    """What is taken to stand in gaps. In all views but ANY it may be less than can; but what is found so likely fits.

    CALM: in a closed gap, no free text is begun that goes on behind it; of few masks, it holds no more labels than
    masks; the token of an open one has few labels. FEW: the same, free text included.
    """

    CALM, FEW, ANY = 0, 1, 2


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Layout:
    """A lattice and where its nodes come from.

    Attributes:
        places: `[n + 2]`, where in the next two those before a position begin (the last: behind the last token); the
            scanner states that are possible there, in ascending order; and the nodes before them, or DEAD.
        middles: `[n]`, start of a closed gap -> the node inside of it, behind at least one label; else DEAD.
    """

    lattice: Lattice
    nodes: Nodes
    places: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    middles: NDArray[np.int64]

    def before(self, position: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The scanner states that are possible before a position, and the nodes there, or DEAD."""
        starts, states, nodes = self.places
        own = slice(starts[position], starts[position + 1])
        return states[own], nodes[own]


_NO_LABELS = np.zeros(0, dtype=np.int32)
WHOLE = Frame(0, _NO_LABELS, -1, _NO_LABELS)


def build(
    canvas: Canvas,
    table: TokenTable,
    reach: Reach,
    opened: Iterable[Gap],
    *,
    exact: bool = True,
    view: View = View.ANY,
    labels: int | None = None,
    limit: int = 1 << 30,
    made: int = 1 << 40,
    frame: Frame = WHOLE,
) -> Layout | None:
    """The lattice of a canvas, with the gaps `opened` open and the others closed.

    Args:
        exact: whether a lexeme may lie between two masks of an open gap in every way, or in plain ways only (see
            `Reach.plain`): then the lattice may hold less than the canvas allows.
        view: what is taken to stand in gaps.
        labels: that the token of an open mask emits, at most; by default as `view` has it.
        limit: of nodes; None for a lattice that would need more.
        made: of nodes that are made on the way there.
        frame: of the canvas, where it is a piece of a longer one.
    """
    length = len(canvas.ids)
    masks, stops = np.zeros(length, dtype=np.bool_), np.full(length, -1, dtype=np.int64)
    for gap in opened:
        masks[gap.start : gap.stop] = True
    for gap in canvas.gaps:
        if not masks[gap.start]:
            stops[gap.start] = gap.stop
    if labels is None:
        labels = LABELS if view < View.ANY else len(table.labels)
    few = FEW if view < View.ANY else 0
    ids, steps = table.fixed.on(canvas)
    (graph, nodes), places, middles, complete = build_nodes(
        Reading(ids, masks, stops, canvas.tail),
        Bounds(exact, labels, few, view == View.CALM, made),
        frame,
        *(steps, table.onward, table.endings, reach.sets),
    )
    lattice = Lattice(*graph)
    if not complete or len(lattice.final) > limit:
        return None
    return Layout(lattice, Nodes(*nodes), places, middles)
