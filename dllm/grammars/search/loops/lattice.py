"""From a canvas to the nodes of its lattice: the compiled part of `lattice`.

Scanner states from the left, then nodes from the right end on. What stands before a position is a row `[S]`: scanner
state -> node, or DEAD where no text goes on.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dllm.grammars.search.loops.bits import add, add_to, holds
from dllm.grammars.search.loops.nodes import (
    INSERTED,
    append,
    chain,
    flat,
    met,
    nothing,
    order,
    pool,
    put,
    size,
    tick,
    union,
    way,
)
from dllm.grammars.tables.steps import DEAD


@njit(cache=True)
def _mark(sets, chosen, low, found):  # type: ignore[no-untyped-def]
    """What is in any of the chosen sets, from `low` on: into `found`."""
    bits = np.zeros(sets.shape[1], dtype=np.uint64)
    for s in range(low, len(chosen)):
        if chosen[s]:
            for w in range(len(bits)):
                bits[w] |= sets[s, w]
    add_to(found, bits)


@njit(cache=True)
def _states(ids, opened, stops, exact, begin, class_of, at, state, onward, onward_at, reach):  # type: ignore[no-untyped-def]
    """`[n + 1, S]` bool: the scanner states that are possible before each position, and at the end."""
    silent, calm, after, plain = reach
    n, count = len(ids), len(class_of)
    found = np.zeros((n + 1, count), dtype=np.bool_)
    found[0, begin] = True
    begun = plain.copy()
    for p in range(n):
        if stops[p] >= 0:  # a closed gap
            found[stops[p]][after] = True
            _mark(silent, found[p], 0, found[stops[p]])
        elif opened[p]:
            if p == 0 or not opened[p - 1]:  # a lexeme that a given token began goes on in any way
                begun = plain.copy()
                _mark(calm, found[p], 1, begun)
            every = exact or p + 1 == n or not opened[p + 1]
            for s in range(count):
                if found[p, s]:
                    for i in range(onward_at[s], onward_at[s + 1]):
                        if every or begun[onward[i]]:
                            found[p + 1, onward[i]] = True
        elif ids[p] >= 0:
            for s in range(count):
                if found[p, s] and class_of[s, ids[p]] >= 0:
                    found[p + 1, state[at[s] + class_of[s, ids[p]]]] = True
    return found


@njit(cache=True)
def _ends(nodes, inside, final, final_at, final_labels, found):  # type: ignore[no-untyped-def]
    """Where the text ends; added to what is `found` already."""
    end = put(nodes, nothing(), True)
    for s in range(len(inside)):
        if inside[s] and final[s] >= 0:
            node = chain(nodes, final_labels, final_at[final[s]], final_at[final[s] + 1], end)
            found[s] = union(nodes, [np.int64(found[s]), node], nothing(), nothing(), nothing())


@njit(cache=True)
def _fixed(nodes, inside, after, group, class_of, at, emitted, state, labels, labels_at, found):  # type: ignore[no-untyped-def]
    """Before a token that is given."""
    known, made = nothing(), nothing()
    for s in range(len(inside)):
        if not inside[s] or class_of[s, group] < 0:
            continue
        c = at[s] + class_of[s, group]
        e, node = emitted[c], after[state[c]]
        if node == DEAD or e == 0:
            found[s] = node
            continue
        key, k = np.int64(e) << 32 | np.int64(node), 0
        while k < len(known) and known[k] != key:
            k += 1
        if k == len(known):
            known.append(key)
            made.append(chain(nodes, labels, labels_at[e], labels_at[e + 1], node))
        found[s] = made[k]


@njit(cache=True)
def _open(nodes, inside, after, most, at, emitted, state, labels, labels_at, parent, slot_of, found):  # type: ignore[no-untyped-def]
    """Before one mask, whose token emits at most so many labels.

    The emissions of a state are a tree, by their common beginnings; a node is made for each branch, the leaves first.
    `slot_of`: scratch, `[emissions]` of -1.
    """
    for s in range(len(inside)):
        if not inside[s]:
            continue
        targets, touched, low, high, kid = nothing(), nothing(), nothing(), nothing(), nothing()
        kid_way, kid_next = nothing(), nothing()
        c = at[s]
        while c < at[s + 1]:
            e, begin = emitted[c], len(targets)
            fine = labels_at[e + 1] - labels_at[e] <= most
            tick(nodes)
            while c < at[s + 1] and emitted[c] == e:
                node = after[state[c]]
                if fine and node != DEAD and not met(nodes, node):
                    targets.append(node)
                c += 1
            if len(targets) == begin:
                continue
            up = e
            while slot_of[up] < 0:
                slot_of[up] = len(touched)
                touched.append(up)
                low.append(0)
                high.append(0)
                kid.append(-1)
                if up != 0:
                    up = parent[up]
            low[slot_of[e]], high[slot_of[e]] = begin, len(targets)
        order(touched)
        for i in range(len(touched) - 1, -1, -1):
            e = touched[i]
            k = slot_of[e]
            row, j = nothing(), kid[k]
            while j >= 0:
                row.append(kid_way[j])
                j = kid_next[j]
            node = union(nodes, targets[low[k] : high[k]], nothing(), nothing(), row)
            if e == 0:
                found[s] = node
            else:
                k = slot_of[parent[e]]
                kid_way.append(way(INSERTED, node, labels[labels_at[e + 1] - 1]))
                kid_next.append(kid[k])
                kid[k] = len(kid_way) - 1
        for e in touched:
            slot_of[e] = -1


@njit(cache=True)
def _onward(steps, row, outs, middle):  # type: ignore[no-untyped-def]
    """The ways on over a row of steps: out of the gap, or to its middle."""
    step_label, step_landed, step_at = steps
    found = nothing()
    for i in range(step_at[row], step_at[row + 1]):
        if outs[step_landed[i]] != DEAD:
            found.append(way(INSERTED, outs[step_landed[i]], step_label[i]))
        if middle != DEAD:
            found.append(way(INSERTED, middle, step_label[i]))
    return found


@njit(cache=True)
def _distinct(after):  # type: ignore[no-untyped-def]
    """The nodes of a row, each once, and from which states one comes to them, as bits."""
    nodes, of = nothing(), np.full(len(after), -1, dtype=np.int64)
    for s in range(len(after)):
        k = 0
        while after[s] != DEAD and k < len(nodes) and nodes[k] != after[s]:
            k += 1
        if after[s] != DEAD:
            of[s] = k
            if k == len(nodes):
                nodes.append(after[s])
    bits = np.zeros((len(nodes), (len(after) + 63) >> 6), dtype=np.uint64)
    for s in range(len(after)):
        if of[s] >= 0:
            add(bits[of[s]], s)
    return nodes, bits


@njit(cache=True)
def _among(nodes, bits, states, free, inside, outside, found):  # type: ignore[no-untyped-def]
    """The nodes that one comes to from a set of states: those inside free text, and those outside; to those found."""
    for k in range(len(nodes)):
        for w in range(len(free)):
            both = bits[k, w] & states[w]
            if (inside and both & free[w]) or (outside and both & ~free[w]):
                found.append(nodes[k])
                break


@njit(cache=True)
def _closed(nodes, inside, after, most, calm_only, reach, found):  # type: ignore[no-untyped-def]
    """Before a closed gap; and the node inside of it, behind the first label.

    most: labels that the gap may hold; -1: any number. calm_only: no free text is begun in it that goes on behind it.
    """
    silent, calm, landed, free, first, later = reach[:6]
    steps = reach[6:9]
    beyond, bits = _distinct(after)
    outs = np.empty(len(landed), dtype=np.int64)  # where the gap may end, by the set of states it may end in
    for k in range(len(outs)):
        quiet, loud = nothing(), nothing()
        _among(beyond, bits, landed[k], free, False, True, quiet)
        _among(beyond, bits, landed[k], free, not calm_only, False, loud)
        outs[k] = union(nodes, quiet, nothing(), loud, nothing())
    middle = DEAD
    if most < 0:
        row = _onward(steps, later[0], outs, size(nodes))
        order(row)
        middle = append(nodes, row, False)
    for _ in range(most - 1):
        middle = put(nodes, _onward(steps, later[0], outs, middle), False)
    made = np.full(len(steps[2]) - 1, -2, dtype=np.int64)
    for s in range(len(inside)):
        if not inside[s]:
            continue
        if made[first[s]] == -2:
            made[first[s]] = put(nodes, _onward(steps, first[s], outs, middle), False)
        here, loud = nothing(), nothing()
        _among(beyond, bits, calm[s], free, True, True, here)
        _among(beyond, bits, silent[s], free, holds(free, s) or not calm_only, True, loud)
        found[s] = union(nodes, here, [made[first[s]]], loud, nothing())
    return middle


@njit(cache=True)
def weave(ids, opened, stops, tail, exact, labels_in, few, calm_only, limit, table, final, reach, frame):  # type: ignore[no-untyped-def]
    """The nodes of a canvas.

    ids: `[n]` groups of tokens, or -1. opened: `[n]` bool, masks of open gaps. stops: `[n]`, at the start of a closed
    gap where it stops, else -1. tail: where an end may stand. labels_in: labels that the token of an open mask emits,
    at most. few: masks up to which a closed gap holds no more labels than masks. limit: nodes, beyond which it ends.
    frame: the scanner state at the start and the labels before it; the one at the end, -1 for the end of the text, and
    the labels behind it.

    Returns:
        the nodes, as `flat` gives them; places `[n + 1, S]`; middles `[n]`, the node inside of a closed gap, by where
        it starts; whether it came to the start.
    """
    class_of, at, emitted, state, labels, labels_at, parent, onward, onward_at = table
    n, count = len(ids), len(class_of)
    near = (reach[0], reach[1], reach[9], reach[10])
    begin, before, end, behind = frame
    states = _states(ids, opened, stops, exact, begin, class_of, at, state, onward, onward_at, near)
    nodes = pool()
    places = np.full((n + 1, count), DEAD, dtype=np.int64)
    middles = np.full(n, DEAD, dtype=np.int64)
    slot_of = np.full(len(parent), -1, dtype=np.int64)
    begins = np.full(n + 1, -1, dtype=np.int64)
    for p in range(n):
        if stops[p] >= 0:
            begins[stops[p]] = p
    if end < 0:
        _ends(nodes, states[n], *final, places[n])
    else:
        places[n, end] = chain(nodes, behind, 0, len(behind), put(nodes, nothing(), True))
    p = n
    while p > 0 and size(nodes) <= limit:
        after_row = places[p]
        if begins[p] >= 0:
            width, p = p - begins[p], begins[p]
            most = width if width <= few else -1
            middles[p] = _closed(nodes, states[p], after_row, most, calm_only, reach, places[p])
            continue
        p -= 1
        if opened[p]:
            own = (at, emitted, state, labels, labels_at, parent, slot_of)
            _open(nodes, states[p], after_row, labels_in, *own, places[p])
            if p >= tail:
                _ends(nodes, states[p], *final, places[p])
        else:
            _fixed(nodes, states[p], after_row, ids[p], class_of, at, emitted, state, labels, labels_at, places[p])
    root = places[0, begin]
    if p == 0 and root != DEAD:
        root = chain(nodes, before, 0, len(before), root)
    return flat(nodes, root), places, middles, p == 0
