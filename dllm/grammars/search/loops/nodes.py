"""The nodes of a lattice, made once for each content, from the right end of a canvas on. Compiled.

A node is an ascending row of ways on, each a number that holds its kind, where it leads, and its label if it has one.

They are no part of `lattice` beside this because `dllm.grammars.search.masks` reads them too: what is a node, and what
is a canvas's way to them, are two ideas.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.jit import inner
from dllm.grammars.tables.flat import Bools, Ints
from dllm.grammars.tables.steps import DEAD

SMALL = 4
"""Ways on that are copied where nodes are united; to a node with more of them a silent way leads."""
GIVEN, INSERTED, SILENT, LATER, BREAKING = 0, 1, 2, 3, 4
"""Kinds of ways: a lexeme that what is given asks for; one that a gap puts in; a node that leads on without a label;
the same, where a gap puts lexemes in; the same, where free text is begun or ended. They are tried in this order."""
_KIND, _TARGET = 60, 24
"""Where in a way its kind and its target begin. What leads further to the right comes first."""


class Lattice(NamedTuple):
    """A graph of the ways in which a canvas can be read as lexemes: nodes from the right end on.

    Attributes:
        label, target: of the edges, those of node x at `at[x]:at[x + 1]`.
        given: `[n]`, how many of a node's edges, the first ones, are not put in by a gap.
        silent: nodes that lead on for x too, without a label, at `silent_at[x]:silent_at[x + 1]`; of lower number.
        calm: `[n]`, how many of those, the first ones, neither begin nor end free text.
        final: `[n]` bool, whether the text may end at the node.
        root: the node where the text begins, or -1 if the scanner finds no text at all.
    """

    label: Ints
    target: Ints
    at: Ints
    given: Ints
    silent: Ints
    silent_at: Ints
    calm: Ints
    final: Bools
    root: int


class Nodes(NamedTuple):
    """All nodes that were made; those that a text can come by are in the lattice.

    Attributes:
        ways: of all nodes end to end, those of node x at `begins[x]:begins[x + 1]`.
        finals: whether the text may end at the node.
        number: of a node in the lattice, or DEAD; the last is for DEAD.
    """

    ways: NDArray[np.int64]
    begins: NDArray[np.int64]
    finals: Bools
    number: Ints


class Pool(NamedTuple):
    """The nodes made so far, in lists, which grow.

    Attributes:
        ways: of all nodes end to end.
        begins: where those of each node begin, and the end of the last.
        finals: whether the text may end there.
        slots: a hash table of node numbers.
        stamps, clock: to tell nodes that were met.
    """

    ways: Any
    begins: Any
    finals: Any
    slots: Any
    stamps: Any
    clock: Any


@inner
def nothing():
    """An empty list of numbers."""
    found = [np.int64(0)]
    found.pop()
    return found


@inner
def empty_pool():
    """No nodes."""
    finals = [False]
    finals.pop()
    return Pool(nothing(), [np.int64(0)], finals, [np.int64(DEAD)] * 1024, nothing(), [np.int64(0)])


@inner
def size(pool):
    return len(pool[2])


@inner
def way(kind, target, label):
    return np.int64(kind) << _KIND | np.int64(target) << _TARGET | np.int64(label)


@inner
def kind_of(one):
    return one >> _KIND


@inner
def target_of(one):
    return one >> _TARGET & ((np.int64(1) << (_KIND - _TARGET)) - 1)


@inner
def label_of(one):
    return one & ((np.int64(1) << _TARGET) - 1)


@inner
def order(values):
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


@inner
def _same(pool, node, row, final):
    ways, begins, finals = pool.ways, pool.begins, pool.finals
    if finals[node] != final or begins[node + 1] - begins[node] != len(row):
        return False
    for i in range(len(row)):
        if ways[begins[node] + i] != row[i]:
            return False
    return True


@inner
def _hash(ways, low, high, final):
    found = np.uint64(1469598103934665603) + np.uint64(final)
    for i in range(low, high):
        found = (found ^ np.uint64(ways[i])) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(32)
    return found


@inner
def _grow(pool):
    ways, begins, finals, slots = pool.ways, pool.begins, pool.finals, pool.slots
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


@inner
def append(pool, row, final):
    """A new node; the only way to have one that leads to itself."""
    for one in row:
        pool.ways.append(one)
    pool.begins.append(len(pool[0]))
    pool.finals.append(final)
    pool.stamps.append(0)
    return size(pool) - 1


@inner
def put(pool, row, final):
    """The node with these ways on (a list, which is sorted), or DEAD if nothing leads on from it."""
    order(row)
    return _found(pool, row, final)


@inner
def _found(pool, row, final):
    """The same, of a list that is in order."""
    if not final:
        if len(row) == 0:
            return DEAD
        if len(row) == 1 and kind_of(row[0]) >= SILENT:
            return target_of(row[0])
    if 2 * size(pool) > len(pool[3]):
        _grow(pool)
    slots, mask = pool.slots, np.uint64(len(pool[3]) - 1)
    at = _hash(row, np.int64(0), len(row), final) & mask
    while slots[at] != DEAD:
        if _same(pool, slots[at], row, final):
            return slots[at]
        at = (at + np.uint64(1)) & mask
    slots[at] = append(pool, row, final)
    return slots[at]


@inner
def chain(pool, labels, low, high, target):
    """The node from which `labels[low:high]` lead to `target`."""
    for i in range(high - 1, low - 1, -1):
        target = put(pool, [way(GIVEN, target, labels[i])], np.bool_(False))
    return target


@inner
def tick(pool):
    """Forget which nodes were met."""
    pool.clock[0] += 1


@inner
def met(pool, node):
    """Whether the node was met since the last tick; from now on it was."""
    if pool.stamps[node] == pool.clock[0]:
        return True
    pool.stamps[node] = pool.clock[0]
    return False


@inner
def union(pool, here, later, breaking, row):
    """The node that leads on as any of these lists of nodes do, and over the ways in `row`, which is used up."""
    ways, begins, finals = pool.ways, pool.begins, pool.finals
    final, count, only, own = np.bool_(False), 0, DEAD, len(row)
    tick(pool)
    for part, edge, silent in ((here, GIVEN, SILENT), (later, INSERTED, LATER), (breaking, INSERTED, BREAKING)):
        for node in part:
            if node == DEAD or met(pool, node):
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
    return _found(pool, row, final)


@inner
def _once(row):
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


@inner
def flat(pool, root):
    """What a text can come by from the root on, as a `Lattice`; and all `Nodes`."""
    nodes = _numbered(pool, root)
    ways, begins, finals, number = nodes
    count, edges, silents = _counted(nodes, root)
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
    return Lattice(label, target, at, given, silent, silent_at, calm, final, number[root]), nodes


@inner
def _numbered(pool, root):
    """The nodes, and of those that the root leads to, numbers in the same order."""
    ways, begins, finals = np.array(pool.ways), np.array(pool.begins), np.array(pool.finals)
    number = np.full(len(finals) + 1, DEAD, dtype=np.int32)
    if root >= 0:
        number[root] = 0
    for x in range(root, -1, -1):
        if number[x] == 0:
            for i in range(begins[x], begins[x + 1]):
                number[target_of(ways[i])] = 0
    count = 0
    for x in range(root + 1):
        if number[x] == 0:
            number[x] = count
            count += 1
    return Nodes(ways, begins, finals, number)


@inner
def _counted(nodes, root):
    """Of the nodes that have a number: how many there are, and how many edges and silent ways they have."""
    ways, begins, number = nodes.ways, nodes.begins, nodes.number
    count, edges, silents = 0, 0, 0
    for x in range(root + 1):
        if number[x] >= 0:
            count += 1
            for i in range(begins[x], begins[x + 1]):
                if kind_of(ways[i]) < SILENT:
                    edges += 1
                else:
                    silents += 1
    return count, edges, silents
