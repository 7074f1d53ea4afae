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
