"""End-of-text prediction (EoTP, from Learn2PD, arXiv 2509.25188): drop the canvas behind the end of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import one_of
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import CanvasView, Setting, StepView


@register("eotp")
@dataclass(frozen=True)
class EndOfText(Scheduler):
    """Shorten a row's canvas as soon as its end is known. Rows are cut one by one, a batch keeps its shape.

    Args:
        mode: safe: a committed EOS ends the canvas, which the engine does in any case. paper: at every step the most
            confident masked position anywhere that proposes EOS ends it, however unsure, which removes room that the
            answer may still have needed; with `cut_at_eos="end"` this is the published code, in which a committed EOS
            alone ends nothing; by default that ends the canvas too, which saves an eighth of the forwards on `tiny`.
            Positions outside what a cache feeds are not looked at. With `ignore_eos` and in a document nothing is cut.
    """

    mode: Literal["safe", "paper"] = "safe"
    ends: frozenset[int] = field(default=frozenset(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one_of("eotp: mode", self.mode, ("safe", "paper"))

    def bind(self, setting: Setting) -> Scheduler:
        bound = replace(self)
        object.__setattr__(bound, "ends", frozenset(setting.model.eos_token_ids))
        return bound

    def wants(self, view: CanvasView, state: State) -> Tensor | None:
        return view.masked.nonzero().squeeze(-1) if self.mode == "paper" and not view.fixed else None

    def cut(self, view: StepView, chosen: Tensor, state: State) -> int | None:
        if self.mode == "safe":
            return None
        left = view.among(self.ends) & (view.masked[view.positions] | chosen)  # as before this step's commits
        committed = view.among(view.eos_token_ids) & chosen  # has cut the canvas
        if bool(committed.any()) or not bool(left.any()):
            return None
        score = torch.where(left, view.confidence, -torch.inf)
        return int(view.positions[score.argmax()]) + 1
