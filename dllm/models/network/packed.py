"""Weights laid out for the CPU's matrix products: oneDNN's packed format in place of row-major matrices.

Two reasons, both measured (`python benchmarks/packed_linear.py`): products over a block's few rows are 1.2 to 1.9 times
faster, since nothing is rearranged at each call; and a row of a float32 product keeps its bits whatever the other rows
are and however many, from 2 rows up, on every number of threads. MKL's products of row-major weights do not: at widths
of about 1,500 and more it splits the inner sum between threads, by the number of rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPECTED_ROWS = 32
"""Rows that the layout is chosen for; any number may be given."""
PACKED_DTYPES = (torch.float32, torch.bfloat16)
KEPT_SHAPES = 64
"""Numbers of rows for which torch keeps what it has compiled for a product. By itself it keeps 1,024, each of some
hundred kB, and a batch of rows that come and go has all of them: 500 MB after some thousand requests. What is given up
is made again in no time that can be measured (`benchmarks/serving.py`)."""
ROOM_BYTES = 1 << 26
"""Bytes from which on every allocator gives memory back to the system when it is freed. Weights are gathered in that
much, of which only what is used is real: smaller pieces, freed between what stays, would be lost there."""


def can_pack(weight: Tensor, dtype: torch.dtype | None = None) -> bool:
    """Whether this build of torch packs such a weight, in `dtype` or its own, on this processor."""
    dtype = dtype or weight.dtype
    return is_plain(weight) and weight.device.type == "cpu" and dtype in PACKED_DTYPES and packs(dtype)


def is_plain(weight: Tensor) -> bool:
    """Whether it holds its own numbers; quantized weights have another class, and are neither packed nor joined."""
    return type(weight) in (Tensor, nn.Parameter)


@cache
def packs(dtype: torch.dtype) -> bool:
    """Tried out once: the operators are those of torch.compile, and old processors have none for bfloat16."""
    # of torch's layer and of oneDNN below it, which read them at the first product; who has set them is left alone
    for limit in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(limit, str(KEPT_SHAPES))
    weight = torch.eye(16, dtype=dtype)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, EXPECTED_ROWS)
        product = torch.ops.mkldnn._linear_pointwise(weight, packed, None, "none", [], "")
    except (RuntimeError, AttributeError):  # what is not there, or not for this processor (NotImplementedError is one)
        return False
    return torch.equal(product, weight) and torch.equal(packed.to_dense(), weight)


def can_join(layers: Sequence[nn.Linear]) -> bool:
    """Whether the weights are worth laying one below the other: a card does one large product faster than several."""
    return len(layers) > 1 and all(is_plain(layer.weight) and layer.weight.is_cuda for layer in layers)


@dataclass(frozen=True, slots=True)
class Packed:
    """One or more linear layers of the same input as one product.

    Attributes:
        weight: `[sum of outputs, inputs]`, in the packed format on a CPU; on CUDA a matrix that holds them all.
        bias: `[sum of outputs]` or None.
        outputs: of each layer, in order.
    """

    weight: Tensor
    bias: Tensor | None
    outputs: tuple[int, ...]

    @classmethod
    def of(cls, layers: Sequence[nn.Linear], dtype: torch.dtype | None = None) -> Packed:
        """Pack the layers' weights, in `dtype` or their own; either all have a bias or none has."""
        biases = [layer.bias for layer in layers if layer.bias is not None]
        assert len(biases) in (0, len(layers))
        weights: tuple[Tensor, ...] = tuple(layer.weight.detach() for layer in layers)
        on_card = weights[0].is_cuda
        joined = torch.cat(weights) if on_card else _gathered(weights, dtype or weights[0].dtype)
        return cls(
            joined if on_card else torch.ops.mkldnn._reorder_linear_weight(joined, EXPECTED_ROWS),
            torch.cat(tuple(biases)).detach() if biases else None,
            tuple(layer.out_features for layer in layers),
        )

    def __deepcopy__(self, memo: object) -> Packed:
        return self  # never written to, and torch cannot copy the format

    def __call__(self, x: Tensor) -> Tensor:
        """`[N, inputs]` -> `[N, sum of outputs]`."""
        if self.weight.is_cuda:
            return F.linear(x, self.weight, self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return out

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """As the call, a view of `[N, outputs]` for each layer."""
        return torch.split(self(x), list(self.outputs), dim=-1)

    def restore(self, layers: Sequence[nn.Linear]) -> None:
        """Give the layers their parameters back, to the bit."""
        whole = self.weight if self.weight.is_cuda else self.weight.to_dense()
        weights = torch.split(whole, list(self.outputs))
        for layer, weight in zip(layers, weights, strict=True):  # the biases never went away
            layer.weight = nn.Parameter(weight.clone(), requires_grad=False)


def _gathered(weights: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """The weights one below the other, in memory that is given back."""
    rows, inputs = sum(len(weight) for weight in weights), weights[0].shape[1]
    room = torch.empty(max(rows * inputs, ROOM_BYTES // dtype.itemsize), dtype=dtype)
    joined, start = room[: rows * inputs].view(rows, inputs), 0
    for weight in weights:
        joined[start : start + len(weight)].copy_(weight)
        start += len(weight)
    return joined


class Linear(nn.Linear):
    """A linear layer that may be a part of a `Fused` product; called alone, it gives its part of that."""

    fused: Fused | None = None
    part: int = 0

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` -> `[..., outputs]`."""
        if self.fused is not None and self.fused.packed is not None:
            return self.fused(x)[self.part]
        return super().forward(x)


class Fused:
    """Linear layers that read the same input. Packed, they are one product, and give up their parameters for it.

    They stay attributes of their owner, under the names that checkpoints and device maps know.
    """

    def __init__(self, *layers: Linear) -> None:
        self.layers = layers
        self.packed: Packed | None = None
        for part, layer in enumerate(layers):
            layer.fused, layer.part = self, part

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """`[N, inputs]` -> `[N, outputs]` for each layer."""
        if self.packed is not None:
            return self.packed.split(x)
        return tuple(layer(x) for layer in self.layers)

    def whole(self, x: Tensor) -> Tensor:
        """`[N, inputs]` -> `[N, sum of outputs]`."""
        if self.packed is not None:
            return self.packed(x)
        parts = self(x)
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def pack(self, dtype: torch.dtype | None = None) -> None:
        """Pack the layers, in `dtype` or their own, if that can be done."""
        if self.packed is not None:
            return
        if all(can_pack(layer.weight, dtype) for layer in self.layers):
            self.packed = Packed.of(self.layers, dtype)
            for layer in self.layers:  # their shapes, no memory
                layer.weight = nn.Parameter(layer.weight.to("meta", dtype or layer.weight.dtype), requires_grad=False)
        elif can_join(self.layers):
            self.packed = Packed.of(self.layers)
            views = torch.split(self.packed.weight, list(self.packed.outputs))
            for layer, view in zip(self.layers, views, strict=True):
                layer.weight = nn.Parameter(view, requires_grad=False)

    def unpack(self) -> None:
        if self.packed is not None:
            self.packed.restore(self.layers)
            self.packed = None
