"""LLaDA2's rule (arXiv 2512.15745): a confidence threshold over a step budget."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("llada2")
@dataclass(frozen=True)
class LLaDA2(Scheduler):
    """Commit every active position of confidence > tau, and always the `least` most confident ones.

    Args:
        tau: probability.
        least: a block's length over the steps it may take: 1 for 32 steps on a block of 32, as published.
    """

    tau: float = 0.95
    least: int = 1

    def __post_init__(self) -> None:
        in_range("llada2: tau", self.tau, 0.0, 1.0)
        object.__setattr__(self, "least", whole("llada2: least", self.least, 1))

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        return view.active & (view.confidence > self.tau) | view.best(view.confidence, self.least), state
