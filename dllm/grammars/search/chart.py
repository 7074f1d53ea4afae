"""Which symbols derive which stretches of a lattice: a bottom-up chart whose rows are bitsets.

A lattice is a graph of nodes with edges that carry labels (what a lexeme may be). Edges lead to nodes of lower number,
or back to the node itself where a gap may hold anything any number of times. The row of (x, A) has bit y where symbol A
derives the labels of some path from x to y. Nodes are worked through by number, so everything to their right is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.search.loops import chart as loops
from dllm.grammars.search.loops.chart import Derivations
from dllm.grammars.search.loops.lightest import lightest
from dllm.grammars.search.loops.nodes import Lattice
from dllm.grammars.tables.flat import Ints
from dllm.grammars.tables.production_table import ProductionTable

SMALL = 2_000_000
"""Nodes times nodes times symbols up to which sentences are weighed."""
CELLS = 1 << 25
"""Nodes times symbols, at most: for each it takes some 30 bytes to say where its bits are, and how it came about."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Chart:
    """What was found in a lattice: in `derivations`, which symbols derive the labels of which paths."""

    productions: ProductionTable
    lattice: Lattice
    derivations: Derivations

    @classmethod
    def make(cls, productions: ProductionTable, lattice: Lattice) -> Chart:
        return cls(productions, lattice, Derivations(*loops.inside(productions, lattice, 1 << 59)))

    @classmethod
    def bounded(cls, productions: ProductionTable, lattice: Lattice, memory: int) -> Chart | None:
        """None if its bits would take more than `memory` bytes, or it has too many symbols for so many nodes."""
        if len(lattice.final) * len(productions.rank) > CELLS:
            return None
        found = Derivations(*loops.inside(productions, lattice, memory // 8))
        return cls(productions, lattice, found) if len(found.rows) == len(lattice.final) else None

    @cached_property
    def ends(self) -> list[int]:
        """Nodes where a sentence that begins at the root may end the text."""
        root = self.lattice.root
        row = self.derivations.rows[root, self.productions.start] if root >= 0 else -1
        if row < 0:
            return []
        words = self.derivations.bits[row : row + (root >> 6) + 1]
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")
        return [int(y) for y in np.flatnonzero(bits) if self.lattice.final[y]]

    @property
    def empty_text(self) -> bool:
        """Whether a text without lexemes is a sentence here."""
        root = self.lattice.root
        return root >= 0 and self.productions.may_be_empty and bool(self.lattice.final[root])

    @property
    def possible(self) -> bool:
        return self.empty_text or bool(self.ends)

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """`[edges]` bool: whether an edge is part of some sentence that begins at the root and may end the text."""
        if not self.ends:
            return np.zeros(len(self.lattice.label), dtype=bool)
        whole = (self.productions, self.lattice)
        used = loops.outside(*whole, self.derivations, np.array(self.ends, dtype=np.int32))
        found: NDArray[np.bool_] = loops.live_edges(*whole, self.derivations.rows, used)
        return found

    def lightest(self, weights: Ints, middles: Ints) -> int | None:
        """The least weight of a sentence here; None where it would take long to find out.

        Args:
            weights: `[labels]`, of those that a gap puts in behind another.
            middles: nodes in gaps, behind at least one label.
        """
        if self.empty_text:
            return 0
        nodes = len(self.lattice.final)
        if nodes * nodes * len(self.productions.rank) > SMALL:
            return None
        inside = np.zeros(nodes, dtype=np.bool_)
        inside[middles] = True
        return int(lightest(self.productions, self.lattice, weights, inside))

    def sentence(self) -> list[int]:
        """The labels of one sentence, from the root on; only where one is possible.

        From the left on, each gap puts no lexeme in if it can be avoided.
        """
        if self.empty_text:
            return []
        found: list[int] = loops.sentence(self.productions, self.lattice, self.derivations, self.ends[0]).tolist()
        return found
