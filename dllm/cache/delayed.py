"""Delayed cache (dKV-Cache-Decode, arXiv 2505.15781)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.arguments import switch, whole
from dllm.cache.base import Cache, Feed, refreshed, register
from dllm.views import CanvasView


@register("delayed")
@dataclass(frozen=True)
class DelayedCache(Cache):
    """A token's K/V are kept from the forward after its commit on; all masks, near and far, are fed at every step.

    Approximate: K/V of tokens are as old as that forward, or as the last full one. Full forwards are made when a block
    opens and every few steps; the published code makes the second of a block full as well.

    Args:
        every: forwards from one full one to the next, counted from the opening of the block.
        keep_prompt: compute the prompt's K/V once, in the row's first forward.
    """

    every: int = 8
    keep_prompt: bool = False

    def __post_init__(self) -> None:
        whole("delayed: every", self.every, 1)
        switch("delayed: keep_prompt", self.keep_prompt)

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        if view.block_step % self.every == 0:
            return refreshed(view, lookback, self.keep_prompt)
        return Feed.at(_undecided(view, lookback).nonzero().squeeze(-1))


def _undecided(view: CanvasView, lookback: int) -> Tensor:
    """`[L]` bool: masks, tokens whose stored K/V are those of a mask, and what predicts the masks."""
    again = view.masked | (view.stored != view.canvas)
    again[: len(again) - lookback] |= view.masked[lookback:]
    return again
