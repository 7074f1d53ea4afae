"""Prophet (arXiv 2508.19982): stop as soon as the answer is decided."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.errors import ConfigError
from dllm.schedulers.base import Scheduler, State, register
from dllm.schedulers.check import in_range
from dllm.views import CanvasView, StepView


@register("prophet")
@dataclass(frozen=True)
class Prophet(Scheduler):
    """Commit every remaining mask at once when the answer region is decided: the mean gap between its best and second
    logits has reached a threshold that falls as decoding goes on.

    Gaps are taken from the model's own logits, before a transform. Progress is (committed + 1) / length of the answer
    as it stands on the canvas, since steps do not tell when their number adapts; it asks `early` below 0.33, `middle`
    below 0.67, and `late` from there. All masks must be in view: with the cache `dual` that is so at a block's first
    forward, with `prefix` and `none` always.

    Args:
        early, middle, late: thresholds, in logits.
        region: answer = the masks of the answer before the first predicted EOS; or START:END, positions counted from
            the answer's first, committed or not.
    """

    early: float = 7.5
    middle: float = 5.0
    late: float = 2.5
    region: str = "answer"
    measures = frozenset({"gap"})

    def __post_init__(self) -> None:
        for name in ("early", "middle", "late"):
            in_range(f"prophet: {name}", getattr(self, name), 0.0)
        if self.region != "answer":
            self._span()

    def wants(self, view: CanvasView, state: State) -> Tensor:
        masks = view.masked.nonzero().squeeze(-1)
        return masks if self.region == "answer" else torch.cat([masks, self._positions(view)])

    def finishes(self, view: StepView, state: State) -> tuple[bool, State]:
        gaps = view.measures["gap"][self._inside(view)]
        length = int((~view.given).sum())
        progress = (length - int(view.masked.sum()) + 1) / length
        needed = self.early if progress < 0.33 else self.middle if progress < 0.67 else self.late
        return len(gaps) > 0 and float(gaps.mean()) >= needed, state

    def _inside(self, view: StepView) -> Tensor:
        """`[m]` bool: the answer region."""
        if self.region != "answer":
            return torch.isin(view.positions, self._positions(view))
        masked = view.masked[view.positions]
        ends = masked & view.among(view.eos_token_ids)
        if not bool(ends.any()):
            return masked
        first = int(view.positions[ends][0])
        before = masked & (view.positions < first)
        # an answer that ends here and now: all that is left to decide is its end
        return before if bool(before.any()) else view.positions == first

    def _positions(self, view: CanvasView) -> Tensor:
        start, end = self._span()
        return torch.arange(
            min(view.prompt_length + start, len(view.canvas)), min(view.prompt_length + end, len(view.canvas))
        )

    def _span(self) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+):(\d+)", self.region)
        if match is None or int(match[1]) >= int(match[2]):
            raise ConfigError(f"prophet: region={self.region!r} must be answer, or START:END with START < END")
        return int(match[1]), int(match[2])
