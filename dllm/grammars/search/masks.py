"""Which tokens may stand at the masks of a canvas: all that may, and some that may not.

A token is left out if its lexemes cannot be part of any sentence in that gap, or if no scanner state before it and
after it goes with the gap's edges and its number of masks. What is left in too much is found out when it is committed
(`dllm.grammars.search.constraint`). Where the chart that tells what a sentence may hold would be large, any lexeme is
taken to be possible: of a canvas with many gaps it says little else.
"""

from __future__ import annotations

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
NARROW = 32
"""Masks that are looked at of a gap that is wider; twice as many where its middle is still unlike what is around it."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Masks:
    """The tokens of a gap.

    Attributes:
        steps: what a token does in the gap.
        width: its masks. Those that are not near its ends may all be alike, and then one of them stands for them.
        before, after: `[masks + 1, 2, S]` bool, see `loops.sweep`.
        ended: `[masks + 1]` bool, whether the text may end there, or before it in the gap.
    """

    steps: Strides
    width: int
    before: Bools
    after: Bools
    ended: Bools

    def _row(self, number: int) -> int:
        kept = len(self.before) - 1
        return number if number <= kept >> 1 else max(kept >> 1, number - (self.width - kept))

    def groups(self, number: int) -> Bools:
        """`[G]` bool, the groups of tokens (`TokenTable.group_of`) that may stand at a mask of the gap."""
        return self.steps.groups(self.before[self._row(number)], self.after[self._row(number + 1)])

    def states(self, number: int) -> Bools:
        """`[S]` bool, the scanner states that may be before a mask of the gap."""
        found: Bools = self.before[self._row(number)].any(axis=0)
        return found

    def ends(self, number: int) -> bool:
        """Whether the text may end at a mask of the gap, or before it in the gap."""
        return bool(self.ended[self._row(number)])


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
        entries, exits = layout.before(gap.start), layout.before(gap.stop)
        first, later = self._labels(np.unique(entries[1])), self._labels(layout.middles[gap.start : gap.start + 1])
        steps = Strides.of(table, first, later)
        begins, stops = self._lively(*entries), self._lively(*exits)
        tail = max(0, self._canvas.tail - gap.start)
        width = min(NARROW, gap.width)
        while True:
            before, after, settled = loops.sweep(
                steps.silent, steps.first, steps.later, begins, stops, steps.ending, width, tail
            )
            if settled or width == gap.width:
                break
            width = min(2 * width, gap.width)
        ending = (before & steps.ending).any(axis=(1, 2)) & (np.arange(len(before)) >= tail)
        return Masks(steps, gap.width, before, after, np.logical_or.accumulate(ending))

    def _lively(self, states: NDArray[np.int64], nodes: NDArray[np.int64]) -> Bools:
        """`[S]` bool: states with a node from which a sentence goes on."""
        found = np.zeros(len(self._compiled.table.class_of), dtype=np.bool_)
        found[states] = self._alive[nodes]
        return found

    def _labels(self, nodes: NDArray[np.int64]) -> Bools:
        """`[labels]` bool: of live edges from any of these nodes, or like them: they may be live where they were copied
        to, because no label lies between."""
        found: Bools = loops.live_labels(self._layout.nodes, self._live, nodes)
        return found
