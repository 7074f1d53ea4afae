"""One pass over logits: the best id, the second best score, the normaliser, and the entropy if it is asked for.

Everything that schedulers ask of a distribution follows from these (`proposals.py`), so no softmax over the vocabulary
is ever stored. On CUDA it is one kernel (`peaks_cuda.py`); elsewhere the logits are read in pieces that fit a
CPU's cache. Both give the ids of a float64 reference; values agree with it to 1e-5 (tests/sampling/test_peaks.py).

A probability near 1 is told by how little the others have: 1 - p = 1e-9 is lost as soon as the best score's own share,
which is 1, is added to theirs in float32. So the others are summed without it, and the normaliser is kept in two parts,
the highest score and log(1 + the others' sum); `Peaks.log_p` puts them together in float64. Such a 1 - p is as exact as
the logits are, to about 1e-6 of itself, and positions stand in the order of a softmax in float64.
"""

from __future__ import annotations

from collections.abc import Callable
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
        highest: `[m]` float32, the highest score of all, banned ones too.
        excess: `[m]` float32, log of the sum of exp(score - highest) over every column; at least 0.
        entropy: `[m]` float32, in nats over every column; zeros unless asked for.
        runner_up: `[m]` float32, the second highest score of all, banned ones too; -inf if there is none.
    """

    token_ids: Tensor
    best: Tensor
    second: Tensor
    highest: Tensor
    excess: Tensor
    entropy: Tensor
    runner_up: Tensor

    def log_p(self, scores: Tensor) -> Tensor:
        """`[m]` float64: log-probability of an id of each row that has this score, `[m]` float."""
        return (scores.double() - self.highest.double()) - self.excess.double()

    @property
    def normaliser(self) -> Tensor:
        """`[m]` float32, log of the sum of exp, rounded at the size of the scores: for looking at, not to subtract."""
        return self.highest + self.excess


def peaks(logits: Tensor, banned: Tensor, *, entropy: bool = False) -> Peaks:
    """Read `[m, V]` float logits once; `banned`: `[V]` bool on their device, ids that may not be proposed."""
    if peaks_cuda.usable(logits):
        return Peaks(*peaks_cuda.peaks(logits, banned, entropy))
    return (_plainly if logits.shape[1] <= SMALL else _in_groups)(logits.float(), banned, entropy)


def _plainly(logits: Tensor, banned: Tensor, entropy: bool) -> Peaks:
    highest, top = logits.max(-1, keepdim=True)
    excess, spread = _excess(logits, highest, top, entropy, Tensor.sum)
    allowed = logits.masked_fill(banned, -torch.inf)
    best, token_ids = allowed.max(-1, keepdim=True)
    second = allowed.scatter_(1, token_ids, -torch.inf).amax(-1)
    runner_up = logits.scatter(1, top, -torch.inf).amax(-1)
    return Peaks(token_ids[:, 0], best[:, 0], second, highest[:, 0], excess, spread, runner_up)


def _in_groups(logits: Tensor, banned: Tensor, entropy: bool) -> Peaks:
    maxima = group_maxima(logits)
    highest, top, runner_up = _found(logits, maxima, None)
    excess, spread = _excesses(logits, highest, top, entropy)
    allowed = _allowed_maxima(logits, maxima, banned)
    best, token_ids, second = _found(logits, allowed, banned)
    return Peaks(token_ids[:, 0], best[:, 0], second, highest[:, 0], excess, spread, runner_up)


def _found(logits: Tensor, maxima: Tensor, banned: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The best score `[m, 1]`, its column `[m, 1]`, and the next score `[m]`, by the maxima of the groups."""
    group = maxima.argmax(-1, keepdim=True)
    columns = group * GROUP + torch.arange(GROUP, device=logits.device)
    inside = columns.clamp_max(logits.shape[1] - 1)
    out = columns != inside if banned is None else banned[inside] | (columns != inside)
    values = logits.gather(1, inside).masked_fill_(out, -torch.inf)
    best, at = values.max(-1, keepdim=True)
    rest = torch.maximum(values.scatter(1, at, -torch.inf).amax(-1), maxima.scatter(1, group, -torch.inf).amax(-1))
    return best, columns.gather(1, at), rest


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


def _excesses(logits: Tensor, highest: Tensor, top: Tensor, entropy: bool) -> tuple[Tensor, Tensor]:
    """`_excess`, in pieces of a size that a CPU keeps close."""
    size = max(1, PIECE_SIZE // logits.shape[1])
    pieces = zip(torch.split(logits, size), torch.split(highest, size), torch.split(top, size), strict=True)
    found = [_excess(*piece, entropy, _total) for piece in pieces]
    return torch.cat([excess for excess, _ in found]), torch.cat([spread for _, spread in found])


def _excess(
    logits: Tensor, highest: Tensor, top: Tensor, entropy: bool, total: Callable[[Tensor, int], Tensor]
) -> tuple[Tensor, Tensor]:
    """`[m]` log of the sum of exp(score - highest), and `[m]` entropies (zeros unless asked for).

    Args:
        highest, top: `[m, 1]`, each row's highest score and its column.
        total: `[m, V]`, -1 -> `[m]`, the sum.
    """
    shifted = logits - highest
    weights = shifted.exp() if entropy else shifted.exp_()
    # the highest is exp(0): less 1, it leaves the sum; where the highest score is no number, this stays none
    others = total(weights.scatter_(1, top, -1.0, reduce="add"), -1)
    excess = others.log1p()
    if not entropy:
        return excess, torch.zeros_like(excess)
    # a score of -inf has no share, and 0 * -inf is not a number
    mean = total(weights.mul_(shifted.clamp_min_(torch.finfo(shifted.dtype).min)), -1) / (1 + others)
    return excess, excess - mean


def _total(weights: Tensor, dim: int) -> Tensor:
    """`[r, V]` -> `[r]`, the sum of the last dimension.

    In two stages: the sum of one long row alone would be split between threads, so that its last bit would depend on
    how many rows there are.
    """
    whole = weights.shape[1] // GROUP
    total = weights[:, whole * GROUP :].sum(dim)
    if whole:
        total = total + weights[:, : whole * GROUP].view(len(weights), whole, GROUP).sum(dim).sum(dim)
    return total
