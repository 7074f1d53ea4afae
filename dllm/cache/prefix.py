"""Prefix cache (Fast-dLLM, arXiv 2505.22618)."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.cache.base import Cache, Feed, block, refreshed, register
from dllm.views import CanvasView


@register("prefix")
@dataclass(frozen=True)
class PrefixCache(Cache):
    """Full forward when a block opens; after that the block and everything behind it.

    Approximate: K/V left of the block stay what they were when the block was all masks.

    Args:
        keep_prompt: compute the prompt's K/V once, in the row's first forward; refreshes then feed what stands behind
            it. An approximation more; not in the paper.
    """

    keep_prompt: bool = False

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        if view.block_step == 0:
            return refreshed(view, lookback, self.keep_prompt)
        return block(view, lookback, right=len(view.canvas))
