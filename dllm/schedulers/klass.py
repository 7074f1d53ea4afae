"""KLASS (arXiv 2511.05664): commit what is confident and has stopped changing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import in_range, one_of, whole
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class History:
    """The last step's distributions.

    Attributes:
        positions: `[m]` long.
        log_p: `[m, V]` float32 on the model's device: the memory of this method, 4 m V bytes a row.
        stable: `[m]` long, how many steps in a row each position has changed by less than epsilon.
    """

    positions: Tensor
    log_p: Tensor
    stable: Tensor


@register("klass")
@dataclass(frozen=True)
class Klass(Scheduler):
    """Commit positions above `tau` whose distribution has `history` times moved by KL(p_t | p_(t-1)) < epsilon.

    Where no position qualifies, the most confident one is committed; so it is in the first `history - 1` steps of
    every block.

    Args:
        tau: probability of the proposal (exclusive); the paper tunes it for each task.
        epsilon: nats.
        history: steps in a row.
        scope: canvas: every mask of the canvas is followed from the row's first step on, so that a block may open with
            positions that have long been still (the published code). block: those of the live block, from its opening
            on, which saves the distributions of all that is behind it, 4 V bytes a mask and their projection at every
            step, and costs a forward or more in every block after the first: 9 to 19 % of all on `tiny`, in blocks of
            16 to 32. Caches that feed the block alone come to the same.
    """

    tau: float = 0.9
    epsilon: float = 0.01
    history: int = 2
    scope: Literal["canvas", "block"] = "canvas"

    def __post_init__(self) -> None:
        in_range("klass: tau", self.tau, 0.0, 1.0)
        in_range("klass: epsilon", self.epsilon, 0.0)
        whole("klass: history", self.history, 1)
        one_of("klass: scope", self.scope, ("canvas", "block"))

    def wants(self, view: CanvasView, state: History | None) -> Tensor | None:
        return view.masked.nonzero().squeeze(-1) if self.scope == "canvas" else None

    def open_block(self, view: CanvasView, state: History | None) -> History | None:
        return state if self.scope == "canvas" else None

    def select(self, view: StepView, state: History | None) -> tuple[Tensor, History]:
        log_p = torch.log_softmax(view.logits.float(), dim=-1)
        stable = torch.zeros(len(view.positions), dtype=torch.long)
        if state is not None:
            here, before = _common(view.positions, state.positions)
            old, new = state.log_p[before.to(log_p.device)], log_p[here.to(log_p.device)]
            moved = (new.exp() * (new - old)).nansum(-1).cpu()
            stable[here] = torch.where(moved < self.epsilon, state.stable[before] + 1, 0)
        ready = view.active & (stable >= self.history) & (view.confidence > self.tau)
        early = view.block_step < self.history - 1
        return torch.zeros_like(ready) if early else ready, History(view.positions, log_p, stable)


def _common(now: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Indices into both of the positions that both hold; the two ascend."""
    return torch.isin(now, before).nonzero().squeeze(-1), torch.isin(before, now).nonzero().squeeze(-1)
