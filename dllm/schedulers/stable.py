"""The stop rule of DiffusionGemma's sampler ("stable and confident"), for masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Standing:
    """What the model made of the whole canvas when it was last asked, and for how long it has.

    Attributes:
        canvas: `[L]` long, what was committed, and proposals where masks stood.
        steps: steps in a row that it has come out the same, after the first.
    """

    canvas: Tensor
    steps: int


@register("stable")
@dataclass(frozen=True)
class Stable(Scheduler):
    """Commit every remaining mask at once when the predicted canvas has stood still for `k` steps and is near certain:
    the mean entropy of its masks is below `entropy`.

    Published with DiffusionGemma (transformers 5.23; its `stability_threshold` 1 and `confidence_threshold` 0.005 are
    the defaults here), whose canvases have no masks. That a mean over all positions is one over the masks here is ours:
    committed tokens have no entropy. All masks must be in view, as for `prophet`: with the cache `dual` that is so at a
    block's first forward, and steps at which it is not do not count; on block-causal models it is so in the last block.
    Above temperature 0 proposals are drawn anew at every step and seldom stand still.

    Args:
        k: steps; 0 asks for certainty alone.
        entropy: nats, exclusive.
    """

    k: int = 1
    entropy: float = 0.005
    measures = frozenset({"entropy"})

    def __post_init__(self) -> None:
        whole("stable: k", self.k, 0)
        in_range("stable: entropy", self.entropy, 0.0)

    def wants(self, view: CanvasView, state: State) -> Tensor:
        return view.masked.nonzero().squeeze(-1)

    def finishes(self, view: StepView, state: Standing | None) -> tuple[bool, Standing]:
        masked = view.masked[view.positions]
        canvas = view.canvas.clone()
        canvas[view.positions[masked]] = view.token_ids[masked]
        # an end of the text may have cut the canvas since
        same = state is not None and torch.equal(canvas, state.canvas[: len(canvas)])
        steps = state.steps + 1 if state is not None and same else 0
        sure = float(view.measures["entropy"][masked].mean()) < self.entropy
        return steps >= self.k and sure, Standing(canvas, steps)
