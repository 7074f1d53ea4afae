"""A grammar as flat arrays: for each symbol, what it is a part of; for each label, the terminals it may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dllm.grammars.tables.cfg import Cfg
from dllm.grammars.tables.flat import Ints, starts


class ProductionTable(NamedTuple):
    """A grammar in the normal form of `Cfg`. Rows lie end to end, those of x begin at `_at[x]`.

    Attributes:
        unit, unit_at: heads of `head -> b`, those of b at `unit_at[b]:unit_at[b + 1]`.
        left, left_at: (head, right) of `head -> b right`, by b.
        right, right_at: (head, left) of `head -> left b`, by b.
        body, body_at: (left, right) of `head -> left right`, and (b, -1) of `head -> b`, by head.
        symbols, symbols_at: terminals of a label.
        rank, by_rank: an order of the symbols, nearly so that what a head begins with comes before it.
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
    start: int
    may_be_empty: bool

    @classmethod
    def make(cls, grammar: Cfg, labels: Sequence[Sequence[int]]) -> ProductionTable:
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
