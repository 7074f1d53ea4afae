"""Rows of different lengths as flat arrays: what lies end to end, and where each row begins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int32]
Words = NDArray[np.uint64]
"""Sets of small numbers as bits: see `dllm.grammars.search.loops.bits`."""


def starts(sizes: Sequence[int] | NDArray[np.integer]) -> Ints:
    """`[n + 1]`: row i lies at `starts[i]:starts[i + 1]`."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)


def ragged(rows: Sequence[tuple[int, ...]]) -> tuple[Ints, Ints]:
    """Where each row begins, and all rows end to end."""
    return starts([len(row) for row in rows]), np.array([one for row in rows for one in row], dtype=np.int32)


def unragged(flat: Ints, begins: Ints) -> tuple[tuple[int, ...], ...]:
    """The rows again."""
    values, bounds = flat.tolist(), begins.tolist()
    return tuple(tuple(values[low:high]) for low, high in pairwise(bounds))


def bits(values: NDArray[np.integer], at: NDArray[np.integer], count: int) -> Words:
    """Sets of numbers below `count`, those of x at `values[at[x]:at[x + 1]]`, as rows of words of 64 bits."""
    found = np.zeros((len(at) - 1, (count + 63) // 64), dtype=np.uint64)
    rows, ones = np.repeat(np.arange(len(at) - 1), np.diff(at)), np.asarray(values, dtype=np.int64)
    np.bitwise_or.at(found, (rows, ones >> 6), np.uint64(1) << (ones & 63).astype(np.uint64))
    return found


def unpacked(rows: Words, count: int) -> Bools:
    """Rows of bits as `[.., count]` bool."""
    return np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=-1, bitorder="little", count=count).view(
        np.bool_
    )
