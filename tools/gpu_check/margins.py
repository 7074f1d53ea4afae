"""How close a decision was, where two runs of the same request part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from dllm import RequestOutput, TraceStep
from dllm.models.base import RowDenoiser


def first_wrong(model: RowDenoiser, output: RequestOutput, expected: Sequence[int]) -> float | None:
    """Margin of the first committed token that `expected` (the answer's ids) contradicts; None if there is none.

    The margin is the probability of our token minus that of the expected one, on the canvas before the step. A run
    that parted by the order of its commits shows up one step later, with a larger margin.
    """
    start = len(output.prompt_token_ids)
    for canvas, step in zip(_canvases(model, output), output.trace.steps, strict=False):
        for position, token in zip(step.positions, step.token_ids, strict=True):
            right = expected[position - start]
            if token != right:
                p = _probabilities(model, canvas)[position]
                return float(p[token] - p[right])
    return None


def parting(model: RowDenoiser, one: RequestOutput, other: RequestOutput) -> float | None:
    """Margin of the first step at which two runs of a request differ; None if they never do.

    Where they committed different tokens at a position: the gap between the two tokens' probabilities. Where they
    committed different positions: the smallest gap between the confidences of positions that one of them alone chose.
    """
    for canvas, mine, theirs in zip(_canvases(model, one), one.trace.steps, other.trace.steps, strict=False):
        if _commits(mine) == _commits(theirs):
            continue
        p = _probabilities(model, canvas)
        both = _commits(mine), _commits(theirs)
        changed = [at for at in both[0].keys() & both[1].keys() if both[0][at] != both[1][at]]
        if changed:
            return min(float((p[at, both[0][at]] - p[at, both[1][at]]).abs()) for at in changed)
        alone = sorted(both[0].keys() ^ both[1].keys(), key=lambda at: float(p[at].max()))
        return min((float((p[b].max() - p[a].max()).abs()) for a, b in pairwise(alone)), default=1.0)
    return None if one.token_ids == other.token_ids else 1.0


def _commits(step: TraceStep) -> dict[int, int]:
    return dict(zip(step.positions, step.token_ids, strict=True))


def _canvases(model: RowDenoiser, output: RequestOutput) -> list[list[int]]:
    """The canvas before each step of an answer (no token revoked, none cut)."""
    mask = model.mask_token_id
    assert mask is not None, "LLM refuses models without a mask id"
    started = output.prompt_token_ids + [mask] * len(output.token_ids)
    return [started, *output.trace.replay(started, mask)]


def _probabilities(model: RowDenoiser, canvas: Sequence[int]) -> Tensor:
    """`[L, V]` float64 on the CPU, with the mask id out of the way."""
    logits = model.logits(torch.tensor([list(canvas)], device=model.device))[0]
    logits[:, model.mask_token_id] = -torch.inf
    return torch.softmax(logits.double(), dim=-1).cpu()
