"""The layers over a layout: four matrix products each, and a kernel between any two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dllm.models.network.block import Block
from dllm.models.network.cuda import kernels
from dllm.models.network.cuda.kernels import power
from dllm.models.network.cuda.layout import Store
from dllm.models.network.decoder import Decoder
from dllm.models.network.layers import Attention, RMSNorm, SwiGLU
from dllm.models.network.spec import BackboneSpec

KEYS, WARPS, STAGES = 64, 4, 2
"""Of a tile of attention over a block's few queries: keys read at once, warps, and tiles in flight."""
HEADS = 8
"""Heads of a token that a program rotates."""
LONG = 128
"""Tokens of a row from which on torch's attention is the faster one."""
PROGRAMS = 264
"""Programs that fill a large card twice over; with fewer, a row's keys are shared out among several."""
MOST_SHARES = 16

Angles = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a forward is, which a graph fixes.

    Attributes:
        tokens, rows: N and B of the layout.
        longest: at most so many tokens of one row.
        length: at most so many keys of one row.
    """

    tokens: int
    rows: int
    longest: int
    length: int

    @property
    def queries(self) -> int:
        """Of a tile of attention."""
        return min(128, max(16, power(max(1, self.longest))))

    def shares(self, heads: int) -> int:
        """Among how many programs a row's keys are shared out."""
        programs = self.rows * heads * -(-self.longest // self.queries)
        return max(1, min(-(-PROGRAMS // programs), -(-self.length // (2 * KEYS)), MOST_SHARES))


Long = Sequence[tuple[int, int, Store]]


def run_layers(network: Decoder, table: Tensor, angles: Angles, extent: Extent, long: Long = ()) -> Tensor:
    """`[N, D]` hidden states after the last block, before the final norm.

    `table`: the layout's, on the device; `long`: rows that a library's attention serves, as in the layout.
    """
    spec = network.spec
    x: Tensor = network.embed(table[: extent.tokens])
    if spec.embedding_scale != 1.0:
        x = x * spec.embedding_scale
    update: Tensor | None = None
    for block in network.blocks:
        assert isinstance(block, Block) and isinstance(block.mlp, SwiGLU)
        hidden = norm(block.attention_norm, x, update)
        update = _attention(network.spec, block.attention, hidden, table, angles, extent, long)
        hidden = norm(block.mlp_norm, x, update)
        update = block.mlp.out.whole(_gated(block.mlp.gate_up.whole(hidden)))
    assert update is not None
    return x + update


def _attention(
    spec: BackboneSpec, attention: Attention, hidden: Tensor, table: Tensor, angles: Angles, extent: Extent, long: Long
) -> Tensor:
    """`[N, D]` -> `[N, D]`; fresh keys and values are written to the stores first."""
    qkv = attention.qkv.whole(hidden)
    sizes = (extent.tokens, extent.rows, attention.layer, spec.heads, spec.kv_heads)
    half = max(2, power(spec.head_dim // 2))
    heads = -(-(spec.heads + 2 * spec.kv_heads) // HEADS)
    kernels.rotate[(extent.tokens, heads)](
        qkv, *angles, table, *sizes, spec.head_dim, half, block=HEADS, wide=spec.rope_full_precision
    )
    # filler is read by nobody, but what lies there by chance may be NaN, which spreads through a product's tile
    mixed = qkv.new_zeros(extent.tokens, spec.heads * spec.head_dim)
    if extent.longest:
        _attend(spec, qkv, table, mixed, sizes, extent)
    for first, count, store in long:
        mixed[first : first + count] = _attend_long(spec, qkv[first : first + count], store, attention.layer)
    out: Tensor = attention.out.whole(mixed)
    return out


def _attend(
    spec: BackboneSpec, qkv: Tensor, table: Tensor, mixed: Tensor, sizes: tuple[int, ...], extent: Extent
) -> None:
    """Attention of all rows but the long ones, into `mixed`, `[N, H * d]`."""
    shares, padded = extent.shares(spec.heads), max(16, power(spec.head_dim))
    parts, sums = mixed, mixed
    if shares > 1:
        parts = qkv.new_empty(shares, extent.tokens, spec.heads, spec.head_dim, dtype=torch.float32)
        sums = qkv.new_empty(2, shares, extent.tokens, spec.heads, dtype=torch.float32)
    kernels.attend[(-(-extent.longest // extent.queries), spec.heads, extent.rows * shares)](
        qkv,
        table,
        parts,
        sums,
        *sizes,
        spec.head_dim**-0.5,
        -(-extent.length // shares),
        shares,
        spec.head_dim,
        padded,
        extent.queries,
        KEYS,
        num_warps=8 if extent.queries == 128 else WARPS,
        num_stages=1 if qkv.dtype == torch.float32 else STAGES,  # what fits in shared memory
    )
    if shares > 1:
        grid = (extent.tokens, spec.heads)
        kernels.join[grid](parts, sums, table, mixed, extent.tokens, spec.heads, shares, spec.head_dim, padded)


def _attend_long(spec: BackboneSpec, qkv: Tensor, store: Store, layer: int) -> Tensor:
    """`[n, H * d]`: one row's attention by torch's own kernels, which are faster for many queries."""
    queries = qkv[:, : spec.heads * spec.head_dim].view(len(qkv), spec.heads, spec.head_dim).transpose(0, 1)
    at = layer if store.layered else 0
    keys, values = (stored[at, :, : store.length] for stored in (store.keys, store.values))
    grouped = spec.heads != spec.kv_heads
    mixed = F.scaled_dot_product_attention(queries[None], keys[None], values[None], enable_gqa=grouped)
    return mixed[0].transpose(0, 1).reshape(len(qkv), -1)


def _gated(both: Tensor) -> Tensor:
    """`[N, 2F]`, gate and up -> `[N, F]`."""
    tokens, width = both.shape[0], both.shape[1] // 2
    opened = both.new_empty(tokens, width)
    kernels.gated[(tokens, -(-width // 1024))](both, opened, width, 1024)
    return opened


def norm(module: RMSNorm, x: Tensor, update: Tensor | None) -> Tensor:
    """The norm of `x + update`; that sum becomes `x`, in place."""
    out, width = torch.empty_like(x), x.shape[1]
    size = power(width)
    other, add = (x, False) if update is None else (update, True)
    warps = 8 if size >= 2048 else 4
    kernels.norm[(x.shape[0],)](x, other, module.weight, out, width, module.eps, size, add, num_warps=warps)
    return out
