"""Saber (arXiv 2510.18165): a threshold that follows the confidence so far, and tokens that are taken back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import in_range, one_of, whole
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Account:
    """What is remembered of a row's positions, in float64; NaN where there is nothing.

    Attributes:
        at_commit: `[L]`, each position's confidence when it was last committed, though it may be masked again.
        before: `[L]`, the confidence there at the last forward, or with `fallen` the probability of the token there.
    """

    at_commit: Tensor
    before: Tensor


@register("saber")
@dataclass(frozen=True)
class Saber(Scheduler):
    """Commit what is more confident than the mean of all positions at their latest commit, at least the `n` most
    confident; then, unless that completes the block, mask again what has lost most since the last forward: of k
    commits, max(n // 2, ceil(k / mu)) tokens, but fewer than k.

    What a token has lost is what the confidence of its position's present proposal has, be that the token or another;
    all of the answer up to the block's end may be taken back, what has just been committed and earlier blocks too.
    (The published code also commits a position that is no mask where fewer than `n` are left, which is not followed.)

    Args:
        mu: commits a token taken back; 8 in the published code.
        n: tokens a step at least; 2 in the published code.
        back: published: as above. fallen: only tokens of the live block that were committed at an earlier step, and
            whose own probability has fallen. Over 160 lists of `tiny` 131 answers are right in 2,645 forwards as
            published, 129 in 2,546 with fallen; with n=1, mu=4 beside it 151 in 3,660.
    """

    mu: float = 8.0
    n: int = 2
    back: Literal["published", "fallen"] = "published"

    def __post_init__(self) -> None:
        in_range("saber: mu", self.mu, 1.0)
        whole("saber: n", self.n, 1)
        one_of("saber: back", self.back, ("published", "fallen"))
        object.__setattr__(self, "measures", frozenset({"held"} if self.back == "fallen" else ()))

    def init(self, view: CanvasView) -> Account:
        nothing = torch.full((len(view.canvas),), math.nan, dtype=torch.float64)
        # at a row's first forward each position is compared with 0, as published
        return Account(nothing, nothing if self.back == "fallen" else torch.zeros_like(nothing))

    def wants(self, view: CanvasView, state: Account) -> Tensor:
        first = view.start if self.back == "fallen" else 0
        return (~view.given[first : view.end]).nonzero().squeeze(-1) + first

    def select(self, view: StepView, state: Account) -> tuple[Tensor, Account]:
        chosen = view.active & (view.confidence > state.at_commit.nanmean())  # no commit yet: NaN, and nothing is
        if int(chosen.sum()) < self.n:
            chosen = view.best(view.confidence, self.n)
        return chosen, state

    def remask(self, view: StepView, chosen: Tensor, state: Account) -> tuple[Tensor, Account]:
        lost, before = (self._lost if self.back == "published" else self._fallen)(view, chosen, state)
        at_commit = state.at_commit[: len(view.canvas)].clone()
        at_commit[view.positions[chosen]] = view.confidence[chosen]
        k = int(chosen.sum())
        count = min(max(self.n // 2, math.ceil(k / self.mu)), k - 1)
        if not bool((view.active & ~chosen).any()):
            count = 0
        able = (~lost.isnan()).nonzero().squeeze(-1)
        order = torch.sort(lost[able], descending=True, stable=True).indices
        return view.positions[able[order[:count]]], Account(at_commit, before)

    def _lost(self, view: StepView, chosen: Tensor, state: Account) -> tuple[Tensor, Tensor]:
        """`[m]` how much each token has lost, NaN where it cannot be taken back; and the next `Account.before`."""
        at = view.positions
        own = ~view.given[at] & (at < view.end)
        before = torch.full((len(view.canvas),), math.nan, dtype=torch.float64)
        before[at[own]] = view.confidence[own]
        able = own & (chosen | ~view.masked[at])
        return torch.where(able, state.before[at] - view.confidence, math.nan), before

    def _fallen(self, view: StepView, chosen: Tensor, state: Account) -> tuple[Tensor, Tensor]:
        """As `_lost`, by the rule `fallen`."""
        at, held = view.positions, view.measures["held"]
        own = ~view.given[at] & (at >= view.start) & (at < view.end) & ~view.masked[at]
        before = torch.full((len(view.canvas),), math.nan, dtype=torch.float64)
        before[at[own]], before[at[chosen]] = held[own], view.confidence[chosen]
        lost = state.before[at] - held
        return torch.where(own & (lost > 0), lost, math.nan), before

    def remasked(self, positions: Tensor, state: Account) -> Account:
        if self.back == "published":
            return state
        before = state.before.clone()
        before[positions] = math.nan
        return replace(state, before=before)
