"""The loops of the chart, compiled. What the arrays are is said in `dllm.grammars.search.chart`.

A set of nodes is a row of 64-bit words, one bit a node. A node leads to none of a higher number than its own, so its
rows are that long and no longer; rows of nothing are not kept.

Functions on rows are given one array and where a row begins in it: a view of an array costs more than the work here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dllm.grammars.search.loops.bits import ONE, add, lowest


@njit(cache=True)
def within(bits, row, y):  # type: ignore[no-untyped-def]
    """Whether node y is in the row that begins at `row`; a row of -1 is nothing."""
    return row >= 0 and (bits[row + (y >> 6)] >> np.uint64(y & 63)) & ONE != 0


@njit(cache=True)
def _or(into, at, bits, begin, words):  # type: ignore[no-untyped-def]
    """Add the row at `begin` to the one at `at`; whether that changed it."""
    changed = np.uint64(0)
    for w in range(words):
        more = bits[begin + w] & ~into[at + w]
        into[at + w] |= more
        changed |= more
    return changed != 0


@njit(cache=True)
def _adds(bits, begin, one, other, at, words):  # type: ignore[no-untyped-def]
    """Whether the row at `begin` holds anything that neither of the two at `at` holds."""
    for w in range(words):  # noqa: SIM110 (compiled)
        if bits[begin + w] & ~(one[at + w] | other[at + w]):
            return True
    return False


@njit(cache=True)
def _pop(pending):  # type: ignore[no-untyped-def]
    """The lowest rank, or -1."""
    for w in range(len(pending)):
        if pending[w]:
            found = (w << 6) + lowest(pending[w])
            pending[w] &= pending[w] - ONE
            return found
    return -1


@njit(cache=True)
def _take(waiting, at, known, begin, new, words):  # type: ignore[no-untyped-def]
    """Move what is waiting and not known to `new` and to what is known; whether there was any."""
    fresh = np.uint64(0)
    for w in range(words):
        new[w] = waiting[at + w] & ~known[begin + w]
        known[begin + w] |= new[w]
        waiting[at + w] = 0
        fresh |= new[w]
    return fresh != 0


@njit(cache=True)
def _keep(x, known, rows, bits, size, has, most):  # type: ignore[no-untyped-def]
    """Put what node x spans behind the rows there are, and clear `known`; the rows, perhaps in a larger array."""
    words, width = (x >> 6) + 1, has.shape[1]
    for a in range(len(has)):
        at, some = a * width, np.uint64(0)
        for w in range(words):
            some |= known[at + w]
        if some == 0:
            continue
        if size + words > len(bits):
            larger = np.empty(2 * len(bits) + words, dtype=np.uint64)
            larger[:size] = bits[:size]
            bits = larger
        rows[x, a] = size
        for w in range(words):
            bits[size + w] = known[at + w]
            most[at + w] |= known[at + w]
            known[at + w] = 0
        size += words
        has[a, x >> 6] |= ONE << np.uint64(x & 63)
    return bits, size


@njit(cache=True)
def inside(grammar, ranks, edges, room):  # type: ignore[no-untyped-def]
    """Rows `[n, symbols]`, where each begins in the bits or -1; the bits; `[symbols, words]`, nodes that have a row.

    With more than `room` words of bits it stops: then there are no rows.
    """
    unit, unit_at, left, left_at, right, right_at, symbols, symbols_at = grammar
    label, target, at, silent, silent_at = edges
    by_rank, rank = ranks
    n, count, width = len(at) - 1, len(rank), (len(at) + 62) >> 6
    rows = np.full((n, count), -1, dtype=np.int64)
    bits, size = np.empty(1 << 17, dtype=np.uint64), 0  # only what is written costs anything
    has = np.zeros((count, width), dtype=np.uint64)
    known = np.zeros(count * width, dtype=np.uint64)
    waiting = np.zeros(count * width, dtype=np.uint64)
    most = np.zeros(count * width, dtype=np.uint64)  # of any row of the symbol: what it can add at most
    new = np.zeros(width, dtype=np.uint64)
    pending = np.zeros((count + 63) >> 6, dtype=np.uint64)
    for x in range(n):
        words, loops = (x >> 6) + 1, False
        for e in range(silent_at[x], silent_at[x + 1]):
            z = silent[e]
            for a in range(count):  # all that follows from it is in the rows of z too
                if rows[z, a] >= 0:
                    _or(known, a * width, bits, rows[z, a], (z >> 6) + 1)
        for e in range(at[x], at[x + 1]):
            y = target[e]
            loops = loops or y == x
            for k in range(symbols_at[label[e]], symbols_at[label[e] + 1]):
                t = symbols[k, 0]
                waiting[t * width + (y >> 6)] |= ONE << np.uint64(y & 63)
                add(pending, rank[t])
        while True:
            r = _pop(pending)
            if r < 0:
                break
            b = by_rank[r]
            if not _take(waiting, b * width, known, b * width, new, words):
                continue
            for k in range(unit_at[b], unit_at[b + 1]):
                a = unit[k, 0]
                if _or(waiting, a * width, new, 0, words):
                    add(pending, rank[a])
            for k in range(left_at[b], left_at[b + 1]):
                a, c = left[k, 0], left[k, 1]
                changed = False
                for w in range(words - 1, -1, -1):  # long rows first
                    some = new[w] & has[c, w]
                    if some and not _adds(most, c * width, known, waiting, a * width, words):
                        break
                    while some:
                        z = (w << 6) + lowest(some)
                        some &= some - ONE
                        changed = _or(waiting, a * width, bits, rows[z, c], (z >> 6) + 1) or changed
                if loops and (new[x >> 6] >> np.uint64(x & 63)) & ONE:
                    changed = _or(waiting, a * width, known, c * width, words) or changed
                if changed:
                    add(pending, rank[a])
            if loops:
                for k in range(right_at[b], right_at[b + 1]):
                    a, c = right[k, 0], right[k, 1]
                    before = known[c * width + (x >> 6)] >> np.uint64(x & 63) & ONE
                    if before and _or(waiting, a * width, new, 0, words):
                        add(pending, rank[a])
        bits, size = _keep(x, known, rows, bits, size, has, most)
        if size > room:
            return rows[:0], bits[:0], has
    return rows, bits[:size].copy(), has


@njit(cache=True)
def outside(bodies, ranks, edges, spans, start, root, ends):  # type: ignore[no-untyped-def]
    """Of the spans, those that are part of a sentence from the root to one of `ends`; laid out like `bits`."""
    (body, body_at), (by_rank, rank), (rows, bits, has) = bodies, ranks, spans
    silent, silent_at = edges[3:]
    count, width = rows.shape[1], has.shape[1]
    used = np.zeros_like(bits)
    waiting = np.zeros(count * width, dtype=np.uint64)
    new = np.zeros(width, dtype=np.uint64)
    pending = np.zeros((count + 63) >> 6, dtype=np.uint64)
    for y in ends:
        used[rows[root, start] + (y >> 6)] |= ONE << np.uint64(y & 63)
    for x in range(root, -1, -1):
        words = (x >> 6) + 1
        for a in range(count):  # what the nodes to the left have asked for
            for w in range(words if rows[x, a] >= 0 else 0):
                waiting[a * width + w] = used[rows[x, a] + w]
                used[rows[x, a] + w] = 0
                if waiting[a * width + w]:
                    add(pending, count - 1 - rank[a])
        while True:
            r = _pop(pending)
            if r < 0:
                break
            a = by_rank[count - 1 - r]
            if not _take(waiting, a * width, used, rows[x, a], new, words):
                continue
            for e in range(silent_at[x], silent_at[x + 1]):
                z = silent[e]
                for w in range((z >> 6) + 1 if rows[z, a] >= 0 else 0):
                    used[rows[z, a] + w] |= new[w] & bits[rows[z, a] + w]
            for k in range(body_at[a], body_at[a + 1]):
                b, c = body[k, 0], body[k, 1]
                own, to, onto = rows[x, b], b * width, c * width
                if own < 0:
                    continue
                changed = False
                for w in range(words):
                    if c < 0:
                        more = new[w] & bits[own + w] & ~used[own + w]
                        changed = changed or more & ~waiting[to + w] != 0
                        waiting[to + w] |= more
                        continue
                    some = bits[own + w] & has[c, w]
                    while some:
                        z = (w << 6) + lowest(some)
                        bit = some & ~(some - ONE)
                        some &= some - ONE
                        that, fits = rows[z, c], False
                        for u in range((z >> 6) + 1):
                            more = new[u] & bits[that + u]
                            if more:
                                fits = True
                                if z < x:
                                    used[that + u] |= more
                                elif more & ~(waiting[onto + u] | used[that + u]):
                                    waiting[onto + u] |= more & ~used[that + u]
                                    add(pending, count - 1 - rank[c])
                        if fits and not (waiting[to + w] | used[own + w]) & bit:
                            waiting[to + w] |= bit
                            changed = True
                if changed:
                    add(pending, count - 1 - rank[b])
    return used


@njit(cache=True)
def live_edges(grammar, edges, rows, used):  # type: ignore[no-untyped-def]
    """`[edges]` bool: which edges are a terminal that is used."""
    (symbols, symbols_at), (label, target, at) = grammar[6:], edges[:3]
    found = np.zeros(len(label), dtype=np.bool_)
    for x in range(len(at) - 1):
        for e in range(at[x], at[x + 1]):
            for k in range(symbols_at[label[e]], symbols_at[label[e] + 1]):
                found[e] = found[e] or within(used, rows[x, symbols[k, 0]], target[e])
    return found
