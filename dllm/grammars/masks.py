"""Which tokens may stand at the masks of a canvas: all that may, and some that may not.

A token is left out if its lexemes cannot be part of any sentence in that gap, or if no scanner state before it and
after it goes with the gap's edges and its number of masks. What is left in too much is found out when it is committed
(`dllm.grammars.constraint`).
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dllm.grammars.canvas import Canvas, Gap
from dllm.grammars.chart import Chart
from dllm.grammars.compiled import Compiled
from dllm.grammars.lattice import Layout, build
from dllm.grammars.nodes import SILENT, kind_of, label_of, nothing, target_of
from dllm.grammars.steps import DEAD

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Masks:
    """The tokens of a gap.

    Attributes:
        groups: mask of the gap -> `[G]` bool, groups of tokens (`TokenTable.group_of`).
        ends: mask of the gap -> whether the text may end there, or before it in the gap.
        states: mask of the gap -> `[S]` bool, scanner states that may be before it.
    """

    groups: tuple[Bools, ...]
    ends: tuple[bool, ...]
    states: tuple[Bools, ...]


class Possible:
    """The masks of a canvas, gap by gap, made when they are asked for."""

    def __init__(self, compiled: Compiled, canvas: Canvas) -> None:
        self._compiled, self._canvas = compiled, canvas
        layout = build(canvas, compiled.table, compiled.reach, ())
        assert layout is not None
        self._layout: Layout = layout
        lattice, live = layout.lattice, Chart.make(compiled.tables, layout.lattice).live
        self._live = np.zeros((len(lattice.final), len(compiled.scanner.labels)), dtype=bool)  # target x label
        self._live[lattice.target[live], lattice.label[live]] = True
        self._alive = _alive(layout.ways, layout.begins, layout.finals, layout.number, self._live)
        # states from which most tokens go on first: what is found need not be looked for again
        self._order = np.argsort(-np.diff(compiled.table.at), kind="stable")
        self._found: dict[Gap, Masks] = {}

    def __call__(self, gap: Gap) -> Masks:
        if gap not in self._found:
            self._found[gap] = self._masks(gap)
        return self._found[gap]

    def _masks(self, gap: Gap) -> Masks:
        table, layout = self._compiled.table, self._layout
        entries, exits = layout.places[gap.start], layout.places[gap.stop]
        first, later = self._labels(np.unique(entries)), self._labels(layout.middles[gap.start : gap.start + 1])
        allowed = _allowed(table.labels, table.labels_at, first, later)
        begins, stops = self._alive[entries], self._alive[exits]
        ending = self._ending(allowed)
        tail = max(0, self._canvas.tail - gap.start)
        arrays = (table.at, table.emitted, table.state, *allowed)
        before, after = _sweep(*arrays, begins, stops, ending, gap.stop - gap.start, tail)
        kept: dict[bytes, Bools] = {}
        groups: list[Bools] = []
        for at in range(gap.stop - gap.start):
            key = before[at].tobytes() + after[at + 1].tobytes()
            if key not in kept:
                kept[key] = _groups(table.class_of, *arrays, before[at], after[at + 1], self._order)
            groups.append(kept[key])
        ends = [at >= tail and bool((before[at] & ending).any()) for at in range(gap.stop - gap.start)]
        # where the text may end before, an end may be committed: it leaves the masks before it open
        states = before[:-1].any(axis=1)
        return Masks(tuple(groups), tuple(itertools.accumulate(ends, operator.or_)), tuple(states))

    def _labels(self, nodes: NDArray[np.int64]) -> Bools:
        """`[labels]` bool: of live edges from any of these nodes, or like them: they may be live where they were copied
        to, because no label lies between."""
        layout = self._layout
        found: Bools = _live_labels(layout.ways, layout.begins, layout.number, self._live, nodes)
        return found

    def _ending(self, allowed: tuple[Bools, Bools]) -> Bools:
        """`[2, S]` bool: whether the text may end in a state, before any label of the gap and behind one."""
        ending = self._compiled.table.ending
        never = ending == DEAD
        other = ending == len(allowed[0])  # a sequence that no token emits: nothing is known of it
        number = np.where(never | other, 0, ending)
        return np.stack([(one[number] | other) & ~never for one in allowed])


@njit(cache=True)
def _alive(ways, begins, finals, number, live):  # type: ignore[no-untyped-def]
    """`[nodes + 1]` bool: nodes from which a sentence goes on over some label, or may end; the last is for DEAD."""
    found = np.zeros(len(begins), dtype=np.bool_)
    for x in range(len(finals)):
        found[x] = finals[x]
        for i in range(begins[x], begins[x + 1]):
            target = target_of(ways[i])
            if kind_of(ways[i]) < SILENT:
                found[x] |= number[target] != DEAD and live[number[target], label_of(ways[i])]
            else:
                found[x] |= found[target]
    return found


@njit(cache=True)
def _live_labels(ways, begins, number, live, nodes):  # type: ignore[no-untyped-def]
    found = np.zeros(live.shape[1], dtype=np.bool_)
    met = np.zeros(len(begins), dtype=np.bool_)  # the last is for DEAD
    met[-1] = True
    queue = nothing()
    for node in nodes:
        if not met[node]:
            met[node] = True
            queue.append(node)
    while len(queue) > 0:
        x = queue.pop()
        for i in range(begins[x], begins[x + 1]):
            target = target_of(ways[i])
            if kind_of(ways[i]) < SILENT:
                found[label_of(ways[i])] |= number[target] != DEAD and live[number[target], label_of(ways[i])]
            elif not met[target]:
                met[target] = True
                queue.append(target)
    return found


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
def _groups(class_of, at, emitted, state, one, other, before, after, order):  # type: ignore[no-untyped-def]
    """`[G]` bool: groups of which some state before leads to some state after."""
    groups = class_of.shape[1]
    found = np.zeros(groups, dtype=np.bool_)
    missing = np.arange(groups)
    for s in order:
        if len(missing) == 0:
            break
        if not (before[0, s] or before[1, s]):
            continue
        left = 0
        for i in range(len(missing)):
            g = missing[i]
            c, fine = at[s] + class_of[s, g], False
            if class_of[s, g] >= 0:
                e, t = emitted[c], state[c]
                if before[0, s]:
                    fine = after[0, t] if e == 0 else one[e] and after[1, t]
                if before[1, s] and not fine:
                    fine = (e == 0 or other[e]) and after[1, t]
            if fine:
                found[g] = True
            else:
                missing[left] = g
                left += 1
        missing = missing[:left]
    return found
