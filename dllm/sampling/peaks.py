"""One pass over logits: the best id, the second best score, the normaliser, and the entropy if it is asked for.

Everything that schedulers ask of a distribution follows from these (`proposals.py`), so no softmax over the vocabulary
is ever stored. On CUDA it is one kernel (`peaks_cuda.py`); elsewhere the logits are read in pieces that fit a
CPU's cache. Both give the ids of a float64 reference; values agree with it to 1e-5 (tests/sampling/test_peaks.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.sampling import peaks_cuda

GROUP = 256
"""Columns whose maximum is taken first: finding where it stands is dear, and one group of them is enough for that."""
SMALL = 1 << 12
"""Vocabularies up to this are read plainly: there is nothing to gain, and the calls would be dearer than the work."""
PIECE_SIZE = 1 << 17
"""Elements that are exponentiated at a time: half a megabyte, which a CPU keeps close."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """What m distributions come to.

    Attributes:
        token_ids: `[m]` long, the id of the highest score among those that may be proposed; of equals, the lowest.
        best: `[m]` float32, its score; -inf if nothing may be proposed.
        second: `[m]` float32, the next score among those; -inf if there is none.
        normaliser: `[m]` float32, log of the sum of exp over every column, banned ones too.
        entropy: `[m]` float32, in nats over every column; zeros unless asked for.
    """

    token_ids: Tensor
    best: Tensor
    second: Tensor
    normaliser: Tensor
    entropy: Tensor


def peaks(logits: Tensor, banned: Tensor, *, entropy: bool = False) -> Peaks:
    """Read `[m, V]` float logits once; `banned`: `[V]` bool on their device, ids that may not be proposed."""
    if peaks_cuda.usable(logits):
        return Peaks(*peaks_cuda.peaks(logits, banned, entropy))
    return (_plainly if logits.shape[1] <= SMALL else _in_groups)(logits.float(), banned, entropy)


def _plainly(logits: Tensor, banned: Tensor, entropy: bool) -> Peaks:
    allowed = logits.masked_fill(banned, -torch.inf)
    best, token_ids = allowed.max(-1, keepdim=True)
    second = allowed.scatter_(1, token_ids, -torch.inf).amax(-1)
    normaliser = logits.logsumexp(-1)
    spread = torch.zeros_like(normaliser)
    if entropy:
        log_p = logits - normaliser[:, None]
        spread = -(log_p.exp() * log_p.clamp_min(torch.finfo(log_p.dtype).min)).sum(-1)
    return Peaks(token_ids[:, 0], best[:, 0], second, normaliser, spread)


def _in_groups(logits: Tensor, banned: Tensor, entropy: bool) -> Peaks:
    top = group_maxima(logits)
    normaliser, spread = normalisers(logits, top.amax(-1), entropy)
    allowed = _allowed_maxima(logits, top, banned)
    group = allowed.argmax(-1, keepdim=True)
    columns = group * GROUP + torch.arange(GROUP, device=logits.device)
    inside = columns.clamp_max(logits.shape[1] - 1)
    values = logits.gather(1, inside).masked_fill_(banned[inside] | (columns != inside), -torch.inf)
    best, at = values.max(-1, keepdim=True)
    rest = torch.maximum(values.scatter(1, at, -torch.inf).amax(-1), allowed.scatter(1, group, -torch.inf).amax(-1))
    return Peaks(columns.gather(1, at)[:, 0], best[:, 0], rest, normaliser, spread)


def group_maxima(logits: Tensor) -> Tensor:
    """`[m, ceil(V / GROUP)]`: the maximum of every group of columns."""
    whole = logits.shape[1] // GROUP
    maxima = [logits[:, : whole * GROUP].view(len(logits), whole, GROUP).amax(-1)] if whole else []
    if whole * GROUP < logits.shape[1]:
        maxima.append(logits[:, whole * GROUP :].amax(-1, keepdim=True))
    return torch.cat(maxima, dim=1)


def _allowed_maxima(logits: Tensor, top: Tensor, banned: Tensor) -> Tensor:
    """`group_maxima` without the banned ids: groups that hold some are read again."""
    columns = banned.nonzero()[:, 0]
    groups = torch.unique_consecutive(columns // GROUP)
    if len(groups) > top.shape[1] // 2:
        return group_maxima(logits.masked_fill(banned, -torch.inf))
    if not len(groups):
        return top
    columns = (groups[:, None] * GROUP + torch.arange(GROUP, device=logits.device)).clamp_max(logits.shape[1] - 1)
    values = logits[:, columns.flatten()].masked_fill_(banned[columns.flatten()], -torch.inf)
    return top.index_copy(1, groups, values.view(len(logits), *columns.shape).amax(-1))


def normalisers(logits: Tensor, highest: Tensor, entropy: bool) -> tuple[Tensor, Tensor]:
    """`[m]` log of the sum of exp, and `[m]` entropies (zeros unless asked for); `highest`: `[m]`, of each row."""
    pieces = torch.split(logits, max(1, PIECE_SIZE // logits.shape[1]))
    tops = torch.split(highest, len(pieces[0]))
    found = [_normaliser(rows, top, entropy) for rows, top in zip(pieces, tops, strict=True)]
    return torch.cat([log for log, _ in found]), torch.cat([spread for _, spread in found])


def _normaliser(logits: Tensor, highest: Tensor, entropy: bool) -> tuple[Tensor, Tensor]:
    shifted = logits - highest[:, None]
    weights = shifted.exp() if entropy else shifted.exp_()
    total = _total(weights)
    if not entropy:
        return highest + total.log(), torch.zeros_like(total)
    # a score of -inf has no share, and 0 * -inf is not a number
    mean = _total(weights.mul_(shifted.clamp_min_(torch.finfo(shifted.dtype).min))) / total
    return highest + total.log(), total.log() - mean


def _total(weights: Tensor) -> Tensor:
    """`[r, V]` -> `[r]`. In two stages: the sum of one long row alone would be split between threads, so that its last
    bit would depend on how many rows there are."""
    whole = weights.shape[1] // GROUP
    total = weights[:, whole * GROUP :].sum(-1)
    if whole:
        total = total + weights[:, : whole * GROUP].view(len(weights), whole, GROUP).sum(-1).sum(-1)
    return total
