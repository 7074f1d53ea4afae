"""The compiled part of `Chart.lightest`."""

from __future__ import annotations

import numpy as np

from dllm.grammars.jit import entry, inner
from dllm.grammars.tables.weights import FAR


@entry
def lightest(productions, lattice, weight, inside):
    """The least weight of a sentence from the root to a final node, FAR at least if there is none.

    Args:
        weight: `[labels]`, of a label that a gap puts in behind another one.
        inside: `[n]` bool, whether a node is in a gap behind at least one label.
    """
    n, count = len(lattice.at) - 1, len(productions.rank)
    least = np.full((n, count, n), np.int32(FAR), dtype=np.int32)
    stale = np.zeros(count, dtype=np.bool_)
    for x in range(n):
        own = least[x]
        for e in range(lattice.silent_at[x], lattice.silent_at[x + 1]):
            z = lattice.silent[e]
            for a in range(count):
                for y in range(z + 1):
                    if least[z, a, y] < own[a, y]:
                        own[a, y] = least[z, a, y]
                        stale[a] = True
        for e in range(lattice.at[x], lattice.at[x + 1]):
            label, y = lattice.label[e], lattice.target[e]
            cost = weight[label] if inside[x] and e >= lattice.at[x] + lattice.given[x] else np.int32(0)
            for k in range(productions.symbols_at[label], productions.symbols_at[label + 1]):
                t = productions.symbols[k, 0]
                if cost < own[t, y]:
                    own[t, y] = cost
                    stale[t] = True
        busy = True
        while busy:
            busy = False
            for r in range(count):
                b = productions.by_rank[r]
                if stale[b]:
                    stale[b] = False
                    busy = _spread(productions, least, own, x, b, stale) or busy
    found = np.int32(FAR)
    for y in range(n):
        if lattice.final[y]:
            found = min(found, least[lattice.root, productions.start, y])
    return np.int64(found)


@inner
def _spread(productions, least, own, x, b, stale):
    """What follows from the weights of symbol b from node x; whether anything was new."""
    changed = False
    for k in range(productions.unit_at[b], productions.unit_at[b + 1]):
        a = productions.unit[k, 0]
        for y in range(x + 1):
            if own[b, y] < own[a, y]:
                own[a, y] = own[b, y]
                stale[a] = changed = True
    for k in range(productions.left_at[b], productions.left_at[b + 1]):
        a, c = productions.left[k, 0], productions.left[k, 1]
        for z in range(x + 1):
            if own[b, z] < FAR:
                for y in range(z + 1):
                    cost = own[b, z] + least[z, c, y]
                    if cost < own[a, y]:
                        own[a, y] = cost
                        stale[a] = changed = True
    for k in range(productions.right_at[b], productions.right_at[b + 1]):
        a, c = productions.right[k, 0], productions.right[k, 1]
        if own[c, x] < FAR:
            for y in range(x + 1):
                cost = own[c, x] + own[b, y]
                if cost < own[a, y]:
                    own[a, y] = cost
                    stale[a] = changed = True
    return changed
