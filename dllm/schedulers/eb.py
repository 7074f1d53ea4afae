"""Entropy-bounded sampler (arXiv 2505.24857)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import in_range, one_of
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("eb")
@dataclass(frozen=True)
class EntropyBounded(Scheduler):
    """Commit the longest prefix of the ranked positions with sum(H) - max(H) <= gamma, H their entropies in nats.

    The bound is on what the prefix's tokens may still tell of each other. One position always meets it.

    Args:
        gamma: nats; 0 commits one token a step (more only where entropies are 0).
        by: what ranks the positions: entropy (least first), confidence or margin (largest first).
    """

    gamma: float = 0.001
    by: Literal["entropy", "confidence", "margin"] = "entropy"

    def __post_init__(self) -> None:
        in_range("eb: gamma", self.gamma, 0.0)
        one_of("eb: by", self.by, ("entropy", "confidence", "margin"))
        object.__setattr__(self, "measures", frozenset({"entropy", self.by} - {"confidence"}))

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        entropy = view.measures["entropy"]
        score = -entropy if self.by == "entropy" else view.measures[self.by]
        order = torch.sort(score[view.active], descending=True, stable=True).indices
        ranked = entropy[view.active][order]
        fits = ranked.cumsum(0) - ranked.cummax(0).values <= self.gamma
        fits[:1] = True
        return view.best(score, int(fits.long().cumprod(0).sum())), state
