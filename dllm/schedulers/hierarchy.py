"""Hierarchical decoding (dInfer, arXiv 2510.08666): one commit in every run of masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.arguments import in_range
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("hierarchy")
@dataclass(frozen=True)
class Hierarchy(Scheduler):
    """Commit what is above `high`; in every run of adjacent masks also its most confident, if that is above `low`.

    A commit splits its run in two, so the runs are decoded side by side, far enough apart to depend little on each
    other. The paper's re-masking of low-confidence tokens is not part of this.

    Args:
        high: probability from which any position is committed (exclusive).
        low: probability that a run's most confident position needs (exclusive).
    """

    high: float = 0.9
    low: float = 0.5

    def __post_init__(self) -> None:
        in_range("hierarchy: high", self.high, 0.0, 1.0)
        in_range("hierarchy: low", self.low, 0.0, 1.0)

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        chosen = view.active & (view.confidence > self.high) | view.best(view.confidence, 1)
        for run in _runs(view):
            best = run[view.confidence[run].argmax()]
            chosen[best] |= view.confidence[best] > self.low
        return chosen, state


def _runs(view: StepView) -> list[Tensor]:
    """Indices into `view.positions` of the active ones, split where canvas positions are not adjacent."""
    indices = view.active.nonzero().squeeze(-1)
    gaps = (view.positions[indices].diff() > 1).nonzero().squeeze(-1) + 1
    return list(torch.tensor_split(indices, gaps.tolist())) if len(indices) else []
