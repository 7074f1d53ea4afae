"""Running confidence remasking (RCR, of MDPO, arXiv 2508.13148): fill all masks, take the least sure tokens back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dllm.schedulers.base import Scheduler, register
from dllm.schedulers.budget import BlockBudget, check_budget, open_budget
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Running:
    """What is remembered of a row.

    Attributes:
        budget: the live block's steps.
        begin: the live block's first position; what is taken back before it counts for this block.
        sure: `[L]` float64, each position's confidence when it was last committed; NaN where it never was.
    """

    budget: BlockBudget
    begin: int
    sure: Tensor


@register("rcr")
@dataclass(frozen=True)
class RunningConfidence(Scheduler):
    """Each step commits every mask of the block, then masks the least sure tokens again, so many that after step t of T
    floor(m (1 - t / T)) of the block's m masks are left.

    How sure a token is was settled when it was committed; all of the answer may be taken back, earlier blocks too, on
    block-causal models the live block alone. T follows `steps`, as for `llada`.
    """

    reads_steps = True

    def init(self, view: CanvasView) -> Running:
        nothing = torch.full((len(view.canvas),), math.nan, dtype=torch.float64)
        return Running(check_budget(view, "rcr"), 0, nothing)

    def open_block(self, view: CanvasView, state: Running) -> Running:
        return replace(state, budget=open_budget(view, state.budget), begin=view.start)

    def select(self, view: StepView, state: Running) -> tuple[Tensor, Running]:
        return view.active, state

    def remask(self, view: StepView, chosen: Tensor, state: Running) -> tuple[Tensor, Running]:
        sure = state.sure[: len(view.canvas)].clone()
        sure[view.positions[chosen]] = view.confidence[chosen]
        masks = int((~view.given[state.begin : view.end]).sum())  # of those that an end of the text has left
        left = masks * max(0, state.budget.steps - view.block_step - 1) // state.budget.steps
        left = min(left, int(view.active.sum()) - 1)  # fewer than before, though an end has left a block of fewer masks
        left -= int((view.active & ~chosen).sum())  # what a constraint has turned down stays a mask
        able = (~sure.isnan() & ~view.given).nonzero().squeeze(-1)
        able = able[able < view.end]
        if view.rule is not None:
            able = able[able >= view.start]
        order = torch.sort(sure[able], stable=True).indices
        return able[order[: max(0, left)]], replace(state, sure=sure)
