"""From a canvas to the nodes of its lattice: the compiled part of `dllm.grammars.search.lattice`.

Scanner states from the left, then nodes from the right end on. What stands before a position is a row `[S]`: scanner
state -> node, or DEAD where no text goes on. Given text leaves few states possible, so only those are kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.boxing import to_python
from dllm.grammars.jit import entry, inner
from dllm.grammars.search.loops.bits import ONE, add, add_to, holds, lowest
from dllm.grammars.search.loops.nodes import (
    INSERTED,
    append,
    chain,
    empty_pool,
    flat,
    met,
    nothing,
    order,
    put,
    size,
    tick,
    union,
    way,
)
from dllm.grammars.tables.flat import Bools, Ints
from dllm.grammars.tables.steps import DEAD


class Reading(NamedTuple):
    """A canvas, and how its gaps are taken.

    Attributes:
        ids: `[n]`, groups of tokens, or MASK.
        opened: `[n]`, masks of open gaps.
        stops: `[n]`, at the start of a closed gap where it stops, else -1.
        tail: where an end may stand.
    """

    ids: Ints
    opened: Bools
    stops: NDArray[np.int64]
    tail: int


class Bounds(NamedTuple):
    """What is taken to stand in gaps, at most.

    Attributes:
        exact: whether lexemes may lie between the masks of an open gap in every way, or in plain ways only.
        labels: that the token of an open mask emits.
        few: masks up to which a closed gap holds no more labels than masks.
        calm_only: no free text is begun in a closed gap that goes on behind it.
        nodes: that are made, beyond which it ends.
    """

    exact: bool
    labels: int
    few: int
    calm_only: bool
    nodes: int


class Frame(NamedTuple):
    """What stands on either side of a piece of a canvas.

    Attributes:
        begin: scanner state at its start.
        before: labels emitted up to there.
        end: scanner state at its end; -1: the text ends.
        behind: labels emitted from there on.
    """

    begin: int
    before: Ints
    end: int
    behind: Ints


class _Branches(NamedTuple):
    """The emissions of a scanner state as a tree, by their common beginnings; in lists, those met first come first.

    Attributes:
        targets: nodes that tokens lead to, those of one emission side by side.
        touched: the emissions, and their beginnings.
        low, high: of each of those, where its targets are.
        kid: of each of those, the last of the branches that go on from it, in the next two; or -1.
        kid_way, kid_next: of a branch, the way to it, and the branch before it.
    """

    targets: Any
    touched: Any
    low: Any
    high: Any
    kid: Any
    kid_way: Any
    kid_next: Any


@entry
def build_nodes(reading, bounds, frame, tokens, onward, endings, reach):
    """The nodes of a canvas, from its right end on.

    reading, bounds, frame: `Reading`, `Bounds` and `Frame`. tokens, onward, endings: of a `TokenTable`. reach:
    `Reach.sets`.

    Returns:
        the lattice and the nodes, as `flat` gives them; the places, as in `Layout`; middles `[n]`, the node inside of a
        closed gap, by where it starts; whether it came to the start.
    """
    n, count = len(reading.ids), len(tokens.class_of)
    starts, states = _states(reading, bounds.exact, frame.begin, tokens, onward, reach)
    begins = _begins(reading.stops)
    pool = empty_pool()
    nodes = np.full(len(states), DEAD, dtype=np.int64)
    middles = np.full(n, DEAD, dtype=np.int64)
    slot_of = np.full(len(tokens.parent), -1, dtype=np.int64)
    row, other = np.full(count, DEAD, dtype=np.int64), np.full(count, DEAD, dtype=np.int64)
    inside = states[starts[n] : starts[n + 1]]
    if frame.end < 0:
        _ends(pool, inside, endings, row)
    else:
        end = put(pool, nothing(), np.bool_(True))
        own = chain(pool, frame.behind, np.int64(0), len(frame.behind), end)
        for s in inside:
            row[s] = own if s == frame.end else DEAD
    _keep(row, inside, nodes[starts[n] :])
    p = n
    while p > 0 and size(pool) <= bounds.nodes:
        after, beyond, row = row, inside, other
        if begins[p] >= 0:
            width, p = p - begins[p], begins[p]
            most = width if width <= bounds.few else -1
            inside = states[starts[p] : starts[p + 1]]
            middles[p] = _closed(pool, inside, after, most, bounds.calm_only, reach, row)
        else:
            p -= 1
            inside = states[starts[p] : starts[p + 1]]
            if reading.opened[p]:
                _open(pool, inside, after, bounds.labels, tokens, slot_of, row)
                if p >= reading.tail:
                    _ends(pool, inside, endings, row)
            else:
                _fixed(pool, inside, after, reading.ids[p], tokens, row)
        _keep(row, inside, nodes[starts[p] :])
        other = after
        for s in beyond:
            other[s] = DEAD
    root = row[frame.begin] if p == 0 else DEAD
    if root != DEAD:
        root = chain(pool, frame.before, np.int64(0), len(frame.before), root)
    return to_python((flat(pool, root), (starts, states, nodes), middles, p == 0))


@inner
def _keep(row, inside, nodes):
    """The nodes of a row, of the states that are possible there."""
    for i in range(len(inside)):
        nodes[i] = row[inside[i]]


@inner
def _begins(stops):
    """`[n + 1]`: where a closed gap stops, where it starts; else -1."""
    found = np.full(len(stops) + 1, -1, dtype=np.int64)
    for p in range(len(stops)):
        if stops[p] >= 0:
            found[stops[p]] = p
    return found


@inner
def _states(reading, exact, begin, tokens, onward, reach):
    """The scanner states that are possible before each position, and at the end, in ascending order: those before
    position p from `starts[p]` to `starts[p + 1]`."""
    ids, opened, stops = reading.ids, reading.opened, reading.stops
    class_of, at, state = tokens.class_of, tokens.at, tokens.state
    after, after_at = onward
    n, count = len(ids), len(class_of)
    starts, found = np.zeros(n + 2, dtype=np.int64), [np.int64(begin)]
    row = np.zeros((count + 63) >> 6, dtype=np.uint64)
    begun = reach.plain.copy()
    p, starts[1] = 0, 1
    while p < n:
        low, high, onto = starts[p], starts[p + 1], p + 1
        if stops[p] >= 0:  # a closed gap
            onto = stops[p]
            starts[p + 2 : onto + 1] = high
            for s in reach.after:
                add(row, s)
            for i in range(low, high):
                for w in range(len(row)):
                    row[w] |= reach.silent[found[i], w]
        elif opened[p]:
            if p == 0 or not opened[p - 1]:  # a lexeme that a given token began goes on in any way
                begun = reach.plain.copy()
                for i in range(low, high):
                    if found[i]:
                        add_to(begun, reach.calm[found[i]])
            every = exact or p + 1 == n or not opened[p + 1]
            for i in range(low, high):
                for k in range(after_at[found[i]], after_at[found[i] + 1]):
                    if every or begun[after[k]]:
                        add(row, after[k])
        elif ids[p] >= 0:
            for i in range(low, high):
                c = class_of[found[i], ids[p]]
                if c >= 0:
                    add(row, state[at[found[i]] + c])
        for w in range(len(row)):
            while row[w]:
                found.append(np.int64((w << 6) + lowest(row[w])))
                row[w] &= row[w] - ONE
        p = onto
        starts[p + 1] = len(found)
    return starts, np.array(found)


@inner
def _ends(pool, inside, endings, found):
    """Where the text ends; added to what is `found` already."""
    final, at, labels = endings
    end = put(pool, nothing(), np.bool_(True))
    for s in inside:
        if final[s] >= 0:
            node = chain(pool, labels, np.int64(at[final[s]]), np.int64(at[final[s] + 1]), end)
            found[s] = union(pool, [np.int64(found[s]), node], nothing(), nothing(), nothing())


@inner
def _fixed(pool, inside, after, group, tokens, found):
    """Before a token that is given."""
    class_of, at, emitted, state = tokens.class_of, tokens.at, tokens.emitted, tokens.state
    known, made = nothing(), nothing()
    for s in inside:
        if class_of[s, group] < 0:
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
            low, high = np.int64(tokens.labels_at[e]), np.int64(tokens.labels_at[e + 1])
            made.append(chain(pool, tokens.labels, low, high, node))
        found[s] = made[k]


@inner
def _open(pool, inside, after, most, tokens, slot_of, found):
    """Before one mask, whose token emits at most so many labels. `slot_of`: scratch, `[emissions]` of -1."""
    for s in inside:
        branches = _Branches(nothing(), nothing(), nothing(), nothing(), nothing(), nothing(), nothing())
        _branch(pool, s, after, most, tokens, slot_of, branches)
        _unite(pool, tokens, slot_of, branches, found, s)
        for e in branches.touched:
            slot_of[e] = -1


@inner
def _branch(pool, s, after, most, tokens, slot_of, branches):
    """The emissions of the tokens that are possible in state s; `slot_of` says where each is among those touched."""
    at, emitted, state = tokens.at, tokens.emitted, tokens.state
    targets, touched, low, high, kid = branches[:5]
    c = at[s]
    while c < at[s + 1]:
        e, begin = emitted[c], len(targets)
        fine = tokens.labels_at[e + 1] - tokens.labels_at[e] <= most
        tick(pool)
        while c < at[s + 1] and emitted[c] == e:
            node = after[state[c]]
            if fine and node != DEAD and not met(pool, node):
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
                up = tokens.parent[up]
        low[slot_of[e]], high[slot_of[e]] = begin, len(targets)


@inner
def _unite(pool, tokens, slot_of, branches, found, s):
    """A node for each branch, the leaves first; that of the trunk is the one before state s."""
    targets, touched, low, high, kid, kid_way, kid_next = branches
    order(touched)
    for i in range(len(touched) - 1, -1, -1):
        e = touched[i]
        k = slot_of[e]
        row, j = nothing(), kid[k]
        while j >= 0:
            row.append(kid_way[j])
            j = kid_next[j]
        node = union(pool, targets[low[k] : high[k]], nothing(), nothing(), row)
        if e == 0:
            found[s] = node
        else:
            k = slot_of[tokens.parent[e]]
            kid_way.append(way(INSERTED, node, tokens.labels[tokens.labels_at[e + 1] - 1]))
            kid_next.append(kid[k])
            kid[k] = len(kid_way) - 1


@inner
def _over_steps(reach, row, outs, middle):
    """The ways on over a row of steps: out of the gap, or to its middle."""
    label, landed, at = reach.step_label, reach.step_landed, reach.step_at
    found = nothing()
    for i in range(at[row], at[row + 1]):
        if outs[landed[i]] != DEAD:
            found.append(way(INSERTED, outs[landed[i]], label[i]))
        if middle != DEAD:
            found.append(way(INSERTED, middle, label[i]))
    return found


@inner
def _distinct(after):
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


@inner
def _among(beyond, states, free, inside, outside, found):
    """The nodes that one comes to from a set of states: those inside free text, and those outside; to those found."""
    nodes, bits = beyond
    for k in range(len(nodes)):
        for w in range(len(free)):
            both = bits[k, w] & states[w]
            if (inside and both & free[w]) or (outside and both & ~free[w]):
                found.append(nodes[k])
                break


@inner
def _outs(pool, beyond, calm_only, reach):
    """Where a gap may end: the node that leads on, by the set of states that it may end in."""
    found = np.empty(len(reach.landed), dtype=np.int64)
    for k in range(len(found)):
        quiet, loud = nothing(), nothing()
        _among(beyond, reach.landed[k], reach.free, np.bool_(False), np.bool_(True), quiet)
        _among(beyond, reach.landed[k], reach.free, not calm_only, np.bool_(False), loud)
        found[k] = union(pool, quiet, nothing(), loud, nothing())
    return found


@inner
def _middle(pool, most, outs, reach):
    """The node inside of a gap, behind its first label."""
    found = DEAD
    if most < 0:
        row = _over_steps(reach, reach.later[0], outs, size(pool))
        order(row)
        found = append(pool, row, np.bool_(False))
    for _ in range(most - 1):
        found = put(pool, _over_steps(reach, reach.later[0], outs, found), np.bool_(False))
    return found


@inner
def _closed(pool, inside, after, most, calm_only, reach, found):
    """Before a closed gap; and the node inside of it, behind the first label.

    most: labels that the gap may hold; -1: any number. calm_only: no free text is begun in it that goes on behind it.
    """
    first, free = reach.first, reach.free
    beyond = _distinct(after)
    outs = _outs(pool, beyond, calm_only, reach)
    middle = _middle(pool, most, outs, reach)
    made = np.full(len(reach.step_at) - 1, -2, dtype=np.int64)
    for s in inside:
        if made[first[s]] == -2:
            made[first[s]] = put(pool, _over_steps(reach, first[s], outs, middle), np.bool_(False))
        here, loud = nothing(), nothing()
        _among(beyond, reach.calm[s], free, np.bool_(True), np.bool_(True), here)
        _among(beyond, reach.silent[s], free, holds(free, s) or not calm_only, np.bool_(True), loud)
        found[s] = union(pool, here, [made[first[s]]], loud, nothing())
    return middle
