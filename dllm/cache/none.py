"""No cache: the whole canvas at every step. The reference for all others."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.cache.base import Cache, Feed, register
from dllm.views import CanvasView


@register("none")
@dataclass(frozen=True)
class NoCache(Cache):
    """Exact by definition."""

    stores = False
    exact = True

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        return Feed(0, len(view.canvas))
