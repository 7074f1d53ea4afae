"""The nodes of a lattice, made once for each content, from the right end of a canvas on. Compiled.

A node is an ascending row of ways on, each a number that holds its kind, where it leads, and its label if it has one.
The nodes made so far are a tuple of lists, the *pool*: `ways` of all nodes end to end; `begins`, where each node's
begin (and the end of the last); `finals`, whether the text may end there; `slots`, a hash table of node numbers;
`stamps` and `clock`, to tell nodes that were met.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dllm.grammars.tables.steps import DEAD

SMALL = 4
"""Ways on that are copied where nodes are united; to a node with more of them a silent way leads."""
GIVEN, INSERTED, SILENT, LATER, BREAKING = 0, 1, 2, 3, 4
"""Kinds of ways: a lexeme that what is given asks for; one that a gap puts in; a node that leads on without a label;
the same, where a gap puts lexemes in; the same, where free text is begun or ended. They are tried in this order."""
_KIND, _TARGET = 60, 24
"""Where in a way its kind and its target begin. What leads further to the right comes first."""


@njit(cache=True)
def nothing():  # type: ignore[no-untyped-def]
    """An empty list of numbers."""
    found = [np.int64(0)]
    found.pop()
    return found


@njit(cache=True)
def pool():  # type: ignore[no-untyped-def]
    """No nodes."""
    finals = [False]
    finals.pop()
    return nothing(), [np.int64(0)], finals, [np.int64(DEAD)] * 1024, nothing(), [np.int64(0)]


@njit(cache=True)
def size(nodes):  # type: ignore[no-untyped-def]
    return len(nodes[2])


@njit(cache=True)
def way(kind, target, label):  # type: ignore[no-untyped-def]
    return np.int64(kind) << _KIND | np.int64(target) << _TARGET | np.int64(label)


@njit(cache=True)
def kind_of(one):  # type: ignore[no-untyped-def]
    return one >> _KIND


@njit(cache=True)
def target_of(one):  # type: ignore[no-untyped-def]
    return one >> _TARGET & ((np.int64(1) << (_KIND - _TARGET)) - 1)


@njit(cache=True)
def label_of(one):  # type: ignore[no-untyped-def]
    return one & ((np.int64(1) << _TARGET) - 1)


@njit(cache=True)
def order(values):  # type: ignore[no-untyped-def]
    """Sort a list in place, each value once."""
    count = len(values)
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap:
        for i in range(gap, count):
            one, j = values[i], i
            while j >= gap and values[j - gap] > one:
                values[j] = values[j - gap]
                j -= gap
            values[j] = one
        gap //= 3
    kept = min(1, count)
    for i in range(1, count):
        if values[i] != values[kept - 1]:
            values[kept] = values[i]
            kept += 1
    while len(values) > kept:
        values.pop()


@njit(cache=True)
def _same(nodes, node, row, final):  # type: ignore[no-untyped-def]
    ways, begins, finals = nodes[0], nodes[1], nodes[2]
    if finals[node] != final or begins[node + 1] - begins[node] != len(row):
        return False
    for i in range(len(row)):  # noqa: SIM110 (compiled)
        if ways[begins[node] + i] != row[i]:
            return False
    return True


@njit(cache=True)
def _hash(ways, low, high, final):  # type: ignore[no-untyped-def]
    found = np.uint64(1469598103934665603) + np.uint64(final)
    for i in range(low, high):
        found = (found ^ np.uint64(ways[i])) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(32)
    return found


@njit(cache=True)
def _grow(nodes):  # type: ignore[no-untyped-def]
    ways, begins, finals, slots = nodes[0], nodes[1], nodes[2], nodes[3]
    for _ in range(3 * len(slots)):
        slots.append(DEAD)
    for i in range(len(slots)):
        slots[i] = DEAD
    mask = np.uint64(len(slots) - 1)
    for node in range(len(finals)):
        at = _hash(ways, begins[node], begins[node + 1], finals[node]) & mask
        while slots[at] != DEAD:
            at = (at + np.uint64(1)) & mask
        slots[at] = node


@njit(cache=True)
def append(nodes, row, final):  # type: ignore[no-untyped-def]
    """A new node; the only way to have one that leads to itself."""
    for one in row:
        nodes[0].append(one)
    nodes[1].append(len(nodes[0]))
    nodes[2].append(final)
    nodes[4].append(0)
    return size(nodes) - 1


@njit(cache=True)
def put(nodes, row, final):  # type: ignore[no-untyped-def]
    """The node with these ways on (a list, which is sorted), or DEAD if nothing leads on from it."""
    order(row)
    return _found(nodes, row, final)


@njit(cache=True)
def _found(nodes, row, final):  # type: ignore[no-untyped-def]
    """The same, of a list that is in order."""
    if not final:
        if len(row) == 0:
            return DEAD
        if len(row) == 1 and kind_of(row[0]) >= SILENT:
            return target_of(row[0])
    if 2 * size(nodes) > len(nodes[3]):
        _grow(nodes)
    slots, mask = nodes[3], np.uint64(len(nodes[3]) - 1)
    at = _hash(row, 0, len(row), final) & mask
    while slots[at] != DEAD:
        if _same(nodes, slots[at], row, final):
            return slots[at]
        at = (at + np.uint64(1)) & mask
    slots[at] = append(nodes, row, final)
    return slots[at]


@njit(cache=True)
def chain(nodes, labels, low, high, target):  # type: ignore[no-untyped-def]
    """The node from which `labels[low:high]` lead to `target`."""
    for i in range(high - 1, low - 1, -1):
        target = put(nodes, [way(GIVEN, target, labels[i])], False)
    return target


@njit(cache=True)
def tick(nodes):  # type: ignore[no-untyped-def]
    """Forget which nodes were met."""
    nodes[5][0] += 1


@njit(cache=True)
def met(nodes, node):  # type: ignore[no-untyped-def]
    """Whether the node was met since the last tick; from now on it was."""
    if nodes[4][node] == nodes[5][0]:
        return True
    nodes[4][node] = nodes[5][0]
    return False


@njit(cache=True)
def union(nodes, here, later, breaking, row):  # type: ignore[no-untyped-def]
    """The node that leads on as any of these lists of nodes do, and over the ways in `row`, which is used up."""
    ways, begins, finals = nodes[0], nodes[1], nodes[2]
    final, count, only, own = False, 0, DEAD, len(row)
    tick(nodes)
    for part, edge, silent in ((here, GIVEN, SILENT), (later, INSERTED, LATER), (breaking, INSERTED, BREAKING)):
        for node in part:
            if node == DEAD or met(nodes, node):
                continue
            count, only = count + 1, node
            final = final or finals[node]
            if begins[node + 1] - begins[node] > SMALL:
                row.append(way(silent, node, 0))
                continue
            for i in range(begins[node], begins[node + 1]):
                kind, rest = kind_of(ways[i]), ways[i] & ((np.int64(1) << _KIND) - 1)
                row.append(np.int64(max(kind, edge if kind < SILENT else silent)) << _KIND | rest)
    if count == 1 and own == 0:
        return only
    order(row)
    _once(row)
    return _found(nodes, row, final)


@njit(cache=True)
def _once(row):  # type: ignore[no-untyped-def]
    """To a node that leads on silently, one way only; of a list that is in order, and stays so."""
    kept, first = 0, 0
    for i in range(len(row)):
        double = False
        if kind_of(row[i]) >= SILENT:
            for j in range(first, kept):
                double = double or target_of(row[j]) == target_of(row[i])
        else:
            first = kept + 1
        if not double:
            row[kept] = row[i]
            kept += 1
    while len(row) > kept:
        row.pop()


@njit(cache=True)
def flat(nodes, root):  # type: ignore[no-untyped-def]
    """All ways, where each node's begin, and whether it is final; and what a text can come by: `chart.Lattice`.

    Of that come, in the same order: label and target of the edges, where each node's begin, how many of them are given;
    the silent ways, where each node's begin, how many of them are calm; whether the text may end; the root. Then the
    number of each node, or DEAD.
    """
    ways, begins, finals = np.array(nodes[0]), np.array(nodes[1]), np.array(nodes[2])
    number = np.full(len(finals) + 1, DEAD, dtype=np.int32)  # the last is for DEAD
    if root >= 0:
        number[root] = 0
    for x in range(root, -1, -1):
        if number[x] == 0:
            for i in range(begins[x], begins[x + 1]):
                number[target_of(ways[i])] = 0
    count, edges, silents = 0, 0, 0
    for x in range(root + 1):
        if number[x] == 0:
            number[x] = count
            count += 1
            for i in range(begins[x], begins[x + 1]):
                if kind_of(ways[i]) < SILENT:
                    edges += 1
                else:
                    silents += 1
    label, target = np.empty(edges, dtype=np.int32), np.empty(edges, dtype=np.int32)
    silent, final = np.empty(silents, dtype=np.int32), np.zeros(count, dtype=np.bool_)
    at, silent_at = np.zeros(count + 1, dtype=np.int32), np.zeros(count + 1, dtype=np.int32)
    given, calm = np.zeros(count, dtype=np.int32), np.zeros(count, dtype=np.int32)
    edges, silents = 0, 0
    for x in range(root + 1):
        own = number[x]
        if own < 0:
            continue
        final[own] = finals[x]
        for i in range(begins[x], begins[x + 1]):
            kind, onward = kind_of(ways[i]), number[target_of(ways[i])]
            if kind < SILENT:
                label[edges], target[edges] = label_of(ways[i]), onward
                given[own] += kind == GIVEN
                edges += 1
            else:
                silent[silents] = onward
                calm[own] += kind == SILENT
                silents += 1
        at[own + 1], silent_at[own + 1] = edges, silents
    return ways, begins, finals, (label, target, at, given, silent, silent_at, calm, final, number[root]), number
