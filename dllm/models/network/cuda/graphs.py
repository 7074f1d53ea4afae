"""Forwards on CUDA: small ones are captured once a size and replayed, since launching them costs more than the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from dllm.models.base import RowInput
from dllm.models.network.cuda.forward import LONG, Angles, Extent, run_layers
from dllm.models.network.cuda.layout import Store, lay_out
from dllm.models.network.decoder import Decoder

LARGEST = 1024
"""Most tokens of a forward that is replayed; larger ones keep the card busy while they are being launched."""
LENGTH_STEP = 512
"""Keys are counted in steps of this: a graph's attention is laid out for so many."""


@dataclass(slots=True)
class Graph:
    """A captured forward: write the table, replay, read the hidden states."""

    table: Tensor
    hidden: Tensor
    graph: Any


@dataclass(slots=True)
class Runner:
    """The forwards of one network; without `replays` all of them are launched kernel by kernel.

    Attributes:
        reach: positions that the rotary table has; a longer one is another tensor, so that all graphs go.
    """

    replays: bool = True
    reach: int = 0
    graphs: dict[Extent, Graph] = field(default_factory=dict)

    @torch.inference_mode()  # graphs outlive a call: what one made under this mode, another could not write to
    def forward(self, network: Decoder, rows: Sequence[RowInput]) -> Tensor:
        """`[M, D]` hidden states of the wanted positions, rows in order, then filler; before the final norm."""
        small = self.replays and sum(row.token_ids.numel() for row in rows) <= LARGEST
        stores = [_store(network, row) for row in rows]
        laid = lay_out(rows, stores, network.spec.lookback, bucket=small, long=None if small else LONG)
        if laid.reach > self.reach:
            self.reach = -(-laid.reach // 1024) * 1024
            self.graphs.clear()
        angles = network.rope.table(self.reach, network.device)
        table = (laid.table.pin_memory() if network.device.type == "cuda" else laid.table).to(
            network.device, non_blocking=True
        )
        extent = Extent(laid.tokens, laid.rows, laid.longest, laid.length)
        if not small:
            return run_layers(network, table, angles, extent, laid.long)[table[laid.body :]]
        graph = self._graph(network, table[: laid.body], angles, bucket_of(extent))
        graph.table.copy_(table[: laid.body])
        graph.graph.replay()
        return graph.hidden[table[laid.body :]]

    def _graph(self, network: Decoder, table: Tensor, angles: Angles, extent: Extent) -> Graph:
        graph = self.graphs.get(extent)
        if graph is None:
            graph = self.graphs[extent] = _captured(network, table.clone(), angles, extent)
        return graph


def bucket_of(extent: Extent) -> Extent:
    """That of the graph that serves this one."""
    longest = next((size for size in (16, 32, 64, 128) if extent.longest <= size), -(-extent.longest // 128) * 128)
    return replace(extent, longest=longest, length=-(-extent.length // LENGTH_STEP) * LENGTH_STEP)


def _captured(network: Decoder, table: Tensor, angles: Angles, extent: Extent) -> Graph:
    """Run beside the stream, which compiles the kernels, then capture."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            run_layers(network, table, angles, extent)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        hidden = run_layers(network, table, angles, extent)
    return Graph(table, hidden, graph)


def _store(network: Decoder, row: RowInput) -> Store:
    """The row's own store, or one for this forward: the keys of a row that keeps none have to lie somewhere."""
    if row.kv is not None:
        return Store(row.kv.keys, row.kv.values, True, row.kv.length)
    spec, count = network.spec, row.token_ids.numel()
    keys, values = torch.empty(
        2, 1, spec.kv_heads, count, spec.head_dim, dtype=network.dtype, device=network.device
    ).unbind()
    return Store(keys, values, False, count)
