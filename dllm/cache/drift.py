"""Drift-triggered refresh, by the similarity of values that dLLM-Cache (arXiv 2506.06295) measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from dllm.arguments import LARGEST, in_range, switch, whole
from dllm.cache.base import Cache, Feed, block, refreshed, register
from dllm.errors import ConfigError
from dllm.models.base import RowKV
from dllm.views import CanvasView


@dataclass(frozen=True, slots=True)
class Drift:
    """What `drift` remembers of a row.

    Attributes:
        values: `[kv_heads, L, head_dim]`, the chosen layer's values at the last refresh.
        similarity: of the block's masks with them, after the last forward.
    """

    values: Tensor
    similarity: float


@register("drift")
@dataclass(frozen=True)
class DriftCache(Cache):
    """`dual`, refreshed inside a block as soon as the values of its masks have drifted.

    The measure is the cosine similarity of a value vector, all heads together, with itself at the last refresh: the
    mean over the block's masks. Their token has not changed, so what changes their values is the context, which is what
    the stored K/V outside the block have missed. (dLLM-Cache recomputes the tokens that drift most; here drift only
    says when.) Approximate. On a GPU the measure costs a synchronisation a row and step.

    Args:
        tau: refresh below this similarity; 1 refreshes at about every second forward, -1 never inside a block.
        layer: whose values are compared, from 0; negative ones count from the last. Those of layer 0 never drift: they
            depend on the token alone.
        keep_prompt: compute the prompt's K/V once, in the row's first forward.
    """

    tau: float = 0.9
    layer: int = -1
    keep_prompt: bool = False

    def __post_init__(self) -> None:
        in_range("drift: tau", self.tau, -1.0, 1.0)
        whole("drift: layer", self.layer, -LARGEST)
        switch("drift: keep_prompt", self.keep_prompt)

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        memo: Drift | None = view.memo
        if view.block_step == 0 or memo is None or memo.similarity < self.tau:
            return refreshed(view, lookback, self.keep_prompt)
        return block(view, lookback)

    def remember(self, view: CanvasView, feed: Feed, stores: Sequence[RowKV]) -> Drift:
        values = self._values(stores[0])
        if feed.refresh:
            return Drift(values.clone(), 1.0)
        last: Drift = view.memo
        masks = view.masked[view.start : view.end].nonzero().squeeze(-1).to(values.device) + view.start
        now, then = (one[:, masks].transpose(0, 1).flatten(1).float() for one in (values, last.values))
        return Drift(last.values, float(F.cosine_similarity(now, then).mean()))

    def _values(self, store: RowKV) -> Tensor:
        layers = store.values.shape[0]
        if not -layers <= self.layer < layers:
            raise ConfigError(f"drift: layer={self.layer} must be in {-layers}...{layers - 1}: the model has {layers}")
        return store.values[self.layer]
