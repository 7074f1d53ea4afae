"""Triton kernels of `peaks_cuda.py`; imported on CUDA only."""

# mypy: ignore-errors
# (the compiler reads the annotations of kernels, and knows its own only)

from __future__ import annotations

import triton
import triton.language as tl

next_power = triton.next_power_of_2


@triton.jit
def piece(
    logits,
    banned,
    parts,
    ids,
    stride,
    width,
    plane,
    columns: tl.constexpr,
    entropy: tl.constexpr,
):
    """One piece of one row. `parts` holds six planes: best and second allowed, highest of all, the sum of exp without
    the first that is highest, the weighted sum, and the second highest of all."""
    row, at = tl.program_id(0), tl.program_id(1)
    column = at * columns + tl.arange(0, columns)
    inside = column < width
    x = tl.load(logits + row.to(tl.int64) * stride + column, mask=inside, other=-float("inf")).to(tl.float32)
    # a maximum of a float in Triton passes over NaN; the sum below does not, and the engine looks at that
    highest = tl.max(x, axis=0)
    base = tl.where(highest == -float("inf"), 0.0, highest)
    shifted = x - base
    lead = tl.min(tl.where(x == highest, column, width), axis=0)
    weight = tl.where(column == lead, 0.0, tl.exp(shifted))
    others = tl.sum(weight, axis=0)
    weighted = 0.0
    if entropy:
        weighted = tl.sum(tl.where(weight > 0, weight * shifted, 0.0), axis=0)
    no = tl.load(banned + column, mask=inside, other=1)
    allowed = tl.where(no != 0, -float("inf"), x)
    best = tl.max(allowed, axis=0)
    first = tl.min(tl.where((allowed == best) & inside, column, width), axis=0)
    second = tl.max(tl.where(column == first, -float("inf"), allowed), axis=0)
    slot = row * tl.num_programs(1) + at
    tl.store(parts + slot, best)
    tl.store(parts + plane + slot, second)
    tl.store(parts + 2 * plane + slot, highest)
    tl.store(parts + 3 * plane + slot, others)
    tl.store(parts + 4 * plane + slot, weighted)
    tl.store(parts + 5 * plane + slot, tl.max(tl.where(column == lead, -float("inf"), x), axis=0))
    tl.store(ids + slot, first)


@triton.jit
def join(parts, ids, out, tokens, m, pieces, size: tl.constexpr):
    """Join the pieces of one row; `out` holds six planes: best, second, highest, excess, entropy, runner-up."""
    row = tl.program_id(0)
    plane = m * pieces
    at = tl.arange(0, size)
    inside = at < pieces
    slot = row * pieces + at
    none = -float("inf")
    best = tl.load(parts + slot, mask=inside, other=none)
    second = tl.load(parts + plane + slot, mask=inside, other=none)
    highest = tl.load(parts + 2 * plane + slot, mask=inside, other=none)
    others = tl.load(parts + 3 * plane + slot, mask=inside, other=0.0)
    weighted = tl.load(parts + 4 * plane + slot, mask=inside, other=0.0)
    behind = tl.load(parts + 5 * plane + slot, mask=inside, other=none)
    first = tl.load(ids + slot, mask=inside, other=2147483647)
    top = tl.max(best, axis=0)
    token = tl.min(tl.where((best == top) & inside, first, 2147483647), axis=0)
    runner = tl.max(tl.where(first == token, second, best), axis=0)
    peak = tl.max(highest, axis=0)
    base = tl.where(peak == none, 0.0, peak)
    moved = tl.where(highest == none, 0.0, highest - base)
    scale = tl.where(highest == none, 0.0, tl.exp(moved))
    # each piece has left out its highest, which is exp(0); the row leaves out the first that is highest of all
    lead = tl.min(tl.where((highest == peak) & inside, at, size), axis=0)
    share = tl.where(at == lead, others, (others + 1.0) * scale)
    # where every score of a piece is NaN its highest may be -inf: keep the NaN of its sum
    sums = tl.where(others != others, others, share)
    rest = tl.sum(sums, axis=0)
    mean = tl.sum(tl.where(scale > 0, scale * (weighted + (others + 1.0) * moved), 0.0), axis=0) / (1.0 + rest)
    # Triton has no log1p: what 1 + x has lost by rounding is made good by x / ((1 + x) - 1)
    one = 1.0 + rest
    log1p = tl.where(one == 1.0, rest, tl.log(one) * (rest / tl.where(one == 1.0, 1.0, one - 1.0)))
    excess = log1p + (base - base)  # not a number where the highest score is infinite
    tl.store(out + row, top)
    tl.store(out + m + row, runner)
    tl.store(out + 2 * m + row, peak)
    tl.store(out + 3 * m + row, excess)
    tl.store(out + 4 * m + row, excess - mean)
    tl.store(out + 5 * m + row, tl.max(tl.where(at == lead, behind, highest), axis=0))
    tl.store(tokens + row, token.to(tl.int64))
