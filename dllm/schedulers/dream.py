"""Dream's schedule (arXiv 2508.15487): a linear time grid and one of four confidence measures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import in_range, one_of
from dllm.schedulers.base import Scheduler, register
from dllm.schedulers.budget import BlockBudget, check_budget, open_budget
from dllm.views import CanvasView, StepView

Alg = Literal["entropy", "origin", "maskgit_plus", "topk_margin"]
_EPS = 1e-3
_ORDER_STREAM, _ORIGIN_STREAM = 1, 2


@dataclass(frozen=True, slots=True)
class Clock:
    """A block's budget and how far along its time grid it is; steps whose quota is 0 pass without a forward."""

    budget: BlockBudget
    tick: int = 0


@register("dream")
@dataclass(frozen=True)
class Dream(Scheduler):
    """At time t -> s commit int(m (1 - s/t)) of the row's m masks, all that remain at the last step.

    Times run from 1 to 1e-3 in equal steps. Confidence is measured after temperature, top_p and top_k, as the paper
    does. With `block_length >= max_new_tokens` this is the published sampler; smaller blocks repeat it block by block.

    Args:
        alg: entropy (negative entropy), maskgit_plus (probability of the proposal), topk_margin (best minus second),
            origin (each mask independently with probability 1 - s/t).
        alg_temp: 0 takes the best; above, positions are drawn without replacement from softmax(score / alg_temp).
    """

    alg: Alg = "entropy"
    alg_temp: float = 0.0
    reads_steps = True
    measures_shaped = True

    def __post_init__(self) -> None:
        one_of("dream: alg", self.alg, ("entropy", "origin", "maskgit_plus", "topk_margin"))
        in_range("dream: alg_temp", self.alg_temp, 0.0)
        needs = {"entropy": "entropy", "topk_margin": "margin"}.get(self.alg)
        object.__setattr__(self, "measures", frozenset({needs} if needs else ()))

    def init(self, view: CanvasView) -> Clock:
        return Clock(check_budget(view, "dream"))

    def open_block(self, view: CanvasView, state: Clock) -> Clock:
        return Clock(open_budget(view, state.budget))

    def select(self, view: StepView, state: Clock) -> tuple[Tensor, Clock]:
        # int() and the time grid in float32, as published: in float64 a product such as 8 * 0.125 may round elsewhere
        times = torch.linspace(1, _EPS, state.budget.steps + 1)
        masks = view.due.sum().float()
        for tick in range(self._first(state, times, masks), state.budget.steps):
            share = 1 - times[tick + 1] / times[tick] if tick < state.budget.steps - 1 else torch.ones(())
            chosen = self._choose(view, share, int(masks * share), tick)
            # an empty step leaves the canvas as it is, so its forward would repeat this one: go on to the next tick
            if chosen.any():
                return chosen, replace(state, tick=tick + 1)
        return view.due, state

    def _first(self, state: Clock, times: Tensor, masks: Tensor) -> int:
        """The next tick whose quota is not 0; `origin` has no quota and tries each."""
        if self.alg == "origin":
            return state.tick
        quotas = (masks * (1 - times[1:] / times[:-1])).int()[state.tick : -1]
        found = quotas.nonzero()
        return state.tick + int(found[0, 0]) if len(found) else state.budget.steps - 1

    def _choose(self, view: StepView, share: Tensor, quota: int, tick: int) -> Tensor:
        if self.alg == "origin":
            return view.due & (view.noise(view.positions, _ORIGIN_STREAM, step=tick) < float(share))
        score = self._score(view)
        if self.alg_temp > 0:
            draw = view.noise(view.positions, _ORDER_STREAM, step=tick)
            # perturbing log-weights with Gumbel noise and taking the best draws without replacement
            score = score / self.alg_temp - torch.log(-torch.log(draw))
        return view.best(score, quota, view.due)

    def _score(self, view: StepView) -> Tensor:
        if self.alg == "entropy":
            return -view.measures["entropy"]
        return view.measures["margin"] if self.alg == "topk_margin" else view.confidence
