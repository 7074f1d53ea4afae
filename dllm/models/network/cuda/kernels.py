"""What stands between the matrix products, in Triton: norms, rotation into the stores, attention, the gated product.

Every kernel accumulates in float32. N flat tokens, H query heads, K key/value heads, d head width, D hidden width.
A token's position of -1 marks filler: it is computed on, written nowhere and read by nobody.
"""

# mypy: ignore-errors
# (the compiler reads the annotations of kernels, and knows its own only)

from __future__ import annotations

import triton
import triton.language as tl


def power(count: int) -> int:
    """The next power of two."""
    return int(triton.next_power_of_2(count))


@triton.jit
def norm(x, update, weight, out, width, eps, size: tl.constexpr, add: tl.constexpr):
    """A token of RMSNorm; with `add`, of `x += update` before it."""
    at = tl.program_id(0).to(tl.int64) * width
    column = tl.arange(0, size)
    inside = column < width
    value = tl.load(x + at + column, mask=inside, other=0.0)
    if add:
        value = (value + tl.load(update + at + column, mask=inside, other=0.0)).to(x.dtype.element_ty)
        tl.store(x + at + column, value, mask=inside)
    wide = value.to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, axis=0) / width + eps)
    scaled = (wide * scale).to(out.dtype.element_ty)
    tl.store(out + at + column, scaled * tl.load(weight + column, mask=inside, other=0.0), mask=inside)


@triton.jit
def gated(both, out, width, size: tl.constexpr):
    """`silu(gate) * up` of a token; `both` is `[N, 2 * width]`, the gate first."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * size + tl.arange(0, size)
    inside = column < width
    gate = tl.load(both + row * 2 * width + column, mask=inside, other=0.0)
    up = tl.load(both + row * 2 * width + width + column, mask=inside, other=0.0)
    wide = gate.to(tl.float32)
    opened = (wide / (1.0 + tl.exp(-wide))).to(both.dtype.element_ty)
    tl.store(out + row * width + column, opened * up, mask=inside)


@triton.jit
def rotate(
    qkv,
    cos,
    sin,
    table,
    tokens,
    rows,
    layer,
    heads,
    kv_heads,
    size: tl.constexpr,
    half: tl.constexpr,
    block: tl.constexpr,
    wide: tl.constexpr,
):
    """Rotate `block` heads of a token's queries and keys where they lie; keys and values go to its row's store.

    `table` is that of `layout.py`. `wide`: rotate with float32 angles, else with angles in the dtype of `qkv`.
    """
    token = tl.program_id(0)
    position, own = tl.load(table + tokens + token), tl.load(table + 2 * tokens + token)
    if position < 0:
        return
    of_row = table + 4 * tokens + tl.load(table + 3 * tokens + token)
    key_address, value_address = tl.load(of_row + 2 * rows), tl.load(of_row + 3 * rows)
    capacity, layered = tl.load(of_row + 4 * rows), tl.load(of_row + 5 * rows)
    keys = key_address.to(tl.pointer_type(qkv.dtype.element_ty))
    values = value_address.to(tl.pointer_type(qkv.dtype.element_ty))
    dim = tl.arange(0, half)
    inside = dim < size // 2
    c = tl.load(cos + position * (size // 2) + dim, mask=inside, other=0.0)
    s = tl.load(sin + position * (size // 2) + dim, mask=inside, other=0.0)
    if not wide:
        c, s = c.to(qkv.dtype.element_ty).to(tl.float32), s.to(qkv.dtype.element_ty).to(tl.float32)
    head = tl.program_id(1) * block + tl.arange(0, block)
    live = (head < heads + 2 * kv_heads)[:, None] & inside[None, :]
    at = qkv + (token.to(tl.int64) * (heads + 2 * kv_heads) + head[:, None]) * size + dim[None, :]
    low, high = tl.load(at, mask=live, other=0.0), tl.load(at + size // 2, mask=live, other=0.0)
    a, b = low.to(tl.float32), high.to(tl.float32)
    turned_low = (a * c[None, :] - b * s[None, :]).to(low.dtype)
    turned_high = (b * c[None, :] + a * s[None, :]).to(low.dtype)
    asks = live & (head < heads)[:, None]
    tl.store(at, turned_low, mask=asks)
    tl.store(at + size // 2, turned_high, mask=asks)
    kv_head = tl.where(head < heads, 0, (head - heads) % kv_heads)
    slot = ((layered * layer * kv_heads + kv_head) * capacity + own) * size
    key = keys + slot[:, None] + dim[None, :]
    is_key = live & ((head >= heads) & (head < heads + kv_heads))[:, None]
    tl.store(key, turned_low, mask=is_key)
    tl.store(key + size // 2, turned_high, mask=is_key)
    value = values + slot[:, None] + dim[None, :]
    is_value = live & (head >= heads + kv_heads)[:, None]
    tl.store(value, low, mask=is_value)
    tl.store(value + size // 2, high, mask=is_value)


@triton.jit
def attend(
    qkv,
    table,
    out,
    sums,
    tokens,
    rows,
    layer,
    heads,
    kv_heads,
    scale,
    share,
    shares: tl.constexpr,
    size: tl.constexpr,
    padded: tl.constexpr,
    queries: tl.constexpr,
    keys_at_once: tl.constexpr,
):
    """A tile of a row's queries, at one head, over one share of the row's keys: `share` keys, from its number on.

    One share: `out` is `[N, H * d]`, done. More: `[shares, N, H, d]` float32, not normalised, and `sums`
    `[2, shares, N, H]`, highest score and sum of exp, for `join`.
    """
    tile, head = tl.program_id(0), tl.program_id(1)
    row, part = tl.program_id(2) % rows, tl.program_id(2) // rows
    of_row = table + 4 * tokens + row
    begin, count = tl.load(of_row), tl.load(of_row + rows)
    if tile * queries >= count:
        return
    key_address, value_address = tl.load(of_row + 2 * rows), tl.load(of_row + 3 * rows)
    capacity, layered = tl.load(of_row + 4 * rows), tl.load(of_row + 5 * rows)
    length = tl.load(of_row + 6 * rows)
    keys = key_address.to(tl.pointer_type(qkv.dtype.element_ty))
    values = value_address.to(tl.pointer_type(qkv.dtype.element_ty))
    lane = tile * queries + tl.arange(0, queries)
    asks = lane < count
    dim = tl.arange(0, padded)
    inside = dim < size
    token = begin + lane
    q = tl.load(
        qkv + (token[:, None] * (heads + 2 * kv_heads) + head) * size + dim[None, :],
        mask=asks[:, None] & inside[None, :],
        other=0.0,
    )
    store = (layered * layer * kv_heads + head // (heads // kv_heads)) * capacity * size
    highest = tl.full([queries], -1e30, tl.float32)
    total = tl.zeros([queries], tl.float32)
    mixed = tl.zeros([queries, padded], tl.float32)
    stop = tl.minimum(length, (part + 1) * share)
    for start in range(part * share, stop, keys_at_once):
        slot = start + tl.arange(0, keys_at_once)
        seen = slot < stop
        at = store + slot[:, None] * size + dim[None, :]
        there = seen[:, None] & inside[None, :]
        k = tl.load(keys + at, mask=there, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        scores = tl.where(seen[None, :], scores, -float("inf"))
        peak = tl.maximum(highest, tl.max(scores, axis=1))
        weight = tl.exp(scores - peak[:, None])
        fade = tl.exp(highest - peak)
        v = tl.load(values + at, mask=there, other=0.0)
        mixed = mixed * fade[:, None] + tl.dot(weight.to(v.dtype), v, input_precision="ieee")
        total = total * fade + tl.sum(weight, axis=1)
        highest = peak
    place = (part * tokens + token) * heads + head
    keeps = asks[:, None] & inside[None, :]
    if shares == 1:
        whole = mixed / total[:, None]
        tl.store(out + place[:, None] * size + dim[None, :], whole.to(out.dtype.element_ty), mask=keeps)
    else:
        tl.store(out + place[:, None] * size + dim[None, :], mixed, mask=keeps)
        tl.store(sums + place, highest, mask=asks)
        tl.store(sums + shares * tokens * heads + place, total, mask=asks)


@triton.jit
def join(
    parts,
    sums,
    table,
    out,
    tokens,
    heads,
    shares,
    size: tl.constexpr,
    padded: tl.constexpr,
):
    """The shares of a token's attention at one head as one, normalised; `out` is `[N, H * d]`."""
    token, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    if tl.load(table + tokens + token) < 0:
        return
    dim = tl.arange(0, padded)
    inside = dim < size
    peak = -1e30
    for part in range(0, shares):
        peak = tl.maximum(peak, tl.load(sums + (part * tokens + token) * heads + head))
    total = 0.0
    mixed = tl.zeros([padded], tl.float32)
    for part in range(0, shares):
        place = (part * tokens + token) * heads + head
        fade = tl.exp(tl.load(sums + place) - peak)
        total += fade * tl.load(sums + shares * tokens * heads + place)
        mixed += fade * tl.load(parts + place * size + dim, mask=inside, other=0.0)
    tl.store(out + (token * heads + head) * size + dim, (mixed / total).to(out.dtype.element_ty), mask=inside)
