"""From a row of the table of families to its network, native or borrowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dllm.models.borrowed import Borrowed
from dllm.models.families.family import Family, Row, Settings
from dllm.models.network.native import Backbone

Network = Backbone | Borrowed


Parts = Mapping[str, Sequence[tuple[str, tuple[int, ...]]]]
"""Tensor of a checkpoint -> the parameters it holds, one below the other, and their shapes."""


def parts_of(network: Network, family: Row, settings: Settings) -> Parts:
    """What the tensors of a network's checkpoint hold. A tied head is the embedding, and named there only."""
    parts: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, parameter in network.named_parameters():
        parts.setdefault(family.tensor_name(name, settings), []).append((name, tuple(parameter.shape)))
    return parts


def build(family: Row, settings: Settings, block: int | None = None) -> Network:
    """The network of a checkpoint's config, its weights not initialised.

    Args:
        block: that attention goes by; None: it is full.

    Raises:
        ModelError: the config is not legal, or transformers cannot build it.
    """
    length = settings.integer(family.length_key)
    if isinstance(family, Family):
        return Backbone(replace(family.spec(settings), block=block), family, max_length=length)
    return Borrowed(family, settings, max_length=length)
