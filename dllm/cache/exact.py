"""The exact store of block-causal models (BD3-LM, arXiv 2503.09573): finished blocks are never computed again."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.cache.base import Cache, Feed, register
from dllm.views import CanvasView, seen_end


@register("exact")
@dataclass(frozen=True)
class ExactCache(Cache):
    """Feed the live block of attention, together with whatever changed before it since it was fed.

    Exact: such a model's block sees itself and the blocks before, and those are fed once more with their final tokens,
    in the forward that opens the next block.
    """

    exact = True
    needs_blocks = True

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        assert view.rule is not None, "resolve_cache refuses other models"
        length = view.rule.length
        stop = seen_end(view.end, view.rule, len(view.canvas))
        changed = (view.stored[:stop] != view.canvas[:stop]).nonzero()
        left = view.masked[view.start : view.end].nonzero()
        first = view.start + int(left[0]) - lookback if len(left) else view.start
        start = min(int(changed[0]) if len(changed) else stop, max(first, 0))
        return Feed(start // length * length, stop, refresh=view.step == 0, visible=stop)
