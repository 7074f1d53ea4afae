"""The loops of the chart, compiled. What the arrays are is said in `dllm.grammars.chart`.

A set of nodes is a row of 64-bit words, one bit a node. A node leads to none of a higher number than its own, so of its
row only the first words count.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def lowest(word):  # type: ignore[no-untyped-def]
    """Index of the lowest bit that is set."""
    found = 0
    for width in (32, 16, 8, 4, 2, 1):
        if word & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)) == 0:
            word >>= np.uint64(width)
            found += width
    return found


@njit(cache=True)
def _or(into, bits, words):  # type: ignore[no-untyped-def]
    """`into |= bits`; whether that changed it."""
    changed = False
    for w in range(words):
        more = into[w] | bits[w]
        if more != into[w]:
            into[w] = more
            changed = True
    return changed


@njit(cache=True)
def _push(queue, queued, size, symbol):  # type: ignore[no-untyped-def]
    """Queue a symbol once; the new size of the queue."""
    if queued[symbol]:
        return size
    queued[symbol] = True
    queue[size] = symbol
    return size + 1


@njit(cache=True)
def _take(waiting, known, new, words):  # type: ignore[no-untyped-def]
    """Move what is `waiting` and not `known` to `new` and to `known`; whether there was any."""
    fresh = False
    for w in range(words):
        new[w] = waiting[w] & ~known[w]
        known[w] |= new[w]
        waiting[w] = 0
        fresh = fresh or new[w] != 0
    return fresh


@njit(cache=True)
def inside(  # type: ignore[no-untyped-def]
    unit, unit_at, left, left_at, right, right_at, symbols, symbols_at, label, target, at, silent, silent_at, count
):
    n = len(at) - 1
    spans = np.zeros((n, count, (n + 63) // 64), dtype=np.uint64)
    some = np.zeros((n, count), dtype=np.bool_)
    waiting = np.zeros((count, spans.shape[2]), dtype=np.uint64)
    new = np.zeros(spans.shape[2], dtype=np.uint64)
    queued = np.zeros(count, dtype=np.bool_)
    queue = np.empty(count, dtype=np.int32)
    one = np.uint64(1)
    for x in range(n):
        words = (x >> 6) + 1
        size, loops = 0, False
        for e in range(silent_at[x], silent_at[x + 1]):
            z = silent[e]
            for a in range(count):
                if some[z, a] and _or(waiting[a], spans[z, a], (z >> 6) + 1):
                    size = _push(queue, queued, size, a)
        for e in range(at[x], at[x + 1]):
            y = target[e]
            loops = loops or y == x
            for k in range(symbols_at[label[e]], symbols_at[label[e] + 1]):
                t = symbols[k, 0]
                waiting[t, y >> 6] |= one << np.uint64(y & 63)
                size = _push(queue, queued, size, t)
        while size:
            size -= 1
            b = queue[size]
            queued[b] = False
            if not _take(waiting[b], spans[x, b], new, words):
                continue
            some[x, b] = True
            for k in range(unit_at[b], unit_at[b + 1]):
                a = unit[k, 0]
                if _or(waiting[a], new, words):
                    size = _push(queue, queued, size, a)
            for k in range(left_at[b], left_at[b + 1]):
                a, c = left[k, 0], left[k, 1]
                changed = False
                for w in range(words):
                    bits = new[w]
                    while bits:
                        low = lowest(bits)
                        bits &= bits - one
                        z = (w << 6) + low
                        if some[z, c]:
                            changed = _or(waiting[a], spans[z, c], (z >> 6) + 1) or changed
                if changed:
                    size = _push(queue, queued, size, a)
            if loops:
                for k in range(right_at[b], right_at[b + 1]):
                    a, c = right[k, 0], right[k, 1]
                    if spans[x, c, x >> 6] >> np.uint64(x & 63) & one and _or(waiting[a], new, words):
                        size = _push(queue, queued, size, a)
    return spans


@njit(cache=True)
def outside(body, body_at, spans, start, root, ends, silent, silent_at):  # type: ignore[no-untyped-def]
    """Of the spans, those that are part of a sentence from the root to one of `ends`; shaped like `spans`."""
    count = spans.shape[1]
    used = np.zeros_like(spans)
    waiting = np.zeros((count, spans.shape[2]), dtype=np.uint64)
    new = np.zeros(spans.shape[2], dtype=np.uint64)
    queued = np.zeros(count, dtype=np.bool_)
    queue = np.empty(count, dtype=np.int32)
    one = np.uint64(1)
    for y in ends:
        used[root, start, y >> 6] |= one << np.uint64(y & 63)
    for back in range(root + 1):
        x = root - back
        words = (x >> 6) + 1
        size = 0
        for a in range(count):  # what the nodes to the left have asked for
            for w in range(words):
                waiting[a, w] = used[x, a, w]
                used[x, a, w] = 0
                if waiting[a, w]:
                    size = _push(queue, queued, size, a)
        while size:
            size -= 1
            a = queue[size]
            queued[a] = False
            if not _take(waiting[a], used[x, a], new, words):
                continue
            for e in range(silent_at[x], silent_at[x + 1]):
                z = silent[e]
                for w in range((z >> 6) + 1):
                    used[z, a, w] |= new[w] & spans[z, a, w]
            for k in range(body_at[a], body_at[a + 1]):
                b, c = body[k, 0], body[k, 1]
                changed = False
                if c < 0:
                    for w in range(words):
                        more = new[w] & spans[x, b, w]
                        if more & ~waiting[b, w]:
                            waiting[b, w] |= more
                            changed = True
                else:
                    for w in range(words):
                        bits = spans[x, b, w]
                        while bits:
                            low = lowest(bits)
                            bits &= bits - one
                            z = (w << 6) + low
                            right = False
                            for u in range((z >> 6) + 1):
                                more = new[u] & spans[z, c, u]
                                if more:
                                    right = True
                                    if z < x:
                                        used[z, c, u] |= more
                                    elif more & ~(waiting[c, u] | used[x, c, u]):
                                        waiting[c, u] |= more
                                        size = _push(queue, queued, size, c)
                            if right and not (waiting[b, w] | used[x, b, w]) >> np.uint64(low) & one:
                                waiting[b, w] |= one << np.uint64(low)
                                changed = True
                if changed:
                    size = _push(queue, queued, size, b)
    return used


@njit(cache=True)
def live_edges(used, symbols, symbols_at, label, target, at):  # type: ignore[no-untyped-def]
    """`[edges]` bool: which edges are a terminal that is used."""
    found = np.zeros(len(label), dtype=np.bool_)
    for x in range(len(at) - 1):
        for e in range(at[x], at[x + 1]):
            y = target[e]
            for k in range(symbols_at[label[e]], symbols_at[label[e] + 1]):
                if used[x, symbols[k, 0], y >> 6] >> np.uint64(y & 63) & np.uint64(1):
                    found[e] = True
    return found
