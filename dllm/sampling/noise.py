"""Counter-based noise: each number is a pure function of (seed, step, position, column, stream).

A stateful generator would make a row's tokens depend on how many numbers its batch mates drew, and the CPU's and the
GPU's generators disagree. Here a 64-bit finaliser (the splitmix64 mixing function, Steele et al. 2014) is applied to
the counters with integer arithmetic only, so every device gives the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

_WORD = 1 << 64
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def _signed(value: int) -> int:
    """The int64 with the same 64 bits: torch has no unsigned 64-bit arithmetic."""
    value %= _WORD
    return value - _WORD if value >= _WORD // 2 else value


def _shift_right(words: Tensor, count: int) -> Tensor:
    """Logical shift; torch's own shift of int64 drags the sign along."""
    return (words >> count) & ((1 << (64 - count)) - 1)


def _mix(words: Tensor) -> Tensor:
    words = (words ^ _shift_right(words, 30)) * _signed(_FIRST)
    words = (words ^ _shift_right(words, 27)) * _signed(_SECOND)
    return words ^ _shift_right(words, 31)


def uniform(seed: int, step: int, positions: Tensor, width: int, *, stream: int = 0) -> Tensor:
    """Uniform numbers strictly inside (0, 1).

    Args:
        seed: of the row.
        step: of the row.
        positions: `[m]` long, the row's own canvas positions; the result lies on their device.
        width: columns, e.g. the vocabulary.
        stream: keeps independent uses apart.

    Returns:
        `[m, width]` float64 on a grid of 2^-53, never 0 or 1.
    """
    base = torch.tensor(_signed(seed * _GOLDEN + stream), dtype=torch.int64, device=positions.device)
    key = _mix(_mix(base) + _signed((step + 1) * _GOLDEN))
    rows = _mix(key + (positions.to(torch.int64) + 1) * _signed(_GOLDEN))
    columns = torch.arange(1, width + 1, dtype=torch.int64, device=positions.device) * _signed(_GOLDEN)
    words = _mix(_mix(rows)[:, None] + columns[None, :])
    return (_shift_right(words, 11).to(torch.float64) + 0.5) * 2.0**-53


def gumbel(seed: int, step: int, positions: Tensor, width: int, *, stream: int = 0) -> Tensor:
    """Standard Gumbel noise `[m, width]` float64: adding it to log-probabilities and taking the argmax samples them."""
    return -torch.log(-torch.log(uniform(seed, step, positions, width, stream=stream)))
