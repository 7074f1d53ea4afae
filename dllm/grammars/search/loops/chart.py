"""The compiled part of `dllm.grammars.search.chart`: a chart from below, what of it is of use, and a sentence of it.

A set of nodes is a row of 64-bit words, one bit a node. A node leads to none of a higher number than its own, so its
rows are that long and no longer; rows of nothing are not kept.

Functions on rows are given one array and where a row begins in it: a view of an array costs more than the work here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.boxing import to_python
from dllm.grammars.jit import entry, inner
from dllm.grammars.search.loops.bits import ONE, add, lowest
from dllm.grammars.tables.flat import Ints, Words

UNIT, EDGE, SILENT = -1, -2, -3
"""In a reason: one symbol over the same nodes; an edge, by its label; the same symbol from a node reached silently."""


class Derivations(NamedTuple):
    """Which symbols derive the labels of some path from one node to another.

    Attributes:
        rows: `[n, symbols]`, where in `bits` the row of a node and a symbol begins, or -1 for nothing.
        bits: rows of words, those of node x are `(x >> 6) + 1` long; bit y where the symbol derives a path from x to y.
        has: `[symbols, words]`, bit x where node x has a row.
        first: `[n, symbols]`, the first word of a row that is not 0. Rows of an item of a long list are nearly empty,
            and a list asks for one at each of its items.
    """

    rows: NDArray[np.int64]
    bits: Words
    has: Words
    first: Ints


class Reasons(NamedTuple):
    """How symbols came about over the paths from one node, by the symbol and where they end.

    Attributes:
        how: `[symbols, n, 3]`: (left, right, middle); (body, UNIT, -1); (label, EDGE, -1); or (node, SILENT, -1).
        met: `[symbols, n]`, the node's tick where there is one.
    """

    how: Ints
    met: Ints


@inner
def within(bits, row, y):
    """Whether node y is in the row that begins at `row`; a row of -1 is nothing."""
    return row >= 0 and (bits[row + (y >> 6)] >> np.uint64(y & 63)) & ONE != 0


@inner
def _or(into, at, bits, begin, first, words):
    """Add the row at `begin` to the one at `at`, from the word `first` on; whether that changed it."""
    changed = np.uint64(0)
    for w in range(first, words):
        more = bits[begin + w] & ~into[at + w]
        into[at + w] |= more
        changed |= more
    return changed != 0


@inner
def _adds(bits, begin, one, other, at, words):
    """Whether the row at `begin` holds anything that neither of the two at `at` holds."""
    for w in range(words):
        if bits[begin + w] & ~(one[at + w] | other[at + w]):
            return True
    return False


@inner
def _pop(pending):
    """The lowest rank, or -1."""
    for w in range(len(pending)):
        if pending[w]:
            found = (w << 6) + lowest(pending[w])
            pending[w] &= pending[w] - ONE
            return found
    return -1


@inner
def _take(waiting, at, known, begin, new, words):
    """Move what is waiting and not known to `new` and to what is known; whether there was any."""
    fresh = np.uint64(0)
    for w in range(words):
        new[w] = waiting[at + w] & ~known[begin + w]
        known[begin + w] |= new[w]
        waiting[at + w] = 0
        fresh |= new[w]
    return fresh != 0


@inner
def _go_on(b, productions, rows, first, bits, most, known, new, words):
    """Follow `b -> b c` from all that is new of b, as far as it leads, so that a list is followed in one go.

    Only over nodes that are done: they lead on to lower ones.
    """
    left, begin, end = productions.left, productions.left_at[b], productions.left_at[b + 1]
    width = len(known) // len(productions.rank)
    own = b * width
    for w in range(words - 1, -1, -1):
        if new[w] == 0:
            continue
        more = False
        for k in range(begin, end):
            more = more or (left[k, 0] == b and _adds(most, left[k, 1] * width, known, known, own, words))
        if not more:
            return
        some = new[w]
        while some:
            z = (w << 6) + lowest(some)
            some &= some - ONE
            for k in range(begin, end):
                c = left[k, 1]
                if left[k, 0] != b or rows[z, c] < 0:
                    continue
                for u in range(first[z, c], (z >> 6) + 1):
                    fresh = bits[rows[z, c] + u] & ~known[own + u]
                    known[own + u] |= fresh
                    new[u] |= fresh
                    if u == w:
                        some |= fresh


@inner
def _keep(x, known, rows, first, bits, size, has, most):
    """Put what is known of node x behind the rows there are, and clear `known`; the rows, perhaps in a larger array."""
    words, width = (x >> 6) + 1, has.shape[1]
    for a in range(len(has)):
        at, some = a * width, np.uint64(0)
        for w in range(words):
            some |= known[at + w]
        if some == 0:
            continue
        if size + words > len(bits):
            larger = np.empty(2 * len(bits) + words, dtype=np.uint64)
            for w in range(size):
                larger[w] = bits[w]
            bits = larger
        rows[x, a] = size
        while known[at + first[x, a]] == 0:
            first[x, a] += 1
        for w in range(words):
            bits[size + w] = known[at + w]
            most[at + w] |= known[at + w]
            known[at + w] = 0
        size += words
        has[a, x >> 6] |= ONE << np.uint64(x & 63)
    return bits, size


@entry
def inside(productions, lattice, room):
    """The `Derivations` of a `ProductionTable` in a `Lattice`. With more than `room` words of bits it stops: then there
    are no rows."""
    unit, unit_at, left, left_at = productions.unit, productions.unit_at, productions.left, productions.left_at
    right, right_at = productions.right, productions.right_at
    symbols, symbols_at = productions.symbols, productions.symbols_at
    by_rank, rank = productions.by_rank, productions.rank
    label, target, at, silent, silent_at = lattice.label, lattice.target, lattice.at, lattice.silent, lattice.silent_at
    n, count, width = len(at) - 1, len(rank), (len(at) + 62) >> 6
    rows, first = np.empty((n, count), dtype=np.int64), np.empty((n, count), dtype=np.int32)
    bits, size = np.empty(1 << 17, dtype=np.uint64), np.int64(0)  # only what is written costs anything
    has = np.zeros((count, width), dtype=np.uint64)
    known = np.zeros(count * width, dtype=np.uint64)
    waiting = np.zeros(count * width, dtype=np.uint64)
    most = np.zeros(count * width, dtype=np.uint64)  # of any row of the symbol: what it can add at most
    new = np.zeros(width, dtype=np.uint64)
    pending = np.zeros((count + 63) >> 6, dtype=np.uint64)
    for x in range(n):
        words, loops = (x >> 6) + 1, False
        rows[x], first[x] = -1, 0
        for e in range(silent_at[x], silent_at[x + 1]):
            z = silent[e]
            for a in range(count):  # all that follows from it is in the rows of z too
                if rows[z, a] >= 0:
                    _or(known, a * width, bits, rows[z, a], first[z, a], (z >> 6) + 1)
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
            _go_on(b, productions, rows, first, bits, most, known, new, words)
            for k in range(unit_at[b], unit_at[b + 1]):
                a = unit[k, 0]
                if _or(waiting, a * width, new, 0, 0, words):
                    add(pending, rank[a])
            for k in range(left_at[b], left_at[b + 1]):
                a, c = left[k, 0], left[k, 1]
                changed = False
                for w in range(words - 1 if a != b else -1, -1, -1):  # long rows first
                    some = new[w] & has[c, w]
                    if some and not _adds(most, c * width, known, waiting, a * width, words):
                        break
                    while some:
                        z = (w << 6) + lowest(some)
                        some &= some - ONE
                        more = _or(waiting, a * width, bits, rows[z, c], first[z, c], (z >> 6) + 1)
                        changed = changed or more
                if loops and (new[x >> 6] >> np.uint64(x & 63)) & ONE:
                    changed = _or(waiting, a * width, known, c * width, 0, words) or changed
                if changed:
                    add(pending, rank[a])
            if loops:
                for k in range(right_at[b], right_at[b + 1]):
                    a, c = right[k, 0], right[k, 1]
                    before = known[c * width + (x >> 6)] >> np.uint64(x & 63) & ONE
                    if before and _or(waiting, a * width, new, 0, 0, words):
                        add(pending, rank[a])
        bits, size = _keep(x, known, rows, first, bits, size, has, most)
        if size > room:
            return to_python((rows[:0], bits[:0], has, first))
    return to_python((rows, bits[:size].copy(), has, first))


@entry
def outside(productions, lattice, derivations, ends):
    """Of the derivations, those that are part of a sentence from the root to one of `ends`; in the form of `bits`."""
    body, body_at, by_rank, rank = productions.body, productions.body_at, productions.by_rank, productions.rank
    rows, bits, has, first = derivations
    silent, silent_at, root = lattice.silent, lattice.silent_at, lattice.root
    count, width = rows.shape[1], has.shape[1]
    used = np.zeros_like(bits)
    waiting = np.zeros(count * width, dtype=np.uint64)
    new = np.zeros(width, dtype=np.uint64)
    pending = np.zeros((count + 63) >> 6, dtype=np.uint64)
    for y in ends:
        used[rows[root, productions.start] + (y >> 6)] |= ONE << np.uint64(y & 63)
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
                        for u in range(first[z, c], (z >> 6) + 1):
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
    return to_python(used)


@entry
def live_edges(productions, lattice, rows, used):
    """`[edges]` bool: which edges are a terminal that is used."""
    symbols, symbols_at = productions.symbols, productions.symbols_at
    label, target, at = lattice.label, lattice.target, lattice.at
    found = np.zeros(len(label), dtype=np.bool_)
    for x in range(len(at) - 1):
        for e in range(at[x], at[x + 1]):
            for k in range(symbols_at[label[e]], symbols_at[label[e] + 1]):
                found[e] = found[e] or within(used, rows[x, symbols[k, 0]], target[e])
    return to_python(found)


@entry
def sentence(productions, lattice, derivations, end):
    """The labels of a sentence from the root to the node `end`; see `Chart.sentence`."""
    why = np.empty((len(productions.rank), lattice.root + 1, 3), dtype=np.int32)
    reasons = Reasons(why, np.zeros(why.shape[:2], dtype=np.int32))
    found = [np.int32(0)]
    found.pop()
    stack = [(np.int64(lattice.root), np.int64(productions.start), np.int64(end))]
    at, tick = np.int64(-1), np.int64(0)
    while len(stack) > 0:  # leftmost first, so that a node is not met again once it is left
        x, symbol, y = stack.pop()
        onward = _silently(lattice, derivations, x, symbol, y)
        if onward >= 0:
            stack.append((onward, symbol, y))
            continue
        if x != at or reasons.met[symbol, y] != tick:
            at, tick = x, tick + 1
            _explain(productions, lattice, derivations, x, symbol, y, reasons, tick)
        one, other, middle = np.int64(why[symbol, y, 0]), np.int64(why[symbol, y, 1]), np.int64(why[symbol, y, 2])
        if other == SILENT:
            stack.append((one, symbol, y))
        elif middle >= 0:
            stack.append((middle, other, y))
            stack.append((x, one, middle))
        elif other == UNIT:
            stack.append((x, one, y))
        else:
            found.append(np.int32(one))
    return to_python(np.array(found))


@inner
def _silently(lattice, derivations, x, symbol, y):
    """A node reached silently and calmly from x where the symbol leads to y too, or -1."""
    begin = lattice.silent_at[x]
    for i in range(begin, begin + lattice.calm[x]):
        z = np.int64(lattice.silent[i])
        if y <= z and within(derivations.bits, derivations.rows[z, symbol], y):
            return z
    return np.int64(-1)


@inner
def _put(reasons, tick, a, y, one, other, middle):
    reasons.met[a, y] = tick
    reasons.how[a, y, 0], reasons.how[a, y, 1], reasons.how[a, y, 2] = one, other, middle


@inner
def _by_edges(reasons, tick, queue, productions, lattice, low, high):
    """The terminals of the edges `low:high` as reasons."""
    symbols, symbols_at = productions.symbols, productions.symbols_at
    for e in range(low, high):
        label, y = lattice.label[e], lattice.target[e]
        for k in range(symbols_at[label], symbols_at[label + 1]):
            t = symbols[k, 0]
            if reasons.met[t, y] != tick:
                _put(reasons, tick, t, y, label, EDGE, -1)
                queue.append((t, y))


@inner
def _by_silence(reasons, tick, queue, derivations, nodes):
    """What is derived from nodes that are reached silently, as reasons."""
    rows, bits, met = derivations.rows, derivations.bits, reasons.met
    for z in nodes:
        for a in range(rows.shape[1]):
            for w in range((z >> 6) + 1 if rows[z, a] >= 0 else 0):
                some = bits[rows[z, a] + w]
                while some:
                    y = (w << 6) + lowest(some)
                    some &= some - ONE
                    if met[a, y] != tick:
                        _put(reasons, tick, a, y, z, SILENT, -1)
                        queue.append((np.int32(a), np.int32(y)))


@inner
def _explain(productions, lattice, derivations, x, goal, end, reasons, tick):
    """How each symbol over x ... y first came about, into `reasons`; where it did, `met[symbol, y]` is `tick`.

    First come, so that no reason rests on itself; breadth first, so that derivations are shallow; no further than until
    there is one for `goal` over x ... `end`. The edges that a gap puts in come last, and then what begins or ends
    free text.
    """
    unit, unit_at, left, left_at = productions.unit, productions.unit_at, productions.left, productions.left_at
    right, right_at = productions.right, productions.right_at
    rows, bits, met = derivations.rows, derivations.bits, reasons.met
    given, calm = lattice.at[x] + lattice.given[x], lattice.silent_at[x] + lattice.calm[x]
    queue = [(np.int32(0), np.int32(0))]
    _by_edges(reasons, tick, queue, productions, lattice, np.int64(lattice.at[x]), given)
    _by_silence(reasons, tick, queue, derivations, lattice.silent[lattice.silent_at[x] : calm])
    head, seeded = 1, False
    while met[goal, end] != tick:
        if head == len(queue):
            if seeded:
                break
            seeded = True
            _by_edges(reasons, tick, queue, productions, lattice, given, np.int64(lattice.at[x + 1]))
            _by_silence(reasons, tick, queue, derivations, lattice.silent[calm : lattice.silent_at[x + 1]])
            continue
        b, z = queue[head]
        head += 1
        for k in range(unit_at[b], unit_at[b + 1]):
            a = unit[k, 0]
            if met[a, z] != tick:
                _put(reasons, tick, a, z, b, UNIT, -1)
                queue.append((a, z))
        for k in range(left_at[b], left_at[b + 1]):
            a, c = left[k, 0], left[k, 1]
            if z == x:  # what c derives from x on may be found later: then it finds b
                for y in range(x + 1):
                    if met[c, y] == tick and met[a, y] != tick:
                        _put(reasons, tick, a, y, b, c, x)
                        queue.append((a, np.int32(y)))
                continue
            for w in range((z >> 6) + 1 if rows[z, c] >= 0 else 0):
                some = bits[rows[z, c] + w]
                while some:
                    y = (w << 6) + lowest(some)
                    some &= some - ONE
                    if met[a, y] != tick:
                        _put(reasons, tick, a, y, b, c, z)
                        queue.append((a, np.int32(y)))
        for k in range(right_at[b], right_at[b + 1]):
            a, c = right[k, 0], right[k, 1]
            if met[c, x] == tick and met[a, z] != tick:
                _put(reasons, tick, a, z, c, b, x)
                queue.append((a, z))
