"""WINO (arXiv 2507.18578): commit boldly, and take back what the model, asked again, does not stand by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import in_range, one_of
from dllm.errors import CapabilityError
from dllm.models.base import SHADOWS, RowDenoiser
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, Setting, StepView

SHARE, FEWEST, MOST = 0.7, 5, 20
"""A step commits at most this share of the block's masks, but at least FEWEST and at most MOST (the published code)."""
BEFORE = 30
"""Commits that a block's first step takes the step before it to have made (the published code)."""


@register("wino")
@dataclass(frozen=True)
class Wino(Scheduler):
    """Commit what is above `accept`, the surest first; mask again the block's older tokens that their shadows doubt.

    A shadow is a second prediction of a committed position in the same forward, as if it were masked: it sees all
    tokens but its own. A token whose probability there is below `revoke` is masked again, the least probable first; but
    none at a step that commits one token.

    Args:
        accept: probability (exclusive); the paper uses 0.5 to 0.7.
        revoke: probability that a token must keep.
        shadow: block: every shadow also sees a mask at each position of the block that is not given, those of the other
            shadows among them (the published code; its figure 2b). alone: it sees no other. On families that predict a
            position from the one before it, as Dream, shadows are always alone: no rule is published.
        cap: how many are masked again at most, less one: previous: as many as the step before committed (30 in a
            block's first), the published code. step: as many as this one commits, so that every step makes progress.
            Over 160 lists of `tiny` the published rule takes 824 forwards, with shadow=alone 792, with cap=step 810,
            with both 781; 137, 137, 136 and 136 answers are right.
    """

    accept: float = 0.6
    revoke: float = 0.9
    shadow: Literal["block", "alone"] = "block"
    cap: Literal["previous", "step"] = "previous"

    def __post_init__(self) -> None:
        in_range("wino: accept", self.accept, 0.0, 1.0)
        in_range("wino: revoke", self.revoke, 0.0, 1.0)
        one_of("wino: shadow", self.shadow, ("block", "alone"))
        one_of("wino: cap", self.cap, ("previous", "step"))

    def bind(self, setting: Setting) -> Scheduler:
        model = setting.model
        offered = model.capabilities if isinstance(model, RowDenoiser) else frozenset[str]()
        if SHADOWS not in offered:
            raise CapabilityError(
                f"wino needs a model that predicts committed positions anew ({SHADOWS!r}); this one declares "
                f"{sorted(offered) or 'no capabilities'}: use a native model, or another scheduler"
            )
        return self

    def open_block(self, view: CanvasView, state: int | None) -> int:
        """The state counts the commits of the step before."""
        return BEFORE

    def shadows(self, view: CanvasView, state: int | None) -> Tensor:
        block = torch.arange(view.start, view.end)
        return block[~view.masked[block] & ~view.given[block]]

    def company(self, view: CanvasView, state: int | None) -> Tensor | None:
        if self.shadow == "alone":
            return None
        block = torch.arange(view.start, view.end)
        return block[~view.given[block]]  # no mask stands for fixed text of a document

    def select(self, view: StepView, state: int) -> tuple[Tensor, int]:
        most = min(max(int(SHARE * int(view.active.sum())), FEWEST), MOST)
        sure = int((view.active & (view.confidence > self.accept)).sum())
        return view.best(view.confidence, max(1, min(sure, most))), state

    def remask(self, view: StepView, chosen: Tensor, state: int) -> tuple[Tensor, int]:
        committed = int(chosen.sum())
        doubted = view.upheld < self.revoke
        order = torch.sort(view.upheld[doubted], stable=True).indices
        before = state if self.cap == "previous" else committed
        most = max(0, before - 1) if committed > 1 else 0
        return view.shadows[doubted][order[:most]], committed
