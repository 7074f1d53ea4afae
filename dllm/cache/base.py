"""The cache interface: which part of the canvas to feed at this step, and how much of it attention sees.

Keys and values live with the row, one slot a canvas position. A forward overwrites the slots of what it is fed and
attends to the visible slots, so a cache is only the answer to two questions: what is fed, and how many slots count.
Caches are stateless objects; what one must remember of a row it returns from `remember` and finds in the next view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from dllm.errors import CapabilityError, ConfigError, quoted
from dllm.models.base import KV, RowDenoiser, RowKV, block_rule, name_of
from dllm.registry import Registry, parse_spec, spec_of
from dllm.views import CanvasView

KEEPS_ANSWERS = "suffix(keep=8, every=1)"
"""What "auto" is where attention is full: docs/caches.md has the measurement that chose it."""


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """What a row feeds to one forward: usually a span; `Feed.at` makes one of any positions.

    Attributes:
        start, stop: the first position fed, and one past the last.
        refresh: whether this recomputes everything that the cache recomputes at all; counted in `stats.refreshes`.
        only: `[n]` long, ascending, from `start` to `stop - 1`: the positions fed, if not all between.
        visible: attention sees slots `[0, visible)`; None: all of the canvas. Of no meaning without a store.
    """

    start: int
    stop: int
    refresh: bool = False
    only: Tensor | None = None
    visible: int | None = None

    @classmethod
    def at(cls, positions: Tensor, *, refresh: bool = False, visible: int | None = None) -> Feed:
        """Feed `positions`, `[n]` long, ascending, at least one."""
        start, stop = int(positions[0]), int(positions[-1]) + 1
        return cls(start, stop, refresh, None if stop - start == len(positions) else positions, visible)

    @property
    def positions(self) -> Tensor:
        """`[n]` long, ascending: the canvas positions fed."""
        return torch.arange(self.start, self.stop) if self.only is None else self.only

    @property
    def part(self) -> slice | Tensor:
        """Index of the fed part of a canvas: a slice where it is a span."""
        return slice(self.start, self.stop) if self.only is None else self.only

    def sees(self, length: int) -> int:
        """Slots of a canvas of `length` tokens that attention sees."""
        return length if self.visible is None else self.visible

    def __len__(self) -> int:
        return self.stop - self.start if self.only is None else len(self.only)

    def holds(self, positions: Tensor) -> Tensor:
        """`[k]` bool: which of `positions` are fed."""
        if self.only is None:
            return (positions >= self.start) & (positions < self.stop)
        return torch.isin(positions, self.only)


class Cache:
    """Base class. Subclass it, override `feed`, and `register` it.

    Attributes:
        stores: whether rows need K/V at all (then the model must offer the KV capability).
        exact: whether tokens equal those of `none`: never on a model of full attention, but for `none` itself.
        needs_blocks: whether it works on block-causal models only.
    """

    stores: bool = True
    exact: bool = False
    needs_blocks: bool = False

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        """What to feed for this forward. What attention sees must have been fed, now or before.

        Args:
            view: the row; `view.block_step == 0` means that the live block has just been opened, and `view.stored` says
                what the store holds.
            lookback: positions left of the block that the model needs to predict the block's first one (0 or 1): for
                every mask p of the live block, `max(p - lookback, 0)` must be fed.
        """
        raise TypeError(f"{type(self).__name__} must override feed(view, lookback) -> Feed")

    def remember(self, view: CanvasView, feed: Feed, stores: Sequence[RowKV]) -> Any:
        """Called after each forward; what it returns is `view.memo` at the next. Treat it as immutable.

        Args:
            view: the row as it was when it was fed.
            stores: K/V after the forward, of the row and, with CFG, of its unconditional copy. Copy what you keep.
        """
        return None

    def __str__(self) -> str:
        return spec_of(self, caches.name_of(type(self)))


caches: Registry[Cache] = Registry("cache")
register = caches.register


def lowest(view: CanvasView, lookback: int, keep_prompt: bool) -> int:
    """The first position that is ever fed again: 0, or with `keep_prompt` the one that predicts the first answer token.

    In infilling no text is known to stand in front of everything, and `keep_prompt` changes nothing.
    """
    return max(0, view.prompt_length - lookback) if keep_prompt else 0


def refreshed(view: CanvasView, lookback: int, keep_prompt: bool, visible: int | None = None) -> Feed:
    """Feed all that is visible, or with `keep_prompt` what stands behind the prompt once that is stored."""
    start = lowest(view, lookback, keep_prompt) if view.step else 0
    return Feed(start, len(view.canvas) if visible is None else visible, refresh=True, visible=visible)


Neighbour = Literal["always", "needed"]
"""When a shifted family feeds the position before the block: see `block`."""


def block(
    view: CanvasView,
    lookback: int,
    *,
    left: int = 0,
    right: int = 0,
    lowest: int = 0,
    neighbour: Neighbour = "always",
) -> Feed:
    """Feed the live block and up to `left` and `right` positions around it, none below `lowest`.

    At least `lookback` positions are fed left of the block, since they predict its first one; with `neighbour="needed"`
    only as long as that is a mask.
    """
    if neighbour == "needed" and not view.masked[view.start]:
        lookback = 0
    start = max(0, min(view.start - lookback, max(view.start - left, lowest)))
    return Feed(start, min(view.end + right, len(view.canvas)))


def resolve_cache(cache: Cache | None, model: RowDenoiser) -> Cache:
    """The cache to use on `model`; None ("auto") is `exact` on block-causal models, `KEEPS_ANSWERS` on others that
    offer K/V, and `none` elsewhere.

    Raises:
        CapabilityError: a named cache needs K/V and the model has none, or blocks and attention is full.
    """
    offers, rule = KV in model.capabilities, block_rule(model)
    if cache is None:
        return as_cache("none" if not offers else KEEPS_ANSWERS if rule is None else "exact")
    name = name_of(model)
    if cache.stores and not offers:
        raise CapabilityError(
            f"cache={str(cache)!r} needs a model that offers keys and values; {name} declares "
            f"{sorted(model.capabilities) or 'no capabilities'}: use cache='none' or 'auto'"
        )
    if cache.needs_blocks and rule is None:
        raise CapabilityError(
            f"cache={str(cache)!r} needs a block-causal model; {name} sees the whole canvas, of which no part can be "
            "stored for good: use cache='auto', 'suffix' or 'dual'"
        )
    return cache


def as_cache(spec: str | Cache) -> Cache:
    """A name such as `"dual"`, or a Cache, as a Cache. Raises ConfigError."""
    if isinstance(spec, Cache):
        return spec
    if not isinstance(spec, str):
        raise ConfigError(f"cache={quoted(spec)} must be 'auto', one of {caches.names()}, or a Cache object")
    calls = parse_spec(spec, "cache", "dual", joined=False)
    if len(calls) != 1:
        raise ConfigError(f"cache={spec!r}: caches cannot be joined; name one of {', '.join(caches.names())}")
    return caches.build(calls[0])
