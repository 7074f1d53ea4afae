"""LLaDA2.1's editing (arXiv 2602.08676): committed tokens of the live block give way to what the model now prefers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, StepView


@register("edit")
@dataclass(frozen=True)
class Edit(Scheduler):
    """Replace every answer token of the live block whose proposal is another one, of confidence > tau.

    When the block has no mask left it is looked at again, until a pass replaces nothing. For models that were trained
    to correct their tokens: others take what they see for right. Joined with a selector, as in
    `llada2(0.7)+edit(0.5)`. Under a grammar nothing is replaced.

    Args:
        tau: probability of the new token.
        passes: at most so many over a block without masks.
    """

    tau: float = 0.9
    passes: int = 16

    def __post_init__(self) -> None:
        in_range("edit: tau", self.tau, 0.0, 1.0)
        object.__setattr__(self, "passes", whole("edit: passes", self.passes, 0, 1000))

    def init(self, view: CanvasView) -> int:
        return 0

    def wants(self, view: CanvasView, state: int) -> Tensor:
        return torch.arange(view.start, view.end)

    def edit(self, view: StepView, state: int) -> tuple[Tensor, bool, int]:
        """The state counts the passes over the block since it has had no mask."""
        other = view.token_ids != view.canvas[view.positions]
        replaced = view.replaceable & other & (view.confidence > self.tau)
        denoising = bool(view.active.any())
        made = 0 if denoising else state + 1
        return replaced, made < self.passes and (denoising or bool(replaced.any())), made
