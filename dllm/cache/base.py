"""The cache interface: which part of the canvas to feed at this step.

Keys and values live with the row, one slot a canvas position. A forward overwrites the slots of what it is fed and
attends to all slots, so a cache is only the answer to one question: what is fed. Caches are stateless objects.
"""

from __future__ import annotations

from dataclasses import dataclass

from dllm.errors import CapabilityError, ConfigError
from dllm.models.base import KV, RowDenoiser
from dllm.spec import Registry, parse_spec, spec_of
from dllm.views import CanvasView


@dataclass(frozen=True, slots=True)
class Feed:
    """Feed canvas positions `[start, stop)`; `refresh` says that this recomputes the whole store."""

    start: int
    stop: int
    refresh: bool = False


class Cache:
    """Base class. Subclass it, override `feed`, and `register` it.

    Class attributes:
        stores: whether rows need K/V at all (then the model must offer the KV capability).
        exact: whether tokens equal those of `none` on a full-bidirectional model.
    """

    stores: bool = True
    exact: bool = False

    def feed(self, view: CanvasView, lookback: int) -> Feed:
        """What to feed for this forward.

        Args:
            view: the row; `view.block_step == 0` means that the live block has just been opened.
            lookback: positions left of the block that the model needs to predict the block's first one (0 or 1).
        """
        raise TypeError(f"{type(self).__name__} must override feed(view, lookback) -> Feed")

    def __str__(self) -> str:
        return spec_of(self, caches.name_of(type(self)))


caches: Registry[Cache] = Registry("cache")
register = caches.register


def full(view: CanvasView) -> Feed:
    """Feed the whole canvas."""
    return Feed(0, len(view.canvas), refresh=True)


def resolve_cache(cache: Cache | None, model: RowDenoiser) -> Cache:
    """The cache to use on `model`; None ("auto") is `prefix` where K/V can be had and `none` elsewhere.

    Raises:
        CapabilityError: a named cache needs K/V and the model has none.
    """
    offers = KV in model.capabilities
    if cache is None:
        return caches.get("prefix" if offers else "none")()
    if cache.stores and not offers:
        name = getattr(model, "name", type(model).__name__)
        raise CapabilityError(
            f"cache={str(cache)!r} needs a model that offers keys and values; {name} declares "
            f"{sorted(model.capabilities) or 'no capabilities'}: use cache='none' or 'auto'"
        )
    return cache


def as_cache(spec: str | Cache) -> Cache:
    """A name such as `"dual"`, or a Cache, as a Cache. Raises ConfigError."""
    if isinstance(spec, Cache):
        return spec
    if not isinstance(spec, str):
        raise ConfigError(f"cache={spec!r} must be 'auto', one of {caches.names()}, or a Cache object")
    calls = parse_spec(spec, "cache")
    if len(calls) != 1:
        raise ConfigError(f"cache={spec!r}: caches cannot be joined; name one of {caches.names()}")
    return caches.build(calls[0])
