"""The pass over the logits as Triton kernels: every logit is read once, in its own dtype, and nothing is stored.

A row of the vocabulary is cut into pieces, a program each, which keep their maximum, its lowest id, the second best,
the sum of exp, without that of the highest, and the sum of x exp; a second kernel joins a row's pieces.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from dllm.sampling.installed import has_triton

PIECE_COLUMNS = 4096
"""Of one piece."""


def usable(logits: Tensor) -> bool:
    """Whether the kernels can read these logits."""
    return logits.is_cuda and has_triton() and logits.dim() == 2 and logits.numel() > 0 and logits.stride(1) == 1


def peaks(logits: Tensor, banned: Tensor, entropy: bool) -> tuple[Tensor, ...]:
    """The fields of `Peaks` for `[m, V]` logits on CUDA, V at most 2^31."""
    (m, width), device = logits.shape, logits.device
    pieces = -(-width // PIECE_COLUMNS)
    parts = torch.empty(6, m, pieces, dtype=torch.float32, device=device)
    ids = torch.empty(m, pieces, dtype=torch.int32, device=device)
    out = torch.empty(6, m, dtype=torch.float32, device=device)
    tokens = torch.empty(m, dtype=torch.int64, device=device)
    piece_kernel, join_kernel, next_power = _kernels()
    piece_kernel[(m, pieces)](logits, banned, parts, ids, logits.stride(0), width, m * pieces, PIECE_COLUMNS, entropy)
    join_kernel[(m,)](parts, ids, out, tokens, m, pieces, next_power(pieces))
    return tokens, *out.unbind()


@cache
def _kernels() -> tuple[Any, Any, Any]:
    from dllm.sampling import peaks_triton as kernels

    return kernels.piece, kernels.join, kernels.next_power
