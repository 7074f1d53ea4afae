"""The compiled part of `dllm.grammars.search.strides`."""

from __future__ import annotations

import numpy as np

from dllm.grammars.boxing import to_python
from dllm.grammars.jit import entry
from dllm.grammars.search.loops.bits import add, meets, packed


@entry
def emissions_allowed(labels, labels_at, first, later):
    """`[emissions]` bool each: may it come first in the gap, and may it come later."""
    count = len(labels_at) - 1
    one, other = np.ones(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
    for e in range(count):
        for i in range(labels_at[e], labels_at[e + 1]):
            if not later[labels[i]]:
                other[e] = False
                if i > labels_at[e]:
                    one[e] = False
            if i == labels_at[e] and not first[labels[i]]:
                one[e] = False
    return to_python((one, other))


@entry
def rows_by_state(at, emitted, state, one, other):
    """`[S, words]` thrice: states that a token leads to silently; with labels that come first; that come later."""
    count = len(at) - 1
    words = (count + 63) >> 6
    silent = np.zeros((count, words), dtype=np.uint64)
    first, later = silent.copy(), silent.copy()
    for s in range(count):
        for c in range(at[s], at[s + 1]):
            e, t = emitted[c], state[c]
            if e == 0:
                add(silent[s], t)
                continue
            if one[e]:
                add(first[s], t)
            if other[e]:
                add(later[s], t)
    return to_python((silent, first, later))


@entry
def groups_between(classes, allowed, rows, before, after, order, candidates):
    """`[G]` bool: groups of which some state before leads to some state after."""
    class_of, at, emitted, state = classes
    (one, other), (silent, first, later) = allowed, rows
    quiet, loud = packed(after[0]), packed(after[1])
    found = np.zeros(class_of.shape[1], dtype=np.bool_)
    missing = candidates.copy()
    left = len(missing)
    for s in order:
        if left == 0:
            break
        early = before[0, s] and (meets(silent[s], quiet) or meets(first[s], loud))
        late = before[1, s] and (meets(silent[s], loud) or meets(later[s], loud))
        if not (early or late):
            continue
        kept = 0
        for i in range(left):
            g = missing[i]
            k, fine = class_of[s, g], False
            if k >= 0:
                e, t = emitted[at[s] + k], state[at[s] + k]
                if e == 0:
                    fine = (early and after[0, t]) or (late and after[1, t])
                else:
                    fine = after[1, t] and ((early and one[e]) or (late and other[e]))
            if fine:
                found[g] = True
            else:
                missing[kept] = g
                kept += 1
        left = kept
    return to_python(found)
