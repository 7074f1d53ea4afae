"""Dilated unmasking (DUS, arXiv 2506.19037): positions far apart first, whatever the model thinks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.arguments import whole
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, StepView


@register("dus")
@dataclass(frozen=True)
class Dilated(Scheduler):
    """A block of b tokens takes R = ceil(log_base b) rounds; round t commits every base^(R-t)-th of its positions.

    With base 2 and b = 8: offsets 0, 4, then 2, 6, then the rest. Rounds that find no mask (fixed text in infilling)
    pass without a forward.

    Args:
        base: factor by which the distance shrinks from round to round.
    """

    base: int = 2

    def __post_init__(self) -> None:
        whole("dus: base", self.base, 2)

    def open_block(self, view: CanvasView, state: int | None) -> int:
        """The stride of the block's first round."""
        stride = 1
        while stride * self.base < view.end - view.start:
            stride *= self.base
        return stride

    def select(self, view: StepView, state: int) -> tuple[Tensor, int]:
        stride, chosen = state, view.active & False
        while stride and not chosen.any():  # at a stride of 1 every mask is chosen, if there is one
            chosen = view.active & ((view.positions - view.start) % stride == 0)
            stride //= self.base
        return chosen, max(1, stride)
