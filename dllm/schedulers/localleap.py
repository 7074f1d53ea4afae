"""LocalLeap (arXiv 2510.07081): a lower threshold near confident anchors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import StepView


@register("localleap")
@dataclass(frozen=True)
class LocalLeap(Scheduler):
    """Commit anchors (confidence >= anchor), and what lies within `radius` of one with confidence >= relaxed.

    Anchors are masked positions of the live block at this step: neither tokens committed earlier nor neighbours
    accepted by the relaxed threshold count as anchors. Distances are canvas positions.

    Args:
        anchor: threshold that makes an anchor.
        relaxed: threshold near an anchor. From `anchor` on it has no effect: this is `threshold(anchor)`.
        radius: positions on either side of an anchor.
    """

    anchor: float = 0.9
    relaxed: float = 0.75
    radius: int = 4

    def __post_init__(self) -> None:
        in_range("localleap: anchor", self.anchor, 0.0, 1.0)
        in_range("localleap: relaxed", self.relaxed, 0.0, 1.0)
        whole("localleap: radius", self.radius, 0)

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        anchors = view.active & (view.confidence >= self.anchor)
        distance = (view.positions[:, None] - view.positions[anchors][None, :]).abs()
        near = (distance <= self.radius).any(1)
        return anchors | (near & (view.confidence >= self.relaxed)) | view.best(view.confidence, 1), state
