"""Dual cache without the far masks: the suffix is cut off behind the block."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dllm.arguments import switch, whole
from dllm.cache.base import Cache, Feed, block, refreshed, register
from dllm.views import CanvasView


@register("suffix")
@dataclass(frozen=True)
class SuffixCache(Cache):
    """`dual` on a canvas that ends `keep` positions behind the live block.

    What lies further is neither fed nor seen; the visible part grows as blocks advance. Only masks are dropped: text
    that stands far behind (infilling, a planted suffix) stays visible, and with it all in front of it. Approximate, as
    `dual` is, and the model does not see how long the answer may become. (DPad, arXiv 2508.14148, drops far masks at
    random, the more the further; this is its sliding window without the draw.)

    Args:
        keep: positions seen behind the block.
        every: forwards from one refresh to the next, counted from the opening of the block; None: refresh only then.
            With 1 all that is visible is fed at every step: no K/V are out of date, and only the far masks are missing.
        keep_prompt: compute the prompt's K/V once, in the row's first forward.
    """

    keep: int = 64
    every: int | None = None
    keep_prompt: bool = False

    def __post_init__(self) -> None:
        whole("suffix: keep", self.keep, 0)
        switch("suffix: keep_prompt", self.keep_prompt)
        whole("suffix: every", self.every, 1, optional=True)

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        text = int((~view.masked).nonzero()[-1]) + 1 if not bool(view.masked.all()) else 0
        visible = min(max(view.end + self.keep, text), len(view.canvas))
        # a block policy may have moved the block's end behind what its first forward was fed
        grown = bool((view.stored[:visible] < 0).any())
        due = view.block_step == 0 if self.every is None else view.block_step % self.every == 0
        if due or grown:
            return refreshed(view, lookback, self.keep_prompt, visible)
        return replace(block(view, lookback), visible=visible)
