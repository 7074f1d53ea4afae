"""Confidence threshold (Fast-dLLM, arXiv 2505.22618)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.check import in_range, whole
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("threshold")
@dataclass(frozen=True)
class Threshold(Scheduler):
    """Commit every active position of confidence >= tau, and always the most confident ones.

    Args:
        tau: probability; the paper uses 0.9.
        least: how many are committed whatever their confidence. LLaDA2 (arXiv 2512.15745) has a step budget as well,
            which comes to this: a block's length over its steps.
    """

    tau: float = 0.9
    least: int = 1

    def __post_init__(self) -> None:
        in_range("threshold: tau", self.tau, 0.0, 1.0)
        object.__setattr__(self, "least", whole("threshold: least", self.least, 1))

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        return view.active & (view.confidence >= self.tau) | view.best(view.confidence, self.least), state
