"""Fixed number of tokens a step, by one of several measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dllm.arguments import one_of, whole
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView

By = Literal["confidence", "margin", "entropy", "random", "left_to_right"]
_ORDER_STREAM = 1


@register("topk")
@dataclass(frozen=True)
class TopK(Scheduler):
    """Commit the k best active positions.

    Args:
        k: tokens a step.
        by: confidence (p of the proposal), margin (p of the best minus p of the second, arXiv 2502.06768), entropy
            (least first), random (a fresh order each step), left_to_right.
    """

    k: int = 1
    by: By = "confidence"

    def __post_init__(self) -> None:
        whole("topk: k", self.k, 1)
        one_of("topk: by", self.by, ("confidence", "margin", "entropy", "random", "left_to_right"))
        object.__setattr__(self, "measures", frozenset({self.by} & {"margin", "entropy"}))

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        return view.best(self._score(view), self.k), state

    def _score(self, view: StepView) -> Tensor:
        if self.by == "random":
            return view.noise(view.positions, _ORDER_STREAM)
        if self.by == "left_to_right":
            return -view.positions.double()
        return -view.measures["entropy"] if self.by == "entropy" else view.measures[self.by]
