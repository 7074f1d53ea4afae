"""What else could have been committed: a token's log-probability, and those of the most probable ids."""

from __future__ import annotations

import torch
from torch import Tensor

from dllm.sampling.peaks import peaks

Ranked = tuple[tuple[int, float], ...]
NEVER = -9999.0
"""Stands for the logarithm of 0, which JSON cannot hold."""


def alternatives(scores: Tensor, banned: Tensor, token_ids: Tensor, k: int) -> list[Ranked]:
    """For each of m positions its token, then the k most probable ids (of equals, the lowest first).

    Args:
        scores: `[m, V]` float, under whose softmax a token's probability is its confidence (`proposals`).
        banned: `[V]` bool, ids that are never proposed; they keep their place in the normaliser.
        token_ids: `[m]` long, on any device.

    Returns:
        m tuples of (id, natural log-probability); ids of probability 0 are left out behind the first.
    """
    scores, token_ids = scores.float(), token_ids.to(scores.device)
    found = peaks(scores, banned)
    own = found.log_p(scores.gather(1, token_ids[:, None])[:, 0])
    top = scores.masked_fill(banned, -torch.inf).topk(min(k, scores.shape[1]), dim=-1)
    best = [found.log_p(column) for column in top.values.unbind(-1)]
    columns = torch.stack([own, *best], dim=-1).clamp_min(NEVER).tolist()
    ids = torch.cat([token_ids[:, None], top.indices], dim=-1).tolist()
    return [_ordered(*row) for row in zip(ids, columns, strict=True)]


def _ordered(ids: list[int], values: list[float]) -> Ranked:
    (own, *others) = zip(ids, values, strict=True)
    kept = [one for one in others if one[1] > NEVER]
    return (own, *sorted(kept, key=lambda one: (-one[1], one[0])))
