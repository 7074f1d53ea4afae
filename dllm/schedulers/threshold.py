"""Confidence threshold (Fast-dLLM, arXiv 2505.22618)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dllm.arguments import in_range, one_of
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("threshold")
@dataclass(frozen=True)
class Threshold(Scheduler):
    """Commit every active position of confidence >= tau, and always the most confident one.

    Args:
        tau: probability; the paper uses 0.9.
        opening: what a block's first forward may commit: any = as at every step, as published for LLaDA; first = the
            block's first position and nothing else, as in the published loops with a cache for Dream (docs/caches.md),
            whose numbers it is for: it costs up to a forward a block.
    """

    tau: float = 0.9
    opening: Literal["any", "first"] = "any"

    def __post_init__(self) -> None:
        in_range("threshold: tau", self.tau, 0.0, 1.0)
        one_of("threshold: opening", self.opening, ("any", "first"))

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        if self.opening == "first" and view.block_step == 0:
            return view.best(-view.positions, 1), state
        return view.active & (view.confidence >= self.tau) | view.best(view.confidence, 1), state
