"""A ragged set of rows as one table of integers, moved to the device in one copy.

    [N ids] [N positions] [N slots] [N rows]
    [B first tokens] [B counts] [B keys] [B values] [B capacities] [B layered] [B lengths]
    [M sources]

Keys and values are addresses of the rows' stores, so that rows come and go without anything being copied. A row without
a store gets one that all layers share (`layered` = 0), with a slot a fed token. Where a graph is to be replayed, N and
B are rounded up: filler tokens have the position -1, filler rows no tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.errors import ModelError
from dllm.models.base import RowInput

FACTS = 7
"""Integers of a row."""
HEAD_ROWS = 16
"""M is rounded up to a multiple of this: a library picks, and loads, another product for every number of rows."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where a row's keys and values lie: `[layers or 1, K, capacity, d]` each."""

    keys: Tensor
    values: Tensor
    layered: bool
    length: int


@dataclass(frozen=True, slots=True)
class RaggedTable:
    """The rows of one forward.

    Attributes:
        table: the integers above, int64 on the CPU.
        tokens, rows: N and B, filler included.
        longest: most tokens of one row, of those whose attention is the kernel's.
        long: the other rows, by their first token and count: a library's attention serves them. To the kernel they
            have no tokens.
        length: most keys of one row.
        reach: one past the largest position.
    """

    table: Tensor
    tokens: int
    rows: int
    longest: int
    length: int
    reach: int
    long: tuple[tuple[int, int, Store], ...]

    @property
    def body(self) -> int:
        """Integers in front of the sources."""
        return 4 * self.tokens + FACTS * self.rows


def rounded(count: int) -> int:
    """The next size that graphs are kept for: powers of two and the halves between them, at least 16."""
    power = max(16, 1 << max(0, count - 1).bit_length())
    return power * 3 // 4 if count <= power * 3 // 4 and power >= 64 else power


def lay_out(
    rows: Sequence[RowInput], stores: Sequence[Store], lookback: int, *, bucket: bool, long: int | None = None
) -> RaggedTable:
    """Lay out `rows` (at least one), each with a store.

    Args:
        bucket: round N and B up for a graph.
        long: rows of at least so many tokens are left to a library's attention; None for none.

    Raises:
        ModelError: a wanted position's source is not among those fed, or a row does not fit its store.
    """
    counts = [row.token_ids.numel() for row in rows]
    total = sum(counts)
    tokens = rounded(total) if bucket else total
    size = (1 << (len(rows) - 1).bit_length()) if bucket else len(rows)
    flat = torch.zeros(4, tokens, dtype=torch.long)
    flat[1, total:] = -1
    flat[0, :total] = torch.cat([row.token_ids for row in rows])
    flat[1, :total] = torch.cat([row.positions for row in rows])
    facts = torch.zeros(FACTS, size, dtype=torch.long)
    sources, first, apart = list[Tensor](), 0, list[tuple[int, int, Store]]()
    for index, (row, store, count) in enumerate(zip(rows, stores, counts, strict=True)):
        last = int(row.positions[-1])
        if store.layered and not 0 <= int(row.positions[0]) <= last < store.length <= store.keys.shape[2]:
            raise ModelError(f"positions up to {last} do not fit a store of length {store.length}; ask new_kv for more")
        flat[2, first : first + count] = row.positions if store.layered else torch.arange(count)
        flat[3, first : first + count] = index
        of_kernel = long is None or count < long
        if not of_kernel:
            apart.append((first, count, store))
        addresses = (store.keys.data_ptr(), store.values.data_ptr())
        numbers = (count if of_kernel else 0, *addresses, store.keys.shape[2], int(store.layered), store.length)
        facts[:, index] = torch.tensor((first, *numbers))
        sources.append(first + _places(row, lookback))
        first += count
    wanted = sum(len(source) for source in sources)
    filler = torch.zeros(-wanted % HEAD_ROWS, dtype=torch.long)
    table = torch.cat([flat.flatten(), facts.flatten(), *sources, filler])
    return RaggedTable(
        table=table,
        tokens=tokens,
        rows=size,
        longest=int(facts[1].max()),
        length=max(store.length for store in stores),
        reach=int(flat[1].max()) + 1,
        long=tuple(apart),
    )


def _places(row: RowInput, lookback: int) -> Tensor:
    """`[m]`: which of the row's fed tokens predict its wanted positions."""
    sought = (row.wanted - lookback).clamp_(min=0)
    found = torch.searchsorted(row.positions, sought)
    if len(sought) and not torch.equal(row.positions[found.clamp_max(len(row.positions) - 1)], sought):
        raise ModelError(
            f"a wanted position is predicted by one that was not fed; for every wanted p feed max(p - {lookback}, 0)"
        )
    return found
