"""Factor rule (Fast-dLLM, arXiv 2505.22618)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.arguments import in_range
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("factor")
@dataclass(frozen=True)
class Factor(Scheduler):
    """Commit the n most confident, n the largest with c_(j) >= 1 - f / (j + 1) for every j = 2..n.

    Greedy parallel decoding equals greedy sequential decoding if (n + 1)(1 - c) <= 1; f scales that bound. The most
    confident position is always committed. (The published code also commits the very last mask when it alone fails;
    this is the clean rule.)

    Args:
        f: 1 is the theorem's bound; larger commits more.
    """

    f: float = 1.0

    def __post_init__(self) -> None:
        in_range("factor: f", self.f, 0.0)

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        ranked = torch.sort(view.confidence[view.active], descending=True).values
        rank = torch.arange(1, len(ranked) + 1, dtype=ranked.dtype)
        passes = ranked >= 1 - self.f / (rank + 1)
        passes[:1] = True
        count = int(passes.long().cumprod(0).sum())
        return view.best(view.confidence, count), state
