"""End-of-text prediction (EoTP, from Learn2PD, arXiv 2509.25188): drop the canvas behind the end of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import one_of
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import CanvasView, StepView


@register("eotp")
@dataclass(frozen=True)
class EndOfText(Scheduler):
    """Shorten a row's canvas as soon as its end is known. Rows are cut one by one, a batch keeps its shape.

    Args:
        mode: safe: a committed EOS ends the canvas, which the engine does in any case. paper: where no EOS has been
            committed, the most confident masked position anywhere that proposes EOS ends it too, however unsure; the
            published code does so at every step. It removes room that the answer may still have needed. Positions
            outside what a cache feeds are not looked at.
    """

    mode: Literal["safe", "paper"] = "safe"

    def __post_init__(self) -> None:
        one_of("eotp: mode", self.mode, ("safe", "paper"))

    def wants(self, view: CanvasView, state: State) -> Tensor | None:
        return view.masked.nonzero().squeeze(-1) if self.mode == "paper" and view.eos_token_ids else None

    def cut(self, view: StepView, chosen: Tensor, state: State) -> int | None:
        if self.mode == "safe":
            return None
        ends = view.among(view.eos_token_ids)
        left = ends & view.masked[view.positions]
        if bool((ends & chosen).any()) or not bool(left.any()):
            return None
        score = torch.where(left, view.confidence, -torch.inf)
        return int(view.positions[score.argmax()]) + 1
