"""From a family and a config to the network, native or borrowed, and to what the tensors of its checkpoint hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dllm.models.borrowed import Borrowed
from dllm.models.families.config import ConfigReader
from dllm.models.families.family import AnyFamily, Family
from dllm.models.network.native import Backbone

Network = Backbone | Borrowed
Contents = Mapping[str, Sequence[tuple[str, tuple[int, ...]]]]
"""Tensor of a checkpoint -> the parameters it holds, one below the other, and their shapes."""


def contents_of(network: Network, family: AnyFamily, config: ConfigReader) -> Contents:
    """What the tensors of a network's checkpoint hold. A tied head is the embedding, and named there only."""
    contents: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, parameter in network.named_parameters():
        contents.setdefault(family.tensor_name(name, config), []).append((name, tuple(parameter.shape)))
    return contents


def build_network(family: AnyFamily, config: ConfigReader, block: int | None = None) -> Network:
    """The network of a checkpoint's config, its weights not initialised.

    Args:
        block: that attention goes by; None: it is full.

    Raises:
        ModelError: the config is not legal, or transformers cannot build it.
    """
    length = config.integer(family.length_key)
    if isinstance(family, Family):
        return Backbone(replace(family.spec(config), block=block), family, max_length=length)
    return Borrowed(family, config, max_length=length)
