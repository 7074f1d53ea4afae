"""The opening of a block in Fast-dLLM's loops for Dream with a cache (arXiv 2505.22618): its first position alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("block_first")
@dataclass(frozen=True)
class BlockFirst(Scheduler):
    """At a block's first forward commit its first position and nothing else, however unsure.

    Joined with a selector, `block_first+threshold(0.9)` with `cache="prefix(neighbour=needed)"` or
    `"dual(neighbour=needed)"` is the published rule for Dream (docs/caches.md), for its published numbers: the full
    forward of a block's opening, which predicts all of it, is used for one token.
    """

    def limit(self, view: StepView, state: State) -> Tensor:
        if view.block_step:
            return torch.ones_like(view.active)
        return view.best(-view.positions, 1)
