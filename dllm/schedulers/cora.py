"""CORA-Diff (arXiv 2608.11235): commit early what is very sure and has not changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Proposed:
    """What has been proposed at each position, and for how long.

    Attributes:
        token_ids: `[L]` long, the last proposal; -1 where there was none, or the position was masked again since.
        steps: `[L]` long, steps in a row that it has been that.
    """

    token_ids: Tensor
    steps: Tensor


@register("cora")
@dataclass(frozen=True)
class Cora(Scheduler):
    """Commit positions of confidence >= tau whose proposal has been the same token at the last `steps` steps, this one
    counted; and always the most confident one.

    The paper adds this to a base rule: `cora+llada`, `cora+eb`. (To `threshold` at a lower tau it adds nothing.) Only
    its abstract was at hand: "about 0.97" and "two steps" are from there; ours is that every mask of the canvas is
    followed from a row's first step on, as `klass` does, so that a block may open with positions that have long been
    still. Of what a cache does not feed nothing is known, and its count begins anew.

    Args:
        tau: probability of the proposal.
        steps: 1 is `threshold(tau)`.
    """

    tau: float = 0.97
    steps: int = 2

    def __post_init__(self) -> None:
        in_range("cora: tau", self.tau, 0.0, 1.0)
        whole("cora: steps", self.steps, 1)

    def init(self, view: CanvasView) -> Proposed:
        return Proposed(torch.full_like(view.canvas, -1), torch.zeros_like(view.canvas))

    def wants(self, view: CanvasView, state: Proposed) -> Tensor:
        return view.masked.nonzero().squeeze(-1)

    def select(self, view: StepView, state: Proposed) -> tuple[Tensor, Proposed]:
        at = view.positions
        same = view.token_ids == state.token_ids[at]
        token_ids, steps = torch.full_like(view.canvas, -1), torch.zeros_like(view.canvas)
        token_ids[at], steps[at] = view.token_ids, torch.where(same, state.steps[at] + 1, 1)
        still = view.active & (steps[at] >= self.steps) & (view.confidence >= self.tau)
        return still | view.best(view.confidence, 1), Proposed(token_ids, steps)

    def remasked(self, positions: Tensor, state: Proposed) -> Proposed:
        token_ids = state.token_ids.clone()
        token_ids[positions[positions < len(token_ids)]] = -1
        return Proposed(token_ids, state.steps)
