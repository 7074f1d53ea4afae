"""The parts of a decoder block, on rows laid end to end (`ragged.py`). No family is named here.

Shapes: N flat rows, D hidden, H query heads, K key/value heads, d head width, F feed-forward width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dllm.models.packed import Fused, Linear
from dllm.models.ragged import Group, RaggedBatch, Shadow
from dllm.models.spec import BackboneSpec

QUERY_ROWS = 16
"""Queries of an attention call are padded to a multiple of this; see `attend`."""
ROPE_CHUNK = 1024
"""Positions added to a rotary table at a time."""


class RMSNorm(nn.Module):
    """Root-mean-square norm (arXiv 1910.07467): in float32, cast back to the input's dtype, then times the weight."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`[..., size]` -> the same shape and dtype."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * (wide * scale).to(x.dtype)


class Rope:
    """Rotary tables (arXiv 2104.09864), half-split: channel c is paired with channel c + d/2.

    The float32 table is grown in fixed chunks on the CPU, so that a position's entries do not depend on how long the
    table happens to be, and kept once per device. It is no buffer: checkpoints do not hold it.
    """

    def __init__(self, head_dim: int, theta: float) -> None:
        self.frequencies = 1.0 / theta ** (torch.arange(0, head_dim, 2, device="cpu", dtype=torch.float32) / head_dim)
        self._tables: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __call__(self, positions: Tensor, length: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """`[N]` long, all below `length` -> cosines and sines, `[N, 1, d/2]` each, in `dtype`."""
        cos, sin = self.table(length, positions.device)
        return cos[positions, None].to(dtype), sin[positions, None].to(dtype)

    def table(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Cosines and sines of at least `length` positions, `[., d/2]` float32 each."""
        table = self._tables.get(device)
        if table is None or table[0].shape[0] < length:
            starts = range(0, length, ROPE_CHUNK)
            steps = torch.arange(ROPE_CHUNK, device="cpu", dtype=torch.float32)
            angles = [torch.outer(steps + start, self.frequencies) for start in starts]
            cos, sin = (torch.cat([f(a) for a in angles]).to(device) for f in (torch.cos, torch.sin))
            table = self._tables[device] = (cos, sin)
        return table


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate `[N, heads, d]` by `[N, 1, d/2]` tables in the tables' dtype; returns the dtype of `x`."""
    low, high = x.to(cos.dtype).chunk(2, dim=-1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1).to(x.dtype)


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), elementwise.

    Written out for float32 on the CPU: the fused kernel takes another code path for the elements left over after the
    last full vector of a thread's share, so a value's last bit would depend on its place in the batch.
    """
    if x.dtype == torch.float32 and x.device.type == "cpu":
        return x / x.neg().exp_().add_(1.0)
    return F.silu(x)


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Full attention of `[B, H, n, d]` queries over `[B, K, m, d]` keys and values; returns `[B, H, n, d]`.

    Queries are padded, keys never: with 16 query rows and up, a query's result has the same bits whatever n and B are
    (float32 on the CPU; without the padding, calls of 1 to 3 queries do not).
    """
    n = queries.shape[2]
    padded = F.pad(queries, (0, 0, 0, -n % QUERY_ROWS)) if n % QUERY_ROWS else queries
    grouped = queries.shape[1] != keys.shape[1]
    return F.scaled_dot_product_attention(padded, keys, values, enable_gqa=grouped)[:, :, :n]


def overshadow(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, shadow: Shadow) -> Tensor:
    """Attention of a row's shadows; `[s, H, d]`.

    Each sees the row's keys, its own in the place of column `own`, and column `hidden` not at all (unless that is
    where it stands). Written out: a shadow's keys are the row's but for one or two, and copying them would cost s times
    the row.

    Args:
        q: `[s, H, d]`.
        k, v: `[s, K, d]`, the shadows' own.
        keys, values: `[K, m, d]`, the row's.
    """
    repeats = q.shape[1] // keys.shape[0]
    keys, values = keys.repeat_interleave(repeats, 0), values.repeat_interleave(repeats, 0)
    k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    own, hidden = (
        column.to(q.device)[:, None, None].expand(-1, q.shape[1], 1) for column in (shadow.own, shadow.hidden)
    )
    scale = q.shape[-1] ** -0.5
    scores = torch.einsum("shd,hmd->shm", q, keys) * scale
    scores = scores.scatter(2, hidden, -torch.inf).scatter(2, own, (q * k).sum(-1, keepdim=True) * scale)
    p = scores.softmax(-1)
    at = p.gather(2, own)
    out: Tensor = torch.einsum("shm,hmd->shd", p.scatter(2, own, 0.0), values) + at * v
    return out


class Attention(nn.Module):
    """Bidirectional attention with rotary positions; each row sees its own keys only."""

    def __init__(self, spec: BackboneSpec, layer: int) -> None:
        super().__init__()
        bias, inner = spec.qkv_bias or spec.linear_bias, spec.kv_heads * spec.head_dim
        self.layer = layer
        self.head_dim = spec.head_dim
        self.q = Linear(spec.hidden_size, spec.heads * spec.head_dim, bias=bias)
        self.k = Linear(spec.hidden_size, inner, bias=bias)
        self.v = Linear(spec.hidden_size, inner, bias=bias)
        self.o = Linear(spec.heads * spec.head_dim, spec.hidden_size, bias=spec.linear_bias)
        self.qkv, self.out = Fused(self.q, self.k, self.v), Fused(self.o)
        normed = spec.projection_norm
        self.q_norm = RMSNorm(spec.heads * spec.head_dim, spec.norm_eps) if normed else nn.Identity()
        self.k_norm = RMSNorm(inner, spec.norm_eps) if normed else nn.Identity()

    def forward(self, x: Tensor, batch: RaggedBatch, cos: Tensor, sin: Tensor) -> Tensor:
        """`[N, D]` -> `[N, D]`; fresh keys and values of rows that have a store are written to it."""
        q, k, v = self.qkv(x)
        q = rotate(self._heads(self.q_norm(q)), cos, sin)
        k = rotate(self._heads(self.k_norm(k)), cos, sin)
        v = self._heads(v)
        mixed = torch.zeros_like(q)
        for group in batch.groups:
            span = slice(group.start, group.stop)
            keys, values = self._keys_values(k[span], v[span], group)
            mixed[span] = attend(_rows(q[span], group), keys, values).transpose(1, 2).flatten(0, 1)
            for row, shadow in group.shadows:
                there = slice(shadow.start, shadow.stop)
                mixed[there] = overshadow(q[there], k[there], v[there], keys[row], values[row], shadow)
        out: Tensor = self.out(mixed.flatten(1))[0]
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.head_dim)

    def _keys_values(self, k: Tensor, v: Tensor, group: Group) -> tuple[Tensor, Tensor]:
        """What the group's rows attend to, `[B, K, m, d]` each: the fed tokens, or their whole stores."""
        fresh_k, fresh_v = _rows(k, group), _rows(v, group)
        if not group.stores:
            return fresh_k, fresh_v
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for i, (store, slots) in enumerate(zip(group.stores, group.slots, strict=True)):
            for stored, fresh, seen in ((store.keys, fresh_k, keys), (store.values, fresh_v, values)):
                stored[self.layer, :, slots] = fresh[i].to(stored.device)
                # A no-op unless the model is spread over devices: a store lives on one.
                seen.append(stored[self.layer, :, : store.length].to(k.device))
        if len(keys) == 1:  # the usual case on a CPU: no copy
            return keys[0][None], values[0][None]
        return torch.stack(keys), torch.stack(values)


def _rows(flat: Tensor, group: Group) -> Tensor:
    """`[B * n, heads, d]` -> `[B, heads, n, d]`, a view."""
    return flat.view(group.rows, group.queries, *flat.shape[1:]).transpose(1, 2)


class SwiGLU(nn.Module):
    """Gated feed-forward layer (arXiv 2002.05202): `down(silu(gate(x)) * up(x))`."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.gate = Linear(spec.hidden_size, spec.intermediate_size, bias=spec.linear_bias)
        self.up = Linear(spec.hidden_size, spec.intermediate_size, bias=spec.linear_bias)
        self.down = Linear(spec.intermediate_size, spec.hidden_size, bias=spec.linear_bias)
        self.gate_up, self.out = Fused(self.gate, self.up), Fused(self.down)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, D]` -> `[N, D]`."""
        gate, up = self.gate_up(x)
        out: Tensor = self.out(silu(gate) * up)[0]
        return out


class Block(nn.Module):
    """One pre-norm residual layer: attention, then feed-forward."""

    def __init__(self, spec: BackboneSpec, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(spec.hidden_size, spec.norm_eps)
        self.attention = Attention(spec, layer)
        self.mlp_norm = RMSNorm(spec.hidden_size, spec.norm_eps)
        self.mlp = SwiGLU(spec)

    def forward(self, x: Tensor, batch: RaggedBatch, cos: Tensor, sin: Tensor) -> Tensor:
        """`[N, D]` -> `[N, D]`."""
        x = x + self.attention(self.attention_norm(x), batch, cos, sin)
        x = x + self.mlp(self.mlp_norm(x))
        return x
