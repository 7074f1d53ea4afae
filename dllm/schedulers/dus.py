"""Dilated unmasking (DUS, arXiv 2506.19037): positions far apart first, whatever the model thinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import one_of, whole
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Rounds:
    """Where a block stands.

    Attributes:
        start: its first position.
        of: `[b]` long, the round of each position of the block, counted from 0.
        next: the first round that has not been taken.
    """

    start: int
    of: Tensor
    next: int = 0


@register("dus")
@dataclass(frozen=True)
class Dilated(Scheduler):
    """Each round commits every so many-th position of a block; the distance shrinks by `base` from round to round.

    With base 2 and a block of 8: offsets 0, 4, then 2, 6, then the rest. Rounds that find no mask (fixed text in
    infilling) pass without a forward.

    Args:
        base: factor by which the distance shrinks.
        strides: published: for b tokens from b // base on, each the last one // base; what is then left is one more
            round, and a last round smaller than the one before is taken with that (the published code). powers: the
            powers of base below b, which is the paper's formula; the two are equal where b is a power of base. A block
            of 24 takes rounds of 2, 2, 4, 16 tokens as published and of 2, 1, 3, 6, 12 by powers: on 46
            lists of `tiny` 44 answers were right in 184 forwards and 45 in 230.
    """

    base: int = 2
    strides: Literal["published", "powers"] = "published"

    def __post_init__(self) -> None:
        whole("dus: base", self.base, 2)
        one_of("dus: strides", self.strides, ("published", "powers"))

    def open_block(self, view: CanvasView, state: Rounds | None) -> Rounds:
        return Rounds(view.start, self._rounds(view.end - view.start))

    def select(self, view: StepView, state: Rounds) -> tuple[Tensor, Rounds]:
        rounds = torch.full_like(view.positions, len(state.of))
        # what is before has been masked again, and is due; what is behind belongs to a block that is live as well
        inside = view.active & (view.positions >= state.start) & (view.positions < state.start + len(state.of))
        rounds[inside] = state.of[view.positions[inside] - state.start]
        rounds[view.active & (view.positions < state.start)] = -1
        left = rounds[view.active & (rounds >= state.next)]  # none where a grammar has turned tokens down to the end
        due = int(left.min()) if len(left) else len(state.of)
        return view.active & (rounds <= due), Rounds(state.start, state.of, due + 1)

    def _rounds(self, length: int) -> Tensor:
        """`[length]` long: the round of each position of a block."""
        strides = self._published(length) if self.strides == "published" else self._powers(length)
        offsets = torch.arange(length)
        of = torch.full((length,), len(strides))  # what no stride reaches
        for number in reversed(range(len(strides))):
            of[offsets % strides[number] == 0] = number
        if self.strides == "published":
            sizes = [(number, count) for number, count in enumerate(torch.bincount(of).tolist()) if count]
            if len(sizes) > 1 and sizes[-1][1] < sizes[-2][1]:
                of[of == sizes[-1][0]] = sizes[-2][0]
        return of

    def _published(self, length: int) -> list[int]:
        strides = list[int]()
        stride = length // self.base
        while stride:
            strides.append(stride)
            stride //= self.base
        return strides

    def _powers(self, length: int) -> list[int]:
        strides = [1]
        while strides[0] * self.base < length:
            strides.insert(0, strides[0] * self.base)
        return strides
