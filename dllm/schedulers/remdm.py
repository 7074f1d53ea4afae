"""ReMDM (arXiv 2503.00307), its loop for LLaDA: late in a block the least sure tokens are predicted again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.schedulers.base import Scheduler, register
from dllm.schedulers.budget import BlockBudget, check_budget, open_budget
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Replay:
    """Where a row stands in a block.

    Attributes:
        budget: the block's steps.
        sure: `[L]` float64, each token's confidence when it was committed; inf where it is not of this block.
        steps: steps made that were no loops.
        left: loops not yet begun.
        out: whether this step's forward belongs to a loop.
    """

    budget: BlockBudget
    sure: Tensor
    steps: int = 0
    left: int = 0
    out: bool = False


@register("remdm")
@dataclass(frozen=True)
class ReMDM(Scheduler):
    """As `llada`, but after the share `at` of a block's tokens it is held up by `loops` extra steps: each masks the `n`
    tokens of the block again that were least sure when they were committed, and commits the `n` surest masks.

    A loop that takes back what the step before has committed, and nothing else, would see that step's canvas again: at
    temperature 0 all later ones are the same, so they are left out. (The published code makes those forwards; with
    fewer steps than the share of tokens it loops behind the last one, which is followed.)

    Args:
        n: tokens a loop; 1 and 4 in the published scripts.
        loops: of each block; as many as it has steps in the published scripts, with blocks of 32.
        at: share of the block's tokens, counted in steps.
    """

    n: int = 1
    loops: int = 32
    at: float = 0.875
    reads_steps = True

    def __post_init__(self) -> None:
        whole("remdm: n", self.n, 1)
        whole("remdm: loops", self.loops, 0, 10_000)
        in_range("remdm: at", self.at, 0.0, 1.0)
        object.__setattr__(self, "extra_forwards", self.loops + self.n)

    def init(self, view: CanvasView) -> Replay:
        return Replay(check_budget(view, "remdm"), torch.empty(0))

    def open_block(self, view: CanvasView, state: Replay) -> Replay:
        nothing = torch.full((len(view.canvas),), math.inf, dtype=torch.float64)
        return Replay(open_budget(view, state.budget), nothing, left=self.loops)

    def select(self, view: StepView, state: Replay) -> tuple[Tensor, Replay]:
        if state.out:
            return view.best(view.confidence, self.n), state
        budget = state.budget
        quota = budget.masks // budget.steps + (state.steps < budget.masks % budget.steps)
        return view.best(view.confidence, quota, view.due), state

    def remask(self, view: StepView, chosen: Tensor, state: Replay) -> tuple[Tensor, Replay]:
        sure = state.sure[: len(view.canvas)].clone()
        sure[view.positions[chosen]] = view.confidence[chosen]
        state = replace(state, sure=sure, steps=state.steps + (not state.out), out=False)
        masks = state.budget.masks
        first = min(max(min(int(masks * self.at), masks - 1), 1), state.budget.steps)
        if not state.left or state.steps < first:
            return view.positions[:0], state
        back = self._least_sure(view, chosen, sure)
        if not len(back) or torch.equal(back.sort().values, view.positions[chosen]):
            return view.positions[:0], replace(state, left=0)
        return back, replace(state, left=state.left - 1, out=True)

    def remasked(self, positions: Tensor, state: Replay) -> Replay:
        sure = state.sure.clone()
        sure[positions] = math.inf
        return replace(state, sure=sure)

    def _least_sure(self, view: StepView, chosen: Tensor, sure: Tensor) -> Tensor:
        """`[n]` long at most: tokens of the block, the least sure first, no end of the text."""
        token_ids = view.canvas.clone()
        token_ids[view.positions[chosen]] = view.token_ids[chosen]
        ends = torch.isin(token_ids, torch.tensor(sorted(view.eos_token_ids), dtype=torch.long))
        able = (sure.isfinite() & ~ends).nonzero().squeeze(-1)
        return able[torch.sort(sure[able], stable=True).indices[: self.n]]
