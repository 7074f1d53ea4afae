"""WINO (arXiv 2507.18578): commit boldly, and take back what the model, asked again, does not stand by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.arguments import in_range
from dllm.errors import CapabilityError
from dllm.models.base import SHADOWS, RowDenoiser
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import CanvasView, Setting, StepView

SHARE, FEWEST, MOST = 0.7, 5, 20
"""A step commits at most this share of the block's masks, but at least FEWEST and at most MOST (the published code)."""


@register("wino")
@dataclass(frozen=True)
class Wino(Scheduler):
    """Commit what is above `accept`, the surest first; mask again the block's older tokens that their shadows doubt.

    A shadow is a second prediction of a committed position in the same forward, as if it were masked: it sees all
    tokens but its own. A token whose probability there is below `revoke` is masked again, the least probable first,
    always fewer than were committed.

    Args:
        accept: probability (exclusive); the paper uses 0.5 to 0.7.
        revoke: probability that a token must keep.
    """

    accept: float = 0.6
    revoke: float = 0.9

    def __post_init__(self) -> None:
        in_range("wino: accept", self.accept, 0.0, 1.0)
        in_range("wino: revoke", self.revoke, 0.0, 1.0)

    def bind(self, setting: Setting) -> Scheduler:
        model = setting.model
        offered = model.capabilities if isinstance(model, RowDenoiser) else frozenset[str]()
        if SHADOWS not in offered:
            raise CapabilityError(
                f"wino needs a model that predicts committed positions anew ({SHADOWS!r}); this one declares "
                f"{sorted(offered) or 'no capabilities'}: use a native model, or another scheduler"
            )
        return self

    def shadows(self, view: CanvasView, state: State) -> Tensor:
        block = torch.arange(view.start, view.end)
        return block[~view.masked[block] & ~view.given[block]]

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        most = min(max(int(SHARE * int(view.active.sum())), FEWEST), MOST)
        sure = int((view.active & (view.confidence > self.accept)).sum())
        return view.best(view.confidence, max(1, min(sure, most))), state

    def remask(self, view: StepView, chosen: Tensor, state: State) -> tuple[Tensor, State]:
        doubted = view.upheld < self.revoke
        order = torch.sort(view.upheld[doubted], stable=True).indices
        return view.shadows[doubted][order], state
