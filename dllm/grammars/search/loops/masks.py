"""The compiled part of `dllm.grammars.search.masks`."""

from __future__ import annotations

import numpy as np
from numba import njit

from dllm.grammars.search.loops.bits import add_to, meets, packed
from dllm.grammars.search.loops.nodes import SILENT, kind_of, label_of, nothing, target_of
from dllm.grammars.tables.steps import DEAD


@njit(cache=True)
def alive(nodes, live):
    """`[nodes + 1]` bool: nodes from which a sentence goes on over some label, or may end; the last is for DEAD."""
    ways, begins, finals, number = nodes
    found = np.zeros(len(begins), dtype=np.bool_)
    for x in range(len(finals)):
        found[x] = finals[x]
        for i in range(begins[x], begins[x + 1]):
            target = target_of(ways[i])
            if kind_of(ways[i]) < SILENT:
                found[x] |= number[target] != DEAD and live[number[target], label_of(ways[i])]
            else:
                found[x] |= found[target]
    return found


@njit(cache=True)
def live_labels(nodes, live, starts):
    """`[labels]` bool: what comes first on live ways from these nodes."""
    ways, begins, _, number = nodes
    found = np.zeros(live.shape[1], dtype=np.bool_)
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
                found[label_of(ways[i])] |= number[target] != DEAD and live[number[target], label_of(ways[i])]
            elif not met[target]:
                met[target] = True
                queue.append(target)
    return found


@njit(cache=True)
def sweep(silent, first, later, begins, stops, ending, width, tail):
    """`[width + 1, 2, S]` bool twice: states before each mask that the left side leads to, and that lead to the right.

    The second axis says whether a label has come in the gap.
    """
    count = len(silent)
    before = np.zeros((width + 1, 2, count), dtype=np.bool_)
    after = np.zeros((width + 1, 2, count), dtype=np.bool_)
    before[0, 0] = begins
    for j in range(width):
        if j > 1 and (before[j] == before[j - 1]).all():
            before[j + 1] = before[j]
            continue
        quiet, loud = np.zeros_like(silent[0]), np.zeros_like(silent[0])
        for s in range(count):
            for w in range(len(quiet) if before[j, 0, s] else 0):
                quiet[w] |= silent[s, w]
                loud[w] |= first[s, w]
            for w in range(len(quiet) if before[j, 1, s] else 0):
                loud[w] |= silent[s, w] | later[s, w]
        add_to(before[j + 1, 0], quiet)
        add_to(before[j + 1, 1], loud)
    after[width, 0] = stops
    after[width, 1] = stops
    for back in range(width):
        j = width - 1 - back
        if back > 1 and (j < tail) == (j + 1 < tail) and (after[j + 1] == after[j + 2]).all():
            after[j] = after[j + 1]
            continue
        quiet, loud = packed(after[j + 1, 0]), packed(after[j + 1, 1])
        for s in range(count):
            may_end = j >= tail
            after[j, 0, s] = (may_end and ending[0, s]) or meets(silent[s], quiet) or meets(first[s], loud)
            after[j, 1, s] = (may_end and ending[1, s]) or meets(silent[s], loud) or meets(later[s], loud)
    for j in range(width + 1):
        before[j] &= after[j]
    return before, after
