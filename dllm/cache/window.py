"""Vicinity refresh (dInfer, arXiv 2510.08666)."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.arguments import switch, whole
from dllm.cache.base import Cache, Feed, block, lowest, refreshed, register
from dllm.views import CanvasView


@register("window")
@dataclass(frozen=True)
class WindowCache(Cache):
    """Full forward when a block opens and every few steps; between them the block and what stands near it.

    Approximate: K/V outside the window are as old as the last full forward. `window(0, 0)` that is never refreshed
    inside a block is `dual`. Of dInfer's rule, the uncached forwards at a row's start are left out.

    Args:
        left, right: positions fed on either side of the block; None: all.
        every: forwards from one full one to the next, counted from the opening of the block; None: only then.
        keep_prompt: compute the prompt's K/V once, in the row's first forward; neither refreshes nor windows feed it
            again.
    """

    left: int | None = 16
    right: int | None = 16
    every: int | None = 8
    keep_prompt: bool = False

    def __post_init__(self) -> None:
        whole("window: left", self.left, 0, optional=True)
        whole("window: right", self.right, 0, optional=True)
        whole("window: every", self.every, 1, optional=True)
        switch("window: keep_prompt", self.keep_prompt)

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        if view.block_step == 0 or (self.every is not None and view.block_step % self.every == 0):
            return refreshed(view, lookback, self.keep_prompt)
        left, right = (len(view.canvas) if side is None else side for side in (self.left, self.right))
        return block(view, lookback, left=left, right=right, lowest=lowest(view, lookback, self.keep_prompt))
