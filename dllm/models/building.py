"""From a family and a config to the network, native or borrowed, and to what the tensors of its checkpoint hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dllm.errors import ModelError
from dllm.models.borrowed import Borrowed
from dllm.models.checkpoint import Checkpoint
from dllm.models.families.config import DEEPEST, LONGEST, WIDEST, ConfigReader
from dllm.models.families.family import AnyFamily, Family
from dllm.models.network.native import Backbone
from dllm.models.network.spec import BackboneSpec

Network = Backbone | Borrowed
Contents = Mapping[str, Sequence[tuple[str, tuple[int, ...]]]]
"""Tensor of a checkpoint -> the parameters it holds, one below the other, and their shapes."""


def contents_of(network: Network, family: AnyFamily, config: ConfigReader) -> Contents:
    """What the tensors of a network's checkpoint hold. A tied head is the embedding, and named there only."""
    contents: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, parameter in network.named_parameters():
        contents.setdefault(family.tensor_name(name, config), []).append((name, tuple(parameter.shape)))
    return contents


def build_network(
    family: AnyFamily, config: ConfigReader, block: int | None = None, checkpoint: Checkpoint | None = None
) -> Network:
    """The network of a checkpoint's config, its weights not initialised.

    Args:
        block: that attention goes by; None: it is full.
        checkpoint: whose weights it will have. A network of more modules than those have tensors is not built: each
            module costs memory and time, whatever its weights do.

    Raises:
        ModelError: the config is not legal, has keys that nobody knows, or asks for what the checkpoint cannot have;
            or transformers cannot build it.
    """
    length = config.integer(family.length_key, most=LONGEST)
    if isinstance(family, Family):
        if family.blocks is not None and family.blocks.key is not None:
            config.pass_over(family.blocks.key)
        spec = replace(family.spec(config), block=block)
        config.refuse_unknown(family.harmless)
        _check_widths(spec, config)
        if checkpoint is not None:
            checkpoint.expect_at_least(_modules(spec))
        return Backbone(spec, family, max_length=length)
    family.values(config)
    config.refuse_unknown(family.harmless)
    if checkpoint is not None:
        checkpoint.expect_at_least(config.integer("num_hidden_layers", most=DEEPEST))
    return Borrowed(family, config, max_length=length)


def _modules(spec: BackboneSpec) -> int:
    """Layers, and experts in the place of some; each has tensors of its own."""
    mixed = 0 if spec.moe is None else max(0, spec.layers - len(spec.dense_layers))
    return spec.layers + (mixed * spec.moe.experts if spec.moe else 0)


def _check_widths(spec: BackboneSpec, config: ConfigReader) -> None:
    """What is a product of numbers that are each in range."""
    widths = {"heads times their width": spec.heads * spec.head_dim, "feed-forward width": spec.intermediate_size}
    if spec.moe is not None:
        widths["width of the shared experts"] = spec.moe.shared_width
    for what, width in widths.items():
        if width > WIDEST:
            raise ModelError(f"{config.source}: {what}: {width}; it must be at most {WIDEST}")
