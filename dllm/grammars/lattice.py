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
from functools import cached_property

import numpy as np

from dllm.grammars.automata import DEAD
from dllm.grammars.chart import Lattice
from dllm.grammars.reach import Landings, Reach
from dllm.grammars.table import TokenTable

MASK = -1
Content = tuple[bool, tuple[tuple[int, int], ...]]
"""Whether the text may end there; the edges, (label, node), ascending."""
Nodes = dict[int, int]
"""Scanner state -> node, at a place between two tokens."""


@dataclass(frozen=True)
class Gap:
    """Masks `[start, stop)` between tokens, or at an end of the canvas."""

    start: int
    stop: int


@dataclass(frozen=True)
class Canvas:
    """What is to be read.

    Attributes:
        ids: the tokens; MASK where one is free.
        ends: whether a mask of the last run of masks, up to the end of the canvas, may be the end of the text.
    """

    ids: tuple[int, ...]
    ends: bool = False

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        found: list[Gap] = []
        start: int | None = None
        for at, token in enumerate((*self.ids, 0)):
            if token == MASK and start is None:
                start = at
            if token != MASK and start is not None:
                found.append(Gap(start, at))
                start = None
        return tuple(found)

    @property
    def tail(self) -> int:
        """First position from which on an end may stand; one past the canvas where none may."""
        last = self.gaps[-1] if self.gaps else None
        return last.start if self.ends and last is not None and last.stop == len(self.ids) else len(self.ids)


class Builder:
    """Nodes, made once for each content."""

    def __init__(self, table: TokenTable, reach: Reach) -> None:
        self.table, self.reach = table, reach
        self.contents: list[Content] = []
        self._known: dict[Content, int] = {}

    def node(self, final: bool, edges: Iterable[tuple[int, int]]) -> int:
        """The node of this content, or DEAD if nothing leads on from it."""
        content = (final, tuple(sorted(set(edges))))
        if not final and not content[1]:
            return DEAD
        if content not in self._known:
            self._known[content] = len(self.contents)
            self.contents.append(content)
        return self._known[content]

    def chain(self, labels: Sequence[int], target: int) -> int:
        """The node from which `labels` lead to `target`."""
        for label in reversed(labels):
            target = self.node(False, [(label, target)])
        return target

    def union(self, nodes: Iterable[int]) -> int:
        """The node that leads on as any of `nodes` does."""
        found = set(nodes) - {DEAD}
        if len(found) <= 1:
            return found.pop() if found else DEAD
        contents = [self.contents[one] for one in found]
        return self.node(any(final for final, _ in contents), (edge for _, edges in contents for edge in edges))

    def end(self, state: int) -> int:
        """The node where the text ends in a scanner state."""
        final = self.table.scanner.final[state]
        if final == DEAD:
            return DEAD
        return self.chain(self.table.scanner.emissions[final], self.node(True, []))

    def open(self, states: Iterable[int], after: Nodes, ends: bool) -> Nodes:
        """Before one mask."""
        target = np.full(len(self.table.scanner.next), DEAD, dtype=np.int64)
        target[list(after)] = list(after.values())
        found: Nodes = {}
        for state in states:
            own = slice(self.table.at[state], self.table.at[state + 1])
            reached = target[self.table.state[own]]
            pairs = np.unique(self.table.emitted[own].astype(np.int64) << 32 | reached & 0xFFFFFFFF)
            ways = [
                self.chain(self.table.emissions[pair >> 32], pair & 0xFFFFFFFF)
                for pair in pairs.tolist()
                if pair & 0xFFFFFFFF != 0xFFFFFFFF
            ]
            node = self.union([*ways, self.end(state)] if ends else ways)
            if node != DEAD:
                found[state] = node
        return found

    def closed(self, states: Iterable[int], after: Nodes, ends: bool) -> tuple[Nodes, int]:
        """Before a closed gap, and the node inside of it."""
        if ends:
            stops = {state: self.end(state) for state in {*self.reach.after, *states}}
            after = {state: self.union([stops.get(state, DEAD), after.get(state, DEAD)]) for state in {*stops, *after}}
            after = {state: node for state, node in after.items() if node != DEAD}
        outs: dict[frozenset[int], int] = {}  # where the gap may end, by the states it may end in

        def onward(landings: Landings, middle: int) -> list[tuple[int, int]]:
            found = [(label, middle) for label, _ in landings]
            for label, landed in landings:
                if landed not in outs:
                    outs[landed] = self.union(after[state] for state in landed if state in after)
                if outs[landed] != DEAD:
                    found.append((label, outs[landed]))
            return found

        onward(self.reach.any, DEAD)  # makes the nodes to the right of the middle
        middle = len(self.contents)
        self.contents.append((False, tuple(onward(self.reach.any, middle))))
        found: Nodes = {}
        for state in states:
            ways = [after[one] for one in self.reach.silent[state] if one in after]
            node = self.union([*ways, self.node(False, onward(self.reach.first[state], middle))])
            if node != DEAD:
                found[state] = node
        return found, middle


@dataclass(frozen=True)
class Layout:
    """A lattice and where its nodes come from.

    Attributes:
        places: position -> the nodes before it (at the end: behind the last token), by scanner state.
        middles: start of a closed gap -> the node inside of it, behind at least one label.
    """

    lattice: Lattice
    places: Mapping[int, Nodes]
    middles: Mapping[int, int]


def build(
    canvas: Canvas, table: TokenTable, reach: Reach, opened: Iterable[Gap], *, exact: bool = True, limit: int = 1 << 30
) -> Layout | None:
    """The lattice of a canvas, with the gaps `opened` open and the others closed.

    Args:
        exact: whether a lexeme may lie between two masks of an open gap in every way, or in plain ways only (see
            `Reach.plain`): then the lattice may hold less than the canvas allows.
        limit: of nodes; a lattice that would have more is None.
    """
    masks = {at for gap in opened for at in range(gap.start, gap.stop)}
    closed = {gap.stop: gap for gap in canvas.gaps if gap.start not in masks}
    states = _states(canvas, table, reach, masks, exact)
    builder = Builder(table, reach)
    at = len(canvas.ids)
    nodes = {state: node for state in states[at] if (node := builder.end(state)) != DEAD}
    places, middles = {at: nodes}, dict[int, int]()
    while at > 0:
        ends = at > canvas.tail
        if at in closed:
            at = closed[at].start
            nodes, middles[at] = builder.closed(states[at], nodes, ends)
        elif at - 1 in masks:
            at -= 1
            nodes = builder.open(states[at], nodes, ends)
        else:
            at -= 1
            steps = {state: table.step(state, canvas.ids[at]) for state in states[at]}
            nodes = {
                state: builder.chain(labels, nodes[after]) for state, (labels, after) in steps.items() if after in nodes
            }
        places[at] = nodes
        if len(builder.contents) > limit:
            return None
    return Layout(_lattice(builder.contents, nodes.get(0, DEAD)), places, middles)


def _states(canvas: Canvas, table: TokenTable, reach: Reach, masks: set[int], exact: bool) -> list[set[int]]:
    """The scanner states that are possible before each position, and at the end."""
    found: list[set[int]] = [set() for _ in range(len(canvas.ids) + 1)]
    found[0] = {0}
    closed = {gap.start: gap for gap in canvas.gaps if gap.start not in masks}
    plain = set(np.flatnonzero(reach.plain).tolist())
    for at, token in enumerate(canvas.ids):
        here = found[at]
        if at in closed:
            inside = {after for state in here for after in reach.silent[state]} | set(reach.after)
            found[closed[at].stop] = inside
        elif at in masks:
            onward = [table.state[table.at[state] : table.at[state + 1]] for state in here]
            inside = set(np.unique(np.concatenate(onward)).tolist()) if onward else set()
            found[at + 1] = inside if exact or at + 1 not in masks else inside & plain
        elif token != MASK:
            found[at + 1] = {after for state in here if (after := table.step(state, token)[1]) != DEAD}
    return found


def _lattice(contents: Sequence[Content], root: int) -> Lattice:
    edges = [own for _, own in contents]
    sizes = [len(own) for own in edges]
    flat = np.array([edge for own in edges for edge in own], dtype=np.int32).reshape(-1, 2)
    return Lattice(
        label=np.ascontiguousarray(flat[:, 0]),
        target=np.ascontiguousarray(flat[:, 1]),
        at=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        final=np.array([final for final, _ in contents], dtype=bool),
        root=root,
    )
