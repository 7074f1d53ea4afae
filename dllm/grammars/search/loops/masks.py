"""The compiled part of `dllm.grammars.search.masks`."""

from __future__ import annotations

import numpy as np

from dllm.grammars.boxing import to_python
from dllm.grammars.jit import entry, inner
from dllm.grammars.search.loops.bits import add_to, meets, packed
from dllm.grammars.search.loops.nodes import SILENT, kind_of, label_of, nothing, target_of
from dllm.grammars.tables.steps import DEAD


@entry
def live_ways(lattice, live, labels):
    """`[2, n, labels]` bool, whether an edge with a label to a node is live, from another node or from itself.

    live: `[edges]` bool, whether an edge is part of a sentence.
    """
    found = np.zeros((2, len(lattice.at) - 1, labels), dtype=np.bool_)
    for x in range(len(lattice.at) - 1):
        for e in range(lattice.at[x], lattice.at[x + 1]):
            y = lattice.target[e]
            found[np.int64(x == y), y, lattice.label[e]] |= live[e]
    return to_python(found)


@inner
def _is_live(live, number, x, target, label):
    """Whether a way from node x, or the like of it where it was copied to, is part of a sentence.

    A node that leads to itself is inside a gap, and no other way is a copy of that one.
    """
    to = number[target]
    return to != DEAD and (live[0, to, label] or (x == target and live[1, to, label]))


@entry
def alive(nodes, live):
    """`[nodes + 1]` bool: nodes from which a sentence goes on over some label, or may end; the last is for DEAD.

    live: of `live_ways`.
    """
    ways, begins, finals, number = nodes
    found = np.zeros(len(begins), dtype=np.bool_)
    for x in range(len(finals)):
        found[x] = finals[x]
        for i in range(begins[x], begins[x + 1]):
            target = target_of(ways[i])
            if kind_of(ways[i]) < SILENT:
                found[x] |= _is_live(live, number, x, target, label_of(ways[i]))
            else:
                found[x] |= found[target]
    return to_python(found)


@entry
def live_labels(nodes, live, starts):
    """`[labels]` bool: what comes first on live ways from these nodes."""
    ways, begins, _, number = nodes
    found = np.zeros(live.shape[2], dtype=np.bool_)
    met = np.zeros(len(begins), dtype=np.bool_)  # the last is for DEAD
    met[-1] = True
    queue = nothing()
    for node in starts:
        if not met[node]:
            met[node] = True
            queue.append(node)
    while len(queue) > 0:
        x = queue.pop()
        for i in range(begins[x], begins[x + 1]):
            target = target_of(ways[i])
            if kind_of(ways[i]) < SILENT:
                found[label_of(ways[i])] |= _is_live(live, number, x, target, label_of(ways[i]))
            elif not met[target]:
                met[target] = True
                queue.append(target)
    return to_python(found)


@inner
def _copied(one, other, into):
    """Whether the first two, `[2, S]`, are the same; then it is put into the third as well."""
    for part in range(2):
        for s in range(one.shape[1]):
            if one[part, s] != other[part, s]:
                return False
    for part in range(2):
        for s in range(one.shape[1]):
            into[part, s] = one[part, s]
    return True


@entry
def sweep(silent, first, later, begins, stops, ending, width, tail):
    """`[width + 1, 2, S]` bool twice: states before each mask that the left side leads to, and that lead to the right.

    The second axis says whether a label has come in the gap. Third, whether all is as in the middle from there on in
    either direction, however wide the gap: the text may end anywhere in it, or nowhere.
    """
    count = len(silent)
    before = np.zeros((width + 1, 2, count), dtype=np.bool_)
    after = np.zeros((width + 1, 2, count), dtype=np.bool_)
    for s in range(count):
        before[0, 0, s], after[width, 0, s], after[width, 1, s] = begins[s], stops[s], stops[s]
    for j in range(width):
        if j > 1 and _copied(before[j], before[j - 1], before[j + 1]):
            continue
        quiet, loud = np.zeros(silent.shape[1], dtype=np.uint64), np.zeros(silent.shape[1], dtype=np.uint64)
        for s in range(count):
            for w in range(len(quiet) if before[j, 0, s] else 0):
                quiet[w] |= silent[s, w]
                loud[w] |= first[s, w]
            for w in range(len(quiet) if before[j, 1, s] else 0):
                loud[w] |= silent[s, w] | later[s, w]
        add_to(before[j + 1, 0], quiet)
        add_to(before[j + 1, 1], loud)
    for back in range(width):
        j = width - 1 - back
        if back > 1 and (j < tail) == (j + 1 < tail) and _copied(after[j + 1], after[j + 2], after[j]):
            continue
        quiet, loud = packed(after[j + 1, 0]), packed(after[j + 1, 1])
        for s in range(count):
            may_end = j >= tail
            after[j, 0, s] = (may_end and ending[0, s]) or meets(silent[s], quiet) or meets(first[s], loud)
            after[j, 1, s] = (may_end and ending[1, s]) or meets(silent[s], loud) or meets(later[s], loud)
    middle = width >> 1
    settled = 0 < middle < width and _copied(before[middle], before[middle - 1], before[middle])
    settled = settled and _copied(after[middle], after[middle + 1], after[middle])
    for j in range(width + 1):
        for part in range(2):
            for s in range(count):
                before[j, part, s] &= after[j, part, s]
    return to_python((before, after, settled))
