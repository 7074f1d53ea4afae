"""LLaDA's own schedule (arXiv 2502.09992): a fixed number of tokens at each step of a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dllm.arguments import one_of
from dllm.schedulers.base import Scheduler, register
from dllm.schedulers.budget import BlockBudget, check_budget, open_budget
from dllm.views import CanvasView, StepView

_ORDER_STREAM = 1


@register("llada")
@dataclass(frozen=True)
class LLaDA(Scheduler):
    """Spread a block's m masks over its T steps, floor(m / T) each and one more in the first m mod T.

    Args:
        remasking: low_confidence commits the most confident, random a random choice.
    """

    remasking: Literal["low_confidence", "random"] = "low_confidence"
    reads_steps = True

    def __post_init__(self) -> None:
        one_of("llada: remasking", self.remasking, ("low_confidence", "random"))

    def init(self, view: CanvasView) -> BlockBudget:
        return check_budget(view, "llada")

    def open_block(self, view: CanvasView, state: BlockBudget) -> BlockBudget:
        return open_budget(view, state)

    def select(self, view: StepView, state: BlockBudget) -> tuple[Tensor, BlockBudget]:
        quota = state.masks // state.steps + (view.block_step < state.masks % state.steps)
        score = view.confidence if self.remasking == "low_confidence" else view.noise(view.positions, _ORDER_STREAM)
        return view.best(score, quota), state
