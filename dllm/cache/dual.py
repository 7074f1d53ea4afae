"""Dual cache (Fast-dLLM, arXiv 2505.22618)."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.cache.base import Cache, Feed, full, register
from dllm.views import CanvasView


@register("dual")
@dataclass(frozen=True)
class DualCache(Cache):
    """Full forward when a block opens; after that the block alone.

    Approximate: K/V left and right of the block stay what they were when the block was all masks.
    """

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        if view.block_step == 0:
            return full(view)
        return Feed(max(0, view.start - lookback), view.end)
