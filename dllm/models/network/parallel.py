"""Tensor parallelism: every layer's heads and feed-forward columns split over processes, by torch's own machinery."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from dllm.errors import ConfigError
from dllm.models.network.decoder import Decoder

SPLIT_BY_COLUMNS = ("attention.q", "attention.k", "attention.v", "mlp.gate", "mlp.up")
SPLIT_BY_ROWS = ("attention.o", "mlp.down")
D = TypeVar("D", bound=Decoder)


def tensor_parallel(network: D, mesh: DeviceMesh) -> D:
    """Split a network over the processes of a one-dimensional mesh, in place. Every process makes the same calls.

    Each keeps its share of every layer's weights and of the K/V stores, and the whole embedding; sums meet after
    attention and after the feed-forward layer, and the head's columns are gathered, so that every process has all
    logits. Equal to one process up to the order of those sums (1e-5 in float32).

    Raises:
        ConfigError: heads, K/V heads, feed-forward width or vocabulary do not divide by the processes; norms over whole
            projections; a tied head; experts; quantized weights.
    """
    spec, size = network.spec, mesh.size()
    for name in ("heads", "kv_heads", "intermediate_size", "columns"):
        if getattr(spec, name) % size:
            raise ConfigError(f"tensor_parallel: {name}={getattr(spec, name)} must be a multiple of {size} processes")
    if spec.projection_norm or spec.tied_head or spec.moe is not None:
        raise ConfigError(
            "tensor_parallel: norms over whole projections, tied heads and experts are not split; use device_map"
        )
    if network.quantized is not None:
        raise ConfigError(
            f"tensor_parallel: weights quantized to {network.quantized} are not split; load without quantize"
        )
    network.unpack()
    network.kernels = False  # the products are other modules' now
    for block in network.blocks:
        parallelize_module(block, mesh, {name: ColwiseParallel() for name in SPLIT_BY_COLUMNS})
        parallelize_module(block, mesh, {name: RowwiseParallel() for name in SPLIT_BY_ROWS})
    parallelize_module(network, mesh, {"head": ColwiseParallel(output_layouts=Replicate())})
    network.spec = replace(spec, heads=spec.heads // size, kv_heads=spec.kv_heads // size)
    return network.requires_grad_(False).eval()
