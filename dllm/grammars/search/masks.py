"""Which tokens may stand at the masks of a canvas: all that may, and some that may not.

A token is left out if its lexemes cannot be part of any sentence in that gap, or if no scanner state before it and
after it goes with the gap's edges and its number of masks. What is left in too much is found out when it is committed
(`dllm.grammars.search.constraint`). Where the chart that tells what a sentence may hold would be large, any lexeme is
taken to be possible: of a canvas with many gaps it says little else.
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dllm.grammars.canvas import Canvas, Gap
from dllm.grammars.search.chart import Chart
from dllm.grammars.search.lattice import Layout, build
from dllm.grammars.search.loops.bits import add_to, meets, packed
from dllm.grammars.search.loops.nodes import SILENT, kind_of, label_of, nothing, target_of
from dllm.grammars.search.strides import Strides
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.flat import Bools
from dllm.grammars.tables.steps import DEAD

MEMORY = 2 << 20
"""Bytes of the chart, beyond which any lexeme is taken to be possible."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
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

    def __init__(self, compiled: CompiledGrammar, canvas: Canvas) -> None:
        self._compiled, self._canvas = compiled, canvas
        layout = build(canvas, compiled.table, compiled.reach, ())
        assert layout is not None
        self._layout: Layout = layout
        lattice, chart = layout.lattice, Chart.bounded(compiled.tables, layout.lattice, MEMORY)
        live = slice(None) if chart is None else chart.live
        self._live = np.zeros((len(lattice.final), len(compiled.scanner.labels)), dtype=bool)  # target x label
        self._live[lattice.target[live], lattice.label[live]] = True
        self._alive = _alive(layout.ways, layout.begins, layout.finals, layout.number, self._live)
        self._found: dict[Gap, Masks] = {}

    def __call__(self, gap: Gap) -> Masks:
        if gap not in self._found:
            self._found[gap] = self._masks(gap)
        return self._found[gap]

    def _masks(self, gap: Gap) -> Masks:
        table, layout = self._compiled.table, self._layout
        entries, exits = layout.places[gap.start], layout.places[gap.stop]
        first, later = self._labels(np.unique(entries)), self._labels(layout.middles[gap.start : gap.start + 1])
        steps = Strides.of(table, first, later)
        begins, stops = self._alive[entries], self._alive[exits]
        tail = max(0, self._canvas.tail - gap.start)
        before, after = _sweep(steps.silent, steps.first, steps.later, begins, stops, steps.ending, gap.width, tail)
        groups = tuple(steps.groups(before[at], after[at + 1]) for at in range(gap.width))
        ends = [at >= tail and bool((before[at] & steps.ending).any()) for at in range(gap.width)]
        # where the text may end before, an end may be committed: it leaves the masks before it open
        states = before[:-1].any(axis=1)
        return Masks(groups, tuple(itertools.accumulate(ends, operator.or_)), tuple(states))

    def _labels(self, nodes: NDArray[np.int64]) -> Bools:
        """`[labels]` bool: of live edges from any of these nodes, or like them: they may be live where they were copied
        to, because no label lies between."""
        layout = self._layout
        found: Bools = _live_labels(layout.ways, layout.begins, layout.number, self._live, nodes)
        return found


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
def _sweep(silent, first, later, begins, stops, ending, width, tail):  # type: ignore[no-untyped-def]
    """`[width + 1, 2, S]` bool twice: states before each mask that the left side leads to, and that lead to the right.

    The second axis says whether a label has come in the gap.
    """
    count = len(silent)
    before = np.zeros((width + 1, 2, count), dtype=np.bool_)
    after = np.zeros((width + 1, 2, count), dtype=np.bool_)
    before[0, 0] = begins
    for j in range(width):
        if j > 1 and (before[j] == before[j - 1]).all():
            before[j + 1] = before[j]
            continue
        quiet, loud = np.zeros_like(silent[0]), np.zeros_like(silent[0])
        for s in range(count):
            for w in range(len(quiet) if before[j, 0, s] else 0):
                quiet[w] |= silent[s, w]
                loud[w] |= first[s, w]
            for w in range(len(quiet) if before[j, 1, s] else 0):
                loud[w] |= silent[s, w] | later[s, w]
        add_to(before[j + 1, 0], quiet)
        add_to(before[j + 1, 1], loud)
    after[width, 0] = stops
    after[width, 1] = stops
    for back in range(width):
        j = width - 1 - back
        if back > 1 and (j < tail) == (j + 1 < tail) and (after[j + 1] == after[j + 2]).all():
            after[j] = after[j + 1]
            continue
        quiet, loud = packed(after[j + 1, 0]), packed(after[j + 1, 1])
        for s in range(count):
            may_end = j >= tail
            after[j, 0, s] = (may_end and ending[0, s]) or meets(silent[s], quiet) or meets(first[s], loud)
            after[j, 1, s] = (may_end and ending[1, s]) or meets(silent[s], loud) or meets(later[s], loud)
    for j in range(width + 1):
        before[j] &= after[j]
    return before, after
