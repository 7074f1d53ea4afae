"""SchED (arXiv 2512.02892): stop when the whole answer is decided enough for how far decoding has come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dllm.arguments import in_range, one_of
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import CanvasView, StepView


@register("sched")
@dataclass(frozen=True)
class SchED(Scheduler):
    """Commit every remaining mask at once when the mean gap between the best and second logits of all masks has reached
    a threshold that falls smoothly from `high` to `low`, and their predictions are those of the step before.

    Gaps are taken over all ids, the mask id too, from the model's own logits before a transform. Progress t is the
    published clock, steps made / (steps - 1); where no `steps` are asked for, the share of the answer committed before,
    which is the same at one token a step. All masks must be in view, as for `prophet`; on block-causal models they are
    in the last block. (The published code makes forwards in which Dream's schedule commits nothing, and compares its
    predictions with theirs; these are left out here.)

    Args:
        high, low: thresholds at the beginning and at the end, in logits; the paper also uses low=0.
        shape: cosine: low + (high - low) (1 + cos(pi t)) / 2. linear: high + (low - high) t. exp: low + (high - low)
            exp(-rate t).
        rate: of the shape exp; 2, 4, 8 and 16 in the paper.
        change: the share of the masks whose prediction may be another than a step before, 0 in the published runs. At
            1 predictions are not compared, and a row's first step may be its last, as in the paper's formula.
    """

    high: float = 7.5
    low: float = 2.5
    shape: Literal["cosine", "linear", "exp"] = "cosine"
    rate: float = 4.0
    change: float = 0.0
    measures = frozenset({"gap"})

    def __post_init__(self) -> None:
        for name in ("high", "low", "rate"):
            in_range(f"sched: {name}", getattr(self, name), 0.0)
        one_of("sched: shape", self.shape, ("cosine", "linear", "exp"))
        in_range("sched: change", self.change, 0.0, 1.0)

    def wants(self, view: CanvasView, state: State) -> Tensor:
        return view.masked.nonzero().squeeze(-1)

    def finishes(self, view: StepView, state: Tensor | None) -> tuple[bool, Tensor]:
        """The state is the canvas as it was predicted last, `[L]` long."""
        masked = view.masked[view.positions]
        at, canvas = view.positions[masked], view.canvas.clone()
        canvas[at] = view.token_ids[masked]
        changed = 1.0 if state is None else float((canvas[at] != state[at]).double().mean())
        decided = float(view.measures["gap"][masked].mean()) >= self.threshold(self._progress(view))
        return decided and changed <= self.change, canvas

    def threshold(self, progress: float) -> float:
        """In logits, at a progress of 0 to 1."""
        if self.shape == "linear":
            return self.high + (self.low - self.high) * progress
        fallen = math.exp(-self.rate * progress) if self.shape == "exp" else (1 + math.cos(math.pi * progress)) / 2
        return self.low + (self.high - self.low) * fallen

    def _progress(self, view: StepView) -> float:
        own = ~view.given
        made, steps = (
            (int((own & ~view.masked).sum()), int(own.sum())) if view.steps is None else (view.step, view.steps)
        )
        return min(1.0, made / (steps - 1)) if steps > 1 else 1.0
