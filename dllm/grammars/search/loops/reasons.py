"""Why a symbol derives a stretch of a lattice: what sentences are read off a chart by. Compiled; see `spans`."""

from __future__ import annotations

import numpy as np
from numba import njit

from dllm.grammars.search.loops.bits import ONE, lowest

UNIT, EDGE, SILENT = -1, -2, -3
"""In a reason: one symbol over the same nodes; an edge, by its label; the same symbol from a node reached silently."""


@njit(cache=True)
def _put(found, met, tick, a, y, one, other, middle):  # type: ignore[no-untyped-def]
    met[a, y] = tick
    found[a, y, 0], found[a, y, 1], found[a, y, 2] = one, other, middle


@njit(cache=True)
def _seed(found, met, tick, queue, symbols, symbols_at, label, target, low, high):  # type: ignore[no-untyped-def]
    """Terminals of edges as reasons."""
    for e in range(low, high):
        y = target[e]
        for k in range(symbols_at[label[e]], symbols_at[label[e] + 1]):
            t = symbols[k, 0]
            if met[t, y] != tick:
                _put(found, met, tick, t, y, label[e], EDGE, -1)
                queue.append((t, y))


@njit(cache=True)
def _silent(found, met, tick, queue, rows, bits, silent, low, high):  # type: ignore[no-untyped-def]
    """What nodes reached silently span, as reasons."""
    for e in range(low, high):
        for a in range(rows.shape[1]):
            for w in range((silent[e] >> 6) + 1 if rows[silent[e], a] >= 0 else 0):
                some = bits[rows[silent[e], a] + w]
                while some:
                    y = (w << 6) + lowest(some)
                    some &= some - ONE
                    if met[a, y] != tick:
                        _put(found, met, tick, a, y, silent[e], SILENT, -1)
                        queue.append((np.int32(a), np.int32(y)))


@njit(cache=True)
def reasons(grammar, edges, tried, rows, bits, x, goal, end, found, met, tick):  # type: ignore[no-untyped-def]
    """How each symbol over x ... y first came about, into `found[symbol, y]`: (left, right, middle); (body, UNIT, -1);
    (label, EDGE, -1); or (node, SILENT, -1). Where there is one, `met[symbol, y]` is `tick`.

    First come, so that no reason rests on itself; breadth first, so that derivations are shallow; no further than until
    there is one for `goal` over x ... `end`. The edges that a gap puts in come last, and then what begins or ends
    free text.
    """
    unit, unit_at, left, left_at, right, right_at, symbols, symbols_at = grammar
    label, target, at, silent, silent_at = edges
    given, calm = tried
    queue = [(np.int32(0), np.int32(0))]
    _seed(found, met, tick, queue, symbols, symbols_at, label, target, at[x], at[x] + given[x])
    _silent(found, met, tick, queue, rows, bits, silent, silent_at[x], silent_at[x] + calm[x])
    head, seeded = 1, False
    while met[goal, end] != tick:
        if head == len(queue):
            if seeded:
                break
            seeded = True
            _seed(found, met, tick, queue, symbols, symbols_at, label, target, at[x] + given[x], at[x + 1])
            _silent(found, met, tick, queue, rows, bits, silent, silent_at[x] + calm[x], silent_at[x + 1])
            continue
        b, z = queue[head]
        head += 1
        for k in range(unit_at[b], unit_at[b + 1]):
            a = unit[k, 0]
            if met[a, z] != tick:
                _put(found, met, tick, a, z, b, UNIT, -1)
                queue.append((a, z))
        for k in range(left_at[b], left_at[b + 1]):
            a, c = left[k, 0], left[k, 1]
            if z == x:  # what c spans from x on may be found later: then it finds b
                for y in range(x + 1):
                    if met[c, y] == tick and met[a, y] != tick:
                        _put(found, met, tick, a, y, b, c, x)
                        queue.append((a, np.int32(y)))
                continue
            for w in range((z >> 6) + 1 if rows[z, c] >= 0 else 0):
                some = bits[rows[z, c] + w]
                while some:
                    y = (w << 6) + lowest(some)
                    some &= some - ONE
                    if met[a, y] != tick:
                        _put(found, met, tick, a, y, b, c, z)
                        queue.append((a, np.int32(y)))
        for k in range(right_at[b], right_at[b + 1]):
            a, c = right[k, 0], right[k, 1]
            if met[c, x] == tick and met[a, z] != tick:
                _put(found, met, tick, a, z, c, b, x)
                queue.append((a, z))
