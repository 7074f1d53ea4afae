"""Saber (arXiv 2510.18165): a threshold that follows the confidence so far, and tokens that are taken back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.arguments import in_range
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Account:
    """Of a row: the sum and number of its confidences at commit; of its live block: what each token was worth last.

    Attributes:
        total, count: over all commits of the row.
        held: position -> probability that the last forward gave to the token there.
    """

    total: float = 0.0
    count: int = 0
    held: dict[int, float] | None = None


@register("saber")
@dataclass(frozen=True)
class Saber(Scheduler):
    """Commit what is more confident than the mean confidence at commit so far; then mask again the tokens of the block
    whose probability has fallen most, one for every `mu` committed, at least one if any has fallen.

    Args:
        mu: commits a token taken back. The paper's value is not published; this default is ours.
    """

    mu: float = 4.0
    measures = frozenset({"held"})

    def __post_init__(self) -> None:
        in_range("saber: mu", self.mu, 1.0)

    def init(self, view: CanvasView) -> Account:
        return Account()

    def wants(self, view: CanvasView, state: Account) -> Tensor:
        return torch.arange(view.start, view.end)

    def open_block(self, view: CanvasView, state: Account) -> Account:
        return Account(state.total, state.count, {})

    def select(self, view: StepView, state: Account) -> tuple[Tensor, Account]:
        chosen = view.best(view.confidence, 1)
        if state.count:
            chosen = chosen | view.active & (view.confidence > state.total / state.count)
        confidences = view.confidence[chosen]
        return chosen, Account(state.total + float(confidences.sum()), state.count + len(confidences), state.held)

    def remask(self, view: StepView, chosen: Tensor, state: Account) -> tuple[Tensor, Account]:
        before = state.held or {}
        now = dict(zip(view.positions.tolist(), view.measures["held"].tolist(), strict=True))
        drops = {position: before[position] - p for position, p in now.items() if position in before}
        fallen = sorted((p for p in drops if drops[p] > 0), key=lambda p: (-drops[p], p))
        count = max(1, int(int(chosen.sum()) / self.mu))
        held = {position: p for position, p in now.items() if position in before}
        held |= dict(zip(view.positions[chosen].tolist(), view.confidence[chosen].tolist(), strict=True))
        return torch.tensor(fallen[:count], dtype=torch.long), Account(state.total, state.count, held)

    def remasked(self, positions: Tensor, state: Account) -> Account:
        gone = set(positions.tolist())
        held = {position: p for position, p in (state.held or {}).items() if position not in gone}
        return Account(state.total, state.count, held)
