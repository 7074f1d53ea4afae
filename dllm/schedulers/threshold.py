"""Confidence threshold (Fast-dLLM, arXiv 2505.22618)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.arguments import in_range
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("threshold")
@dataclass(frozen=True)
class Threshold(Scheduler):
    """Commit every active position of confidence >= tau, and always the most confident one.

    Args:
        tau: probability; the paper uses 0.9.
    """

    tau: float = 0.9

    def __post_init__(self) -> None:
        in_range("threshold: tau", self.tau, 0.0, 1.0)

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        return view.active & (view.confidence >= self.tau) | view.best(view.confidence, 1), state
