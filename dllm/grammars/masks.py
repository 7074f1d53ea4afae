"""Which tokens may stand at the masks of a canvas: all that may, and some that may not.

A token is left out if its lexemes cannot be part of any sentence in that gap, or if no scanner state before it and
after it goes with the gap's edges and its number of masks. What is left in too much is found out when it is committed
(`dllm.grammars.constraint`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dllm.grammars.automata import DEAD
from dllm.grammars.chart import Chart, Lattice
from dllm.grammars.compiled import Compiled
from dllm.grammars.lattice import Canvas, Gap, Layout, Nodes, build

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Masks:
    """The tokens of a gap.

    Attributes:
        groups: mask of the gap -> `[G]` bool, groups of tokens (`TokenTable.group_of`).
        ends: mask of the gap -> whether the text may end there.
    """

    groups: tuple[Bools, ...]
    ends: tuple[bool, ...]


class Possible:
    """The masks of a canvas, gap by gap, made when they are asked for."""

    def __init__(self, compiled: Compiled, canvas: Canvas) -> None:
        self._compiled, self._canvas = compiled, canvas
        layout = build(canvas, compiled.table, compiled.reach, ())
        assert layout is not None
        self._layout: Layout = layout
        self._live = _anywhere(layout.lattice, Chart.make(compiled.tables, layout.lattice).live)
        self._found: dict[Gap, Masks] = {}

    def __call__(self, gap: Gap) -> Masks:
        if gap not in self._found:
            self._found[gap] = self._masks(gap)
        return self._found[gap]

    def _masks(self, gap: Gap) -> Masks:
        table, layout = self._compiled.table, self._layout
        entries, exits = layout.places[gap.start], layout.places[gap.stop]
        first = self._labels(entries.values())
        later = self._labels([layout.middles[gap.start]])
        allowed = _allowed(table.labels, table.labels_at, first, later)
        begins, stops = self._states(entries), self._states(exits)
        ending = self._ending(allowed)
        tail = max(0, self._canvas.tail - gap.start)
        arrays = (table.at, table.emitted, table.state, *allowed)
        before, after = _sweep(*arrays, begins, stops, ending, gap.stop - gap.start, tail)
        kept: dict[bytes, Bools] = {}
        groups: list[Bools] = []
        for at in range(gap.stop - gap.start):
            key = before[at].tobytes() + after[at + 1].tobytes()
            if key not in kept:
                kept[key] = _groups(table.class_of, *arrays, before[at], after[at + 1])
            groups.append(kept[key])
        ends = tuple(at >= tail and bool((before[at] & ending).any()) for at in range(gap.stop - gap.start))
        return Masks(tuple(groups), ends)

    def _labels(self, nodes: Iterable[int]) -> Bools:
        """`[labels]` bool: live edges from any of these nodes."""
        lattice = self._layout.lattice
        found = np.zeros(len(self._compiled.scanner.labels), dtype=bool)
        for node in set(nodes):
            own = slice(lattice.at[node], lattice.at[node + 1])
            found[lattice.label[own][self._live[own]]] = True
        return found

    def _states(self, nodes: Nodes) -> Bools:
        found = np.zeros(len(self._compiled.scanner.next), dtype=bool)
        found[list(nodes)] = True
        return found

    def _ending(self, allowed: tuple[Bools, Bools]) -> Bools:
        """`[2, S]` bool: whether the text may end in a state, before any label of the gap and behind one."""
        scanner = self._compiled.scanner
        found = np.zeros((2, len(scanner.next)), dtype=bool)
        labels = {labels: number for number, labels in enumerate(self._compiled.table.emissions)}
        for state, final in enumerate(scanner.final.tolist()):
            if final != DEAD:
                number = labels.get(scanner.emissions[final])
                found[:, state] = [number is None or bool(one[number]) for one in allowed]
        return found


def _anywhere(lattice: Lattice, live: Bools) -> Bools:
    """Edges that are live, at their node or where they were copied to because no label lies between."""
    keys = lattice.label.astype(np.int64) << 32 | lattice.target
    return np.isin(keys, keys[live])


@njit(cache=True)
def _allowed(labels, labels_at, first, later):  # type: ignore[no-untyped-def]
    """`[emissions]` bool each: may it come first in the gap, and may it come later."""
    count = len(labels_at) - 1
    one, other = np.ones(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
    for e in range(count):
        for i in range(labels_at[e], labels_at[e + 1]):
            if not later[labels[i]]:
                other[e] = False
                if i > labels_at[e]:
                    one[e] = False
            if i == labels_at[e] and not first[labels[i]]:
                one[e] = False
    return one, other


@njit(cache=True)
def _sweep(at, emitted, state, one, other, begins, stops, ending, width, tail):  # type: ignore[no-untyped-def]
    """`[width + 1, 2, S]` bool twice: states before each mask that the left side leads to, and that lead to the right.

    The second axis says whether a label has come in the gap.
    """
    count = len(at) - 1
    before = np.zeros((width + 1, 2, count), dtype=np.bool_)
    after = np.zeros((width + 1, 2, count), dtype=np.bool_)
    before[0, 0] = begins
    for j in range(width):
        if j > 1 and (before[j] == before[j - 1]).all():
            before[j + 1] = before[j]
            continue
        for late in range(2):
            for s in range(count):
                if before[j, late, s]:
                    for c in range(at[s], at[s + 1]):
                        e = emitted[c]
                        if e == 0:
                            before[j + 1, late, state[c]] = True
                        elif other[e] if late else one[e]:
                            before[j + 1, 1, state[c]] = True
    after[width, 0] = stops
    after[width, 1] = stops
    for back in range(width):
        j = width - 1 - back
        same = back > 1 and (j < tail) == (j + 1 < tail) and (after[j + 1] == after[j + 2]).all()
        if same:
            after[j] = after[j + 1]
            continue
        for late in range(2):
            for s in range(count):
                fine = j >= tail and ending[late, s]
                c = at[s]
                while not fine and c < at[s + 1]:
                    e = emitted[c]
                    if e == 0:
                        fine = after[j + 1, late, state[c]]
                    elif other[e] if late else one[e]:
                        fine = after[j + 1, 1, state[c]]
                    c += 1
                after[j, late, s] = fine
    for j in range(width + 1):
        before[j] &= after[j]
    return before, after


@njit(cache=True)
def _groups(class_of, at, emitted, state, one, other, before, after):  # type: ignore[no-untyped-def]
    """`[G]` bool: groups of which some state before leads to some state after."""
    count, groups = class_of.shape
    found = np.zeros(groups, dtype=np.bool_)
    for late in range(2):
        for s in range(count):
            if not before[late, s]:
                continue
            fine = np.zeros(at[s + 1] - at[s] + 1, dtype=np.bool_)  # the last is for DEAD
            for c in range(at[s], at[s + 1]):
                e = emitted[c]
                if e == 0:
                    fine[c - at[s]] = after[late, state[c]]
                elif other[e] if late else one[e]:
                    fine[c - at[s]] = after[1, state[c]]
            for g in range(groups):
                if fine[class_of[s, g]]:
                    found[g] = True
    return found
