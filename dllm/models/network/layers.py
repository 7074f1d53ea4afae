"""The parts of a decoder block, on rows laid end to end (`ragged.py`). No family is named here.

Shapes: N flat rows, D hidden, H query heads, K key/value heads, d head width, F feed-forward width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dllm.models.network.packed import Fused, Linear
from dllm.models.network.ragged import AttentionGroup, RaggedBatch, Shadow
from dllm.models.network.spec import BackboneSpec

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
    """Rotate the first r channels of `[N, heads, d]` by `[N, 1, r/2]` tables in the tables' dtype; in that of `x`."""
    width = 2 * cos.shape[-1]
    low, high = x[..., :width].to(cos.dtype).chunk(2, dim=-1)
    rotated = torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1).to(x.dtype)
    return rotated if width == x.shape[-1] else torch.cat((rotated, x[..., width:]), dim=-1)


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), elementwise.

    Written out for float32 on the CPU, as `sigmoid` is: torch's kernels take another code path for the elements left
    over after the last full vector of a thread's share, so a value's last bit would depend on its place in the batch.
    """
    return x / _one_and_exp(x) if _by_vectors(x) else F.silu(x)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), elementwise."""
    return _one_and_exp(x).reciprocal_() if _by_vectors(x) else x.sigmoid()


def _by_vectors(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu"


def _one_and_exp(x: Tensor) -> Tensor:
    return x.neg().exp_().add_(1.0)


def attend(queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None) -> Tensor:
    """Attention of `[B, H, n, d]` queries over `[B, K, m, d]` keys and values; returns `[B, H, n, d]`.

    Queries are padded, keys never: with 16 query rows and up, a query's result has the same bits whatever n and B are
    (float32 on the CPU; without the padding, calls of 1 to 3 queries do not).

    Args:
        seen: `[B, n, m]` bool, which keys a query sees, at least one; None: all.
    """
    n = queries.shape[2]
    short = -n % QUERY_ROWS
    padded = F.pad(queries, (0, 0, 0, short)) if short else queries
    if seen is not None:
        seen = F.pad(seen, (0, 0, 0, short), value=True)[:, None]
    grouped = queries.shape[1] != keys.shape[1]
    return F.scaled_dot_product_attention(padded, keys, values, attn_mask=seen, enable_gqa=grouped)[:, :, :n]


def overshadow(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, shadow: Shadow) -> Tensor:
    """Attention of a row's shadows; `[s, H, d]`.

    Each sees the row's keys, its own in the place of column `own`, and column `hidden` not at all (unless that is
    where it stands), nor what its position does not see; where they are `together`, the others' keys too. Written out:
    a shadow's keys are the row's but for one or two, and copying them would cost s times the row.

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
    if shadow.seen is not None:
        scores = scores.masked_fill(~shadow.seen[:, None], -torch.inf)
    scores = scores.scatter(2, hidden, -torch.inf).scatter(2, own, (q * k).sum(-1, keepdim=True) * scale)
    if shadow.together:
        mates = torch.einsum("shd,thd->sht", q, k) * scale
        if shadow.seen is not None:
            mates = mates.masked_fill(~shadow.seen[:, None, shadow.own], -torch.inf)
        scores = torch.cat([scores, mates.masked_fill(_diagonal(mates), -torch.inf)], 2)
    p = scores.softmax(-1)
    at = p.gather(2, own)
    row, beside = p.scatter(2, own, 0.0).split([keys.shape[1], p.shape[2] - keys.shape[1]], 2)
    out: Tensor = torch.einsum("shm,hmd->shd", row, values) + at * v
    return out + torch.einsum("sht,thd->shd", beside, v) if shadow.together else out


def _diagonal(scores: Tensor) -> Tensor:
    """`[s, 1, s]` bool on the device of `[s, H, s]` scores: what a shadow would see of itself twice."""
    return torch.eye(len(scores), dtype=torch.bool, device=scores.device)[:, None]


class Attention(nn.Module):
    """Attention with rotary positions; each row sees its own keys only, all of them or by blocks."""

    def __init__(self, spec: BackboneSpec, layer: int) -> None:
        super().__init__()
        bias, inner = spec.qkv_bias or spec.linear_bias, spec.kv_heads * spec.head_dim
        self.layer = layer
        self.head_dim = spec.head_dim
        self.q = Linear(spec.hidden_size, spec.heads * spec.head_dim, bias=bias)
        self.k = Linear(spec.hidden_size, inner, bias=bias)
        self.v = Linear(spec.hidden_size, inner, bias=bias)
        self.o = Linear(spec.heads * spec.head_dim, spec.hidden_size, bias=spec.out_bias or spec.linear_bias)
        self.qkv, self.out = Fused(self.q, self.k, self.v), Fused(self.o)
        self.clip, self.head_norm = spec.clip, spec.head_norm
        widths = (spec.head_dim, spec.head_dim) if spec.head_norm else (spec.heads * spec.head_dim, inner)
        normed = spec.projection_norm or spec.head_norm
        self.q_norm, self.k_norm = (RMSNorm(w, spec.norm_eps) if normed else nn.Identity() for w in widths)

    def forward(self, x: Tensor, batch: RaggedBatch, cos: Tensor, sin: Tensor) -> Tensor:
        """`[N, D]` -> `[N, D]`; fresh keys and values of rows that have a store are written to it."""
        q, k, v = self.qkv(x)
        q, k, v = self._normed(q, self.q_norm), self._normed(k, self.k_norm), self._heads(v)
        if self.clip is not None:
            q, k, v = (one.clamp(-self.clip, self.clip) for one in (q, k, v))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = torch.zeros_like(q)
        for group in batch.groups:
            span = slice(group.start, group.stop)
            keys, values = self._keys_values(k[span], v[span], group)
            mixed[span] = attend(_rows(q[span], group), keys, values, group.seen).transpose(1, 2).flatten(0, 1)
            for row, shadow in group.shadows:
                there = slice(shadow.start, shadow.stop)
                mixed[there] = overshadow(q[there], k[there], v[there], keys[row], values[row], shadow)
        out: Tensor = self.out(mixed.flatten(1))[0]
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.head_dim)

    def _normed(self, x: Tensor, norm: nn.Module) -> Tensor:
        """`[N, heads * d]` -> `[N, heads, d]`, each head normed or the whole."""
        normed: Tensor = norm(self._heads(x)) if self.head_norm else self._heads(norm(x))
        return normed

    def _keys_values(self, k: Tensor, v: Tensor, group: AttentionGroup) -> tuple[Tensor, Tensor]:
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


def _rows(flat: Tensor, group: AttentionGroup) -> Tensor:
    """`[B * n, heads, d]` -> `[B, heads, n, d]`, a view."""
    return flat.view(group.rows, group.queries, *flat.shape[1:]).transpose(1, 2)


class SwiGLU(nn.Module):
    """Gated feed-forward layer (arXiv 2002.05202): `down(silu(gate(x)) * up(x))`."""

    def __init__(self, hidden_size: int, width: int, bias: bool = False) -> None:
        super().__init__()
        self.gate = Linear(hidden_size, width, bias=bias)
        self.up = Linear(hidden_size, width, bias=bias)
        self.down = Linear(width, hidden_size, bias=bias)
        self.gate_up, self.out = Fused(self.gate, self.up), Fused(self.down)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, D]` -> `[N, D]`."""
        gate, up = self.gate_up(x)
        out: Tensor = self.out(silu(gate) * up)[0]
        return out
