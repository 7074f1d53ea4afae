"""Which symbols derive which stretches of a lattice: a bottom-up chart whose rows are bitsets.

A lattice is a graph of nodes with edges that carry labels (what a lexeme may be). Edges lead to nodes of lower number,
or back to the node itself where a gap may hold anything any number of times. The row of (x, A) has bit y where symbol A
derives the labels of some path from x to y. Nodes are worked through by number, so everything to their right is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.search.loops import chart as kernels
from dllm.grammars.search.loops.reasons import SILENT, UNIT, reasons
from dllm.grammars.tables.cfg import Cfg
from dllm.grammars.tables.flat import Ints, Words, starts


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Tables:
    """A grammar as flat arrays: for each symbol, what it is a part of; for each label, the terminals it may be.

    Attributes:
        unit, unit_at: heads of `head -> b`, those of b at `unit_at[b]:unit_at[b + 1]`.
        left, left_at: (head, right) of `head -> b right`, by b.
        right, right_at: (head, left) of `head -> left b`, by b.
        body, body_at: (left, right) of `head -> left right`, and (b, -1) of `head -> b`, by head.
        symbols, symbols_at: terminals of a label.
        rank, by_rank: an order of the symbols, nearly so that what a head begins with comes before it.
        count: of symbols.
        start: the symbol of a whole text.
        may_be_empty: whether a text without lexemes is one.
    """

    unit: Ints
    unit_at: Ints
    left: Ints
    left_at: Ints
    right: Ints
    right_at: Ints
    body: Ints
    body_at: Ints
    symbols: Ints
    symbols_at: Ints
    rank: Ints
    by_rank: Ints
    count: int
    start: int
    may_be_empty: bool

    @classmethod
    def make(cls, grammar: Cfg, labels: Sequence[Sequence[int]]) -> Tables:
        count = len(grammar.names)
        unit, unit_at = _grouped([(body, (head,)) for head, body in grammar.unit], count, 1)
        left, left_at = _grouped([(b, (head, c)) for head, b, c in grammar.binary], count, 2)
        right, right_at = _grouped([(c, (head, b)) for head, b, c in grammar.binary], count, 2)
        bodies = [(head, (b, c)) for head, b, c in grammar.binary] + [(head, (b, -1)) for head, b in grammar.unit]
        body, body_at = _grouped(bodies, count, 2)
        pairs = [(label, (symbol,)) for label, symbols in enumerate(labels) for symbol in symbols]
        symbols, symbols_at = _grouped(pairs, len(labels), 1)
        rank = _ranks(count, [*grammar.unit, *((head, b) for head, b, _ in grammar.binary)])
        return cls(
            *(unit, unit_at, left, left_at, right, right_at, body, body_at, symbols, symbols_at),
            rank=rank,
            by_rank=np.argsort(rank).astype(np.int32),
            count=count,
            start=grammar.start,
            may_be_empty=grammar.may_be_empty,
        )


def _grouped(pairs: Sequence[tuple[int, tuple[int, ...]]], count: int, width: int) -> tuple[Ints, Ints]:
    """Values by key, and where each key's begin."""
    ordered = sorted(pairs)
    values = np.array([value for _, value in ordered], dtype=np.int32).reshape(-1, width)
    sizes = np.bincount([key for key, _ in ordered], minlength=count) if ordered else np.zeros(count, dtype=int)
    return values, starts(sizes)


def _ranks(count: int, begun: Iterable[tuple[int, int]]) -> Ints:
    """By symbol. `begun`: (head, what it begins with). The order in which a search from below leaves them, reversed."""
    heads: list[list[int]] = [[] for _ in range(count)]
    for head, body in begun:
        heads[body].append(head)
    met, found = [False] * count, [0] * count
    left = count
    for first in range(count):
        stack = [] if met[first] else [(first, iter(heads[first]))]
        met[first] = True
        while stack:
            symbol, onward = stack[-1]
            above = next((head for head in onward if not met[head]), None)
            if above is None:
                left -= 1
                found[symbol] = left
                stack.pop()
            else:
                met[above] = True
                stack.append((above, iter(heads[above])))
    return np.array(found, dtype=np.int32)


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Lattice:
    """Nodes from the right end on.

    Attributes:
        label, target: of the edges, those of node x at `at[x]:at[x + 1]`.
        given: `[n]`, how many of a node's edges, the first ones, are not put in by a gap.
        silent: nodes that lead on for x too, without a label, at `silent_at[x]:silent_at[x + 1]`; of lower number.
        calm: `[n]`, how many of those, the first ones, neither begin nor end free text.
        final: `[n]` bool, whether the text may end at the node.
        root: the node where the text begins, or -1 if the scanner finds no text at all.
    """

    label: Ints
    target: Ints
    at: Ints
    given: Ints
    silent: Ints
    silent_at: Ints
    calm: Ints
    final: NDArray[np.bool_]
    root: int


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Chart:
    """What was found in a lattice.

    Attributes:
        rows: `[n, symbols]`, where in `bits` the row of a node and a symbol begins, or -1 for nothing.
        bits: rows of words, those of node x are `(x >> 6) + 1` long.
        has: `[symbols, words]`, bit x where node x has a row.
    """

    tables: Tables
    lattice: Lattice
    rows: NDArray[np.int64]
    bits: Words
    has: Words

    @classmethod
    def make(cls, tables: Tables, lattice: Lattice) -> Chart:
        made = cls.bounded(tables, lattice, 1 << 62)
        assert made is not None
        return made

    @classmethod
    def bounded(cls, tables: Tables, lattice: Lattice, memory: int) -> Chart | None:
        """None if its bits would take more than `memory` bytes."""
        rows, *made = kernels.inside(_grammar(tables), _ranked(tables), _edges(lattice), memory // 8)
        return cls(tables, lattice, rows, *made) if len(rows) == len(lattice.final) else None

    def spans(self, x: int, symbol: int, y: int) -> bool:
        """Whether the symbol derives the labels of some path from x to y."""
        return bool(kernels.within(self.bits, self.rows[x, symbol], y))

    @cached_property
    def ends(self) -> list[int]:
        """Nodes where a sentence that begins at the root may end the text."""
        root = self.lattice.root
        row = self.rows[root, self.tables.start] if root >= 0 else -1
        if row < 0:
            return []
        bits = np.unpackbits(self.bits[row : row + (root >> 6) + 1].view(np.uint8), bitorder="little")
        return [int(y) for y in np.flatnonzero(bits) if self.lattice.final[y]]

    @property
    def empty_text(self) -> bool:
        """Whether a text without lexemes is a sentence here."""
        root = self.lattice.root
        return root >= 0 and self.tables.may_be_empty and bool(self.lattice.final[root])

    @property
    def possible(self) -> bool:
        return self.empty_text or bool(self.ends)

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """`[edges]` bool: whether an edge is part of some sentence that begins at the root and may end the text."""
        if not self.ends:
            return np.zeros(len(self.lattice.label), dtype=bool)
        tables, lattice = self.tables, self.lattice
        used = kernels.outside(
            *((tables.body, tables.body_at), _ranked(tables), _edges(lattice), (self.rows, self.bits, self.has)),
            *(tables.start, lattice.root, np.array(self.ends, dtype=np.int32)),
        )
        found: NDArray[np.bool_] = kernels.live_edges(_grammar(tables), _edges(lattice), self.rows, used)
        return found

    def sentence(self) -> list[int]:
        """The labels of one sentence, from the root on; only where one is possible.

        From the left on, each gap puts no lexeme in if it can be avoided.
        """
        if self.empty_text:
            return []
        lattice = self.lattice
        what = (_grammar(self.tables), _edges(lattice), (lattice.given, lattice.calm), self.rows, self.bits)
        why = np.empty((self.tables.count, lattice.root + 1, 3), dtype=np.int32)
        met = np.zeros(why.shape[:2], dtype=np.int32)
        found: list[int] = []
        stack = [(lattice.root, self.tables.start, self.ends[0])]
        at, tick = -1, 0
        while stack:  # leftmost first, so that a node is not met again once it is left
            x, symbol, y = stack.pop()
            onward = self._silently(x, symbol, y)
            if onward is not None:
                stack.append((onward, symbol, y))
                continue
            if x != at or met[symbol, y] != tick:
                at, tick = x, tick + 1
                reasons(*what, x, symbol, y, why, met, tick)
            one, other, middle = why[symbol, y].tolist()
            if other == SILENT:
                stack.append((one, symbol, y))
            elif middle >= 0:
                stack += [(middle, other, y), (x, one, middle)]
            elif other == UNIT:
                stack.append((x, one, y))
            else:
                found.append(one)
        return found

    def _silently(self, x: int, symbol: int, y: int) -> int | None:
        """A node reached silently and calmly from x where the symbol leads to y too."""
        lattice = self.lattice
        for z in lattice.silent[lattice.silent_at[x] : lattice.silent_at[x] + lattice.calm[x]].tolist():
            if y <= z and self.spans(z, symbol, y):
                return int(z)
        return None


def _grammar(tables: Tables) -> tuple[Ints, ...]:
    return (
        *(tables.unit, tables.unit_at, tables.left, tables.left_at),
        *(tables.right, tables.right_at, tables.symbols, tables.symbols_at),
    )


def _ranked(tables: Tables) -> tuple[Ints, Ints]:
    return tables.by_rank, tables.rank


def _edges(lattice: Lattice) -> tuple[Ints, ...]:
    return lattice.label, lattice.target, lattice.at, lattice.silent, lattice.silent_at
