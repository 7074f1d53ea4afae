"""From a canvas to a lattice of lexemes.

The lattice has a path for every way in which the canvas can be read as lexemes. It is built from the right end on, and
two places from which the same continuations lead on are one node: that keeps it small. A gap is taken in one of two
ways:

- open: each of its masks is exactly one token, so the number of tokens is exact;
- closed: anything may stand there, of any length, so the lattice holds more than the canvas allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from dllm.grammars.canvas import MASK, Canvas, Gap
from dllm.grammars.chart import Lattice
from dllm.grammars.flat import Ints, starts
from dllm.grammars.nodes import Builder, Content, Nodes
from dllm.grammars.reach import Reach
from dllm.grammars.steps import DEAD
from dllm.grammars.table import TokenTable

FEW = 3
"""Masks of a gap up to which it pays to count labels."""
MADE = 16
"""Nodes made for one that a text can come by, at most."""
LABELS = 2
"""Labels that the token of an open mask emits, at most, unless everything is to be tried."""


class View(IntEnum):
    """What is taken to stand in gaps. In all views but ANY it may be less than can; but what is found so likely fits.

    CALM: in a closed gap, no free text is begun that goes on behind it; of few masks, it holds no more labels than
    masks; the token of an open one has few labels. FEW: the same, free text included.
    """

    CALM, FEW, ANY = 0, 1, 2


@dataclass(frozen=True)
class Layout:
    """A lattice and where its nodes come from.

    Attributes:
        contents: of all nodes that were made; those that a text can come by are in the lattice.
        number: of a node in the lattice, or DEAD.
        places: position -> the nodes before it (at the end: behind the last token).
        middles: start of a closed gap -> the node inside of it, behind at least one label.
    """

    lattice: Lattice
    contents: Sequence[Content]
    number: Ints
    places: Mapping[int, Nodes]
    middles: Mapping[int, int]


def build(
    canvas: Canvas,
    table: TokenTable,
    reach: Reach,
    opened: Iterable[Gap],
    *,
    exact: bool = True,
    view: View = View.ANY,
    limit: int = 1 << 30,
) -> Layout | None:
    """The lattice of a canvas, with the gaps `opened` open and the others closed.

    Args:
        exact: whether a lexeme may lie between two masks of an open gap in every way, or in plain ways only (see
            `Reach.plain`): then the lattice may hold less than the canvas allows.
        view: what is taken to stand in gaps.
        limit: of nodes; None for a lattice that would need more.
    """
    masks = {at for gap in opened for at in range(gap.start, gap.stop)}
    closed = {gap.stop: gap for gap in canvas.gaps if gap.start not in masks}
    states = _states(canvas, table, reach, masks, exact)
    builder = Builder(table, reach)
    at = len(canvas.ids)
    nodes = builder.ends(states[at].tolist())
    places, middles = {at: nodes}, dict[int, int]()
    while at > 0:
        ends = at > canvas.tail
        if at in closed:
            gap = closed[at]
            at = gap.start
            if ends:
                stops = np.union1d(reach.after, states[at]).tolist()
                nodes = builder.either(nodes, builder.ends(stops))
            nodes, middles[at] = builder.closed(
                *(states[at], nodes, gap.width if view < View.ANY and gap.width <= FEW else None),
                calm=view == View.CALM,
            )
        elif at - 1 in masks:
            at -= 1
            nodes = builder.open(states[at], nodes, LABELS if view < View.ANY else len(table.labels))
            if ends:
                nodes = builder.either(nodes, builder.ends(states[at].tolist()))
        else:
            at -= 1
            nodes = builder.fixed(states[at], nodes, canvas.ids[at])
        places[at] = nodes
        if len(builder.contents) > MADE * limit:
            return None
    layout = _layout(builder.contents, int(nodes[0]), places, middles)
    return layout if len(layout.lattice.final) <= limit else None


def _states(canvas: Canvas, table: TokenTable, reach: Reach, masks: set[int], exact: bool) -> list[Ints]:
    """The scanner states that are possible before each position, and at the end, ascending."""
    nothing = np.zeros(0, dtype=np.int32)
    found = [nothing] * (len(canvas.ids) + 1)
    found[0] = np.zeros(1, dtype=np.int32)
    closed = {gap.start: gap for gap in canvas.gaps if gap.start not in masks}
    begun = reach.plain
    for at, token in enumerate(canvas.ids):
        here = found[at]
        if at in closed:
            found[closed[at].stop] = np.unique(np.concatenate([reach.after, *(reach.silent[s] for s in here.tolist())]))
        elif at in masks:
            onward = [table.state[table.at[state] : table.at[state + 1]] for state in here.tolist()]
            inside = np.unique(np.concatenate([nothing, *onward]))
            if at == 0 or at - 1 not in masks:  # a lexeme that a given token began goes on in any way
                begun = reach.plain.copy()
                for state in here[here != 0].tolist():
                    begun[reach.calm[state]] = True
            found[at + 1] = inside if exact or at + 1 not in masks else inside[begun[inside]]
        elif token != MASK:
            outcome_of, outcomes = table.outcomes(token)
            own = set(outcome_of[here].tolist()) - {DEAD}
            found[at + 1] = np.array(sorted({outcomes[index][1] for index in own}), dtype=np.int32)
    return found


def _layout(contents: Sequence[Content], root: int, places: Mapping[int, Nodes], middles: Mapping[int, int]) -> Layout:
    """Keep what a text can come by, in the same order."""
    met = [False] * len(contents)
    queue = [] if root == DEAD else [root]
    while queue:
        one = queue.pop()
        if not met[one]:
            met[one] = True
            ways = (*contents[one].edges, *contents[one].inserted)
            queue += [target for _, target in ways if not met[target]]
            queue += [target for target in (*contents[one].silent, *contents[one].breaking) if not met[target]]
    kept = np.flatnonzero(np.array(met, dtype=bool))
    number = np.full(len(contents) + 1, DEAD, dtype=np.int32)  # the last is for DEAD
    number[kept] = np.arange(len(kept))
    own = [contents[one] for one in kept.tolist()]
    edges = [(*content.edges, *content.inserted) for content in own]
    flat = np.array([edge for own_edges in edges for edge in own_edges], dtype=np.int32).reshape(-1, 2)
    silents = [(*content.silent, *content.breaking) for content in own]
    silent = np.array([target for silently in silents for target in silently], dtype=np.int32)
    lattice = Lattice(
        label=np.ascontiguousarray(flat[:, 0]),
        target=number[flat[:, 1]],
        at=starts([len(own_edges) for own_edges in edges]),
        given=np.array([len(content.edges) for content in own], dtype=np.int32),
        silent=number[silent],
        silent_at=starts([len(silently) for silently in silents]),
        calm=np.array([len(content.silent) for content in own], dtype=np.int32),
        final=np.array([content.final for content in own], dtype=bool),
        root=int(number[root]),
    )
    return Layout(lattice, contents, number, places, middles)
