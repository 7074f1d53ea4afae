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
from numpy.typing import NDArray

from dllm.grammars.canvas import Canvas, Gap
from dllm.grammars.search.chart import Chart
from dllm.grammars.search.lattice import Layout, build
from dllm.grammars.search.loops import masks as loops
from dllm.grammars.search.strides import Strides
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.flat import Bools

MEMORY = 2 << 20
"""Bytes of the chart, beyond which any lexeme is taken to be possible."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Masks:
    """The tokens of a gap.

    Attributes:
        steps: what a token does in the gap.
        before, after: `[width + 1, 2, S]` bool, see `loops.sweep`.
        ends: mask of the gap -> whether the text may end there, or before it in the gap.
    """

    steps: Strides
    before: Bools
    after: Bools
    ends: tuple[bool, ...]

    def groups(self, number: int) -> Bools:
        """`[G]` bool, the groups of tokens (`TokenTable.group_of`) that may stand at a mask of the gap."""
        return self.steps.groups(self.before[number], self.after[number + 1])

    def states(self, number: int) -> Bools:
        """`[S]` bool, the scanner states that may be before a mask of the gap."""
        found: Bools = self.before[number].any(axis=0)
        return found


class Possible:
    """The masks of a canvas, gap by gap, made when they are asked for."""

    def __init__(self, compiled: CompiledGrammar, canvas: Canvas) -> None:
        self._compiled, self._canvas = compiled, canvas
        layout = build(canvas, compiled.table, compiled.reach, ())
        assert layout is not None
        self._layout: Layout = layout
        lattice, chart = layout.lattice, Chart.bounded(compiled.productions, layout.lattice, MEMORY)
        live = np.ones(len(lattice.label), dtype=bool) if chart is None else chart.live
        self._live: Bools = loops.live_ways(lattice, live, len(compiled.scanner.labels))
        self._alive = loops.alive(layout.nodes, self._live)
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
        before, after = loops.sweep(
            steps.silent, steps.first, steps.later, begins, stops, steps.ending, gap.width, tail
        )
        ends = [at >= tail and bool((before[at] & steps.ending).any()) for at in range(gap.width)]
        # where the text may end before, an end may be committed: it leaves the masks before it open
        return Masks(steps, before, after, tuple(itertools.accumulate(ends, operator.or_)))

    def _labels(self, nodes: NDArray[np.int64]) -> Bools:
        """`[labels]` bool: of live edges from any of these nodes, or like them: they may be live where they were copied
        to, because no label lies between."""
        found: Bools = loops.live_labels(self._layout.nodes, self._live, nodes)
        return found
