"""KLASS (arXiv 2511.05664): commit what is confident and has stopped changing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.arguments import in_range, whole
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
    """Commit positions above `tau` whose distribution has moved by KL(p_t | p_(t-1)) < epsilon `history` times.

    Where no position qualifies, the most confident one is committed. The first `history` steps of a block fall back
    to that, since there is nothing to compare with.

    Args:
        tau: probability of the proposal (exclusive); the paper tunes it for each task.
        epsilon: nats.
        history: steps in a row.
    """

    tau: float = 0.9
    epsilon: float = 0.01
    history: int = 2

    def __post_init__(self) -> None:
        in_range("klass: tau", self.tau, 0.0, 1.0)
        in_range("klass: epsilon", self.epsilon, 0.0)
        whole("klass: history", self.history, 1)

    def open_block(self, view: CanvasView, state: History | None) -> None:
        return None

    def select(self, view: StepView, state: History | None) -> tuple[Tensor, History]:
        log_p = torch.log_softmax(view.logits.float(), dim=-1)
        stable = torch.zeros(len(view.positions), dtype=torch.long)
        if state is not None:
            here, before = _common(view.positions, state.positions)
            old, new = state.log_p[before.to(log_p.device)], log_p[here.to(log_p.device)]
            moved = (new.exp() * (new - old)).nansum(-1).cpu()
            stable[here] = torch.where(moved < self.epsilon, state.stable[before] + 1, 0)
        chosen = view.active & (stable >= self.history) & (view.confidence > self.tau)
        return chosen, History(view.positions, log_p, stable)


def _common(now: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Indices into both of the positions that both hold; the two ascend."""
    return torch.isin(now, before).nonzero().squeeze(-1), torch.isin(before, now).nonzero().squeeze(-1)
