"""Path planning (P2, arXiv 2502.03540), as Open-dLLM samples: at each step the surest positions hold a token."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.schedulers.base import Scheduler, register
from dllm.schedulers.budget import BlockBudget, check_budget, open_budget
from dllm.views import CanvasView, StepView


@register("p2")
@dataclass(frozen=True)
class PathPlanning(Scheduler):
    """After step t of T, the floor(m (1 - t / T)) least sure of a block's m positions are masks: masks above them are
    committed, tokens among them are masked again.

    How sure a position is, is the confidence of its proposal now, be that its token or another. T follows `steps`, as
    for `llada`; the published code has one block of the answer's length. Tokens that a cache does not feed are kept.
    """

    reads_steps = True

    def init(self, view: CanvasView) -> BlockBudget:
        return check_budget(view, "p2")

    def open_block(self, view: CanvasView, state: BlockBudget) -> BlockBudget:
        return open_budget(view, state)

    def wants(self, view: CanvasView, state: BlockBudget) -> Tensor:
        return (~view.given[view.start : view.end]).nonzero().squeeze(-1) + view.start

    def select(self, view: StepView, state: BlockBudget) -> tuple[Tensor, BlockBudget]:
        return view.active & ~self._least_sure(view, state), state

    def remask(self, view: StepView, chosen: Tensor, state: BlockBudget) -> tuple[Tensor, BlockBudget]:
        held = ~chosen & ~view.masked[view.positions]
        return view.positions[held & self._least_sure(view, state)], state

    def _least_sure(self, view: StepView, state: BlockBudget) -> Tensor:
        """`[m]` bool: the positions that are to be masks after this step."""
        masks = int((~view.given[view.start : view.end]).sum())
        count = masks * max(0, state.steps - view.block_step - 1) // state.steps
        at = view.positions
        able = (at >= view.start) & (at < view.end) & ~view.given[at]
        return view.best(-view.confidence, count, able)
