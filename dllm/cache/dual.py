"""Dual cache (Fast-dLLM, arXiv 2505.22618)."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.arguments import one_of, switch
from dllm.cache.base import Cache, Feed, Neighbour, block, refreshed, register
from dllm.views import CanvasView


@register("dual")
@dataclass(frozen=True)
class DualCache(Cache):
    """Full forward when a block opens; after that the block alone.

    Approximate: K/V left and right of the block stay what they were when the block was all masks.

    Args:
        keep_prompt: compute the prompt's K/V once, in the row's first forward; refreshes then feed what stands behind
            it. An approximation more; not in the paper.
        neighbour: of families that predict a position from the one before it, as Dream. always: the position before
            the block is fed with it, so its K/V are fresh. needed: only as long as the block's first position is a
            mask, as in the published loops for Dream, which commit that one at the block's full forward.
    """

    keep_prompt: bool = False
    neighbour: Neighbour = "always"

    def __post_init__(self) -> None:
        switch("dual: keep_prompt", self.keep_prompt)
        one_of("dual: neighbour", self.neighbour, ("always", "needed"))

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        if view.block_step == 0:
            return refreshed(view, lookback, self.keep_prompt)
        return block(view, lookback, neighbour=self.neighbour)
