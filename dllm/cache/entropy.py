"""Refresh by how uncertain the last commits were, after EntropyCache (arXiv 2603.18489)."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.arguments import in_range, switch
from dllm.cache.base import Cache, Feed, block, refreshed, register
from dllm.views import CanvasView


@register("entropy")
@dataclass(frozen=True)
class EntropyCache(Cache):
    """`dual`, refreshed inside a block after a step that committed a token it was unsure of.

    Such a token tells the rest of the canvas something new; a sure one was reckoned with already. The paper measures
    the entropy of what a token was drawn from; here it is 1 minus the token's probability, which every step knows
    without a pass over the vocabulary or a synchronisation. Approximate.

    Args:
        tau: refresh after a commit of a token whose probability is below 1 - tau. 1: never inside a block; 0: nearly
            at every forward.
        keep_prompt: compute the prompt's K/V once, in the row's first forward.
    """

    tau: float = 0.1
    keep_prompt: bool = False

    def __post_init__(self) -> None:
        in_range("entropy: tau", self.tau, 0.0, 1.0)
        switch("entropy: keep_prompt", self.keep_prompt)

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        if view.block_step == 0 or view.doubt > self.tau:
            return refreshed(view, lookback, self.keep_prompt)
        return block(view, lookback)
