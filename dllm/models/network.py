"""From a row of the table of families to its network, native or borrowed."""

from __future__ import annotations

from dataclasses import replace

from dllm.models.backbone import Backbone
from dllm.models.borrowed import Borrowed
from dllm.models.family import Family, Row, Settings

Network = Backbone | Borrowed


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
