"""A sentence laid through a canvas roughly: the compiled part of `draft`.

What leads to a given token is told apart only by what that token does then: by its *outcome*, an emission and a state.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dllm.grammars.search.loops.bits import add, common, holds
from dllm.grammars.search.loops.placement import classes_of, ends_here, given, labels_left, same
from dllm.grammars.tables.flat import place
from dllm.grammars.tables.steps import DEAD

NOISE, LEAP, CROWD = 1, 64, 4
"""What it costs to begin free text; to leap over a gap that may not hold what is asked of it; and each token of that
more than there are masks."""


@njit(cache=True)
def _price(need, width, noise):  # type: ignore[no-untyped-def]
    """Of a leap. need: tokens, at a guess."""
    return noise * NOISE + (LEAP + CROWD * max(0, need - width) if need > width or width == 1 else 0)


@njit(cache=True)
def _outcomes(token, tokens, endings, of):  # type: ignore[no-untyped-def]
    """What a token, or the end of the text for -1, does: into `of` (`[S]`), by state, the number of the outcome or -1.

    Of each outcome: the emission, the state behind it, and the states that it comes of, as bits.
    """
    class_of, at, emitted, state = tokens[:4]
    final = endings[0]
    emissions, behind = [np.int64(0)], [np.int64(0)]
    emissions.pop()
    behind.pop()
    bits = np.zeros((len(of), (len(of) + 63) >> 6), dtype=np.uint64)
    for s in range(len(of)):
        of[s] = -1
        if token >= 0:
            c = class_of[s, token]
            if c < 0:
                continue
            e, t = np.int64(emitted[at[s] + c]), np.int64(state[at[s] + c])
        else:
            e, t = np.int64(final[s]), np.int64(0)
            if e == DEAD:
                continue
        k = 0
        while k < len(emissions) and (emissions[k] != e or behind[k] != t):
            k += 1
        if k == len(emissions):
            emissions.append(e)
            behind.append(t)
        of[s] = k
        add(bits[k], s)
    return emissions, behind, bits


@njit(cache=True)
def _landing(row, label, step_label, step_landed, step_at):  # type: ignore[no-untyped-def]
    """Which set of states a label leads to, by a row of steps; -1 if it is not in the row."""
    low = place(step_label, step_at[row], step_at[row + 1], label)
    return step_landed[low] if low < step_at[row + 1] and step_label[low] == label else -1


@njit(cache=True)
def _add(lists, seen, begin, s, i, pair, cost, before, c):  # type: ignore[no-untyped-def]
    """A pair, unless one is there already that does as well for less: that leads on to (s, i) too."""
    states, indices, costs, befores, classes = lists
    k = seen[s, i]
    if k < begin:
        seen[s, i] = len(states)
        states.append(np.int64(pair[0]))
        indices.append(np.int64(pair[1]))
        costs.append(np.int64(cost))
        befores.append(np.int64(before))
        classes.append(np.int64(c))
    elif cost < costs[k]:
        states[k], indices[k], costs[k], befores[k], classes[k] = pair[0], pair[1], cost, before, c


@njit(cache=True)
def _onward(token, emissions, tokens, endings, sentence):  # type: ignore[no-untyped-def]
    """`[outcomes, size]`, by outcome and place in the sentence: the place it leads to, or -1."""
    labels, labels_at = tokens[4], tokens[5]
    if token < 0:
        labels_at, labels = endings[1], endings[2]
    found = np.full((len(emissions), len(sentence) + 1), -1, dtype=np.int64)
    for o in range(len(emissions)):
        low, high = labels_at[emissions[o]], labels_at[emissions[o] + 1]
        for i in range(len(sentence) + 1):
            fits = token >= 0 or high - low == len(sentence) - i
            if fits and same(labels, low, high, sentence, i):
                found[o, i] = i + high - low
    return found


@njit(cache=True)
def _follow(lists, seen, begin, token, low, tokens, sentence):  # type: ignore[no-untyped-def]
    """Over a given token."""
    class_of, at, emitted, state, labels, labels_at = tokens
    for number in range(low, begin):
        s, i, cost = lists[0][number], lists[1][number], lists[2][number]
        c = given(token, s, i, class_of, at, emitted, labels, labels_at, sentence)
        if c >= 0:
            t, j = state[c], i + labels_at[emitted[c] + 1] - labels_at[emitted[c]]
            _add(lists, seen, begin, t, j, (t, j), cost, number, -1)


@njit(cache=True)
def _fill(lists, seen, begin, number, gap, tokens, own, free):  # type: ignore[no-untyped-def]
    """Over a gap of one mask, token by token: what fits is known."""
    behind, onward, of, most = gap
    _, at, emitted, state, _, labels_at = tokens
    _, matches_at, matches = own
    s, i, cost = lists[0][number], lists[1][number], lists[2][number]
    for m in range(matches_at[i] - 1, matches_at[i + 1]):
        e = matches[m] if m >= matches_at[i] else 0
        j = i + labels_at[e + 1] - labels_at[e]
        if j > most:
            continue
        low, high = classes_of(emitted, at[s], at[s + 1], e)
        for c in range(low, high):
            t = state[c]
            if of[t] >= 0 and onward[of[t], j] >= 0:
                noise = NOISE * (e == 0 and holds(free, t))
                _add(lists, seen, begin, behind[of[t]], onward[of[t], j], (t, j), cost + noise, number, c)


@njit(cache=True)
def _stay(lists, seen, begin, number, width, beyond, silent, calm, free, nothing):  # type: ignore[no-untyped-def]
    """Over a gap without a label. beyond: the states behind its outcomes, where they lead to, what they come of."""
    behind, onward, bits = beyond
    s, i, cost = lists[0][number], lists[1][number], lists[2][number]
    inside = np.int64(holds(free, s))
    for o in range(len(bits)):
        if onward[o, i] >= 0:
            t, need = common(calm[s], bits[o], nothing), np.int64(0)
            if t < 0:
                t, need = common(silent[s], bits[o], free), inside
            if t < 0:
                t, need = common(silent[s], bits[o], nothing), 1 + inside
            if t >= 0:
                more = cost + _price(need, width, need > inside)
                _add(lists, seen, begin, behind[o], onward[o, i], (t, i), more, number, -1)


@njit(cache=True)
def _land(lists, seen, begin, number, j, cost, need, width, beyond, landed, free, nothing):  # type: ignore[no-untyped-def]
    """Behind the last label of a gap, which makes `j` in all: in any of the states `landed`. beyond: see `_stay`."""
    behind, onward, bits = beyond
    for o in range(len(bits)):
        if onward[o, j] >= 0:
            t, noise = common(landed, bits[o], free), 0
            if t < 0:
                t, noise = common(landed, bits[o], nothing), 1
            if t >= 0:
                more = cost + _price(need + noise, width, noise)
                _add(lists, seen, begin, behind[o], onward[o, j], (t, j), more, number, -1)


@njit(cache=True)
def _leap(lists, seen, low, begin, token, width, most, of, tokens, endings, own, effort, closed):  # type: ignore[no-untyped-def]
    """Over a gap, from the pairs from `low` on, whatever it holds; `token` stands behind it, or -1 for the end."""
    silent, calm, landed, free, first, later = closed[:6]
    step_label, step_landed, step_at = closed[6:]
    sentence, nothing = own[0], np.zeros_like(free)
    emissions, behind, bits = _outcomes(token, tokens, endings, of)
    onward = _onward(token, emissions, tokens, endings, sentence)
    beyond = (behind, onward, bits[: len(emissions)])
    least = np.full(len(sentence) + 1, 1 << 30, dtype=np.int64)  # of pairs behind a first label, by those emitted
    which = np.full(len(sentence) + 1, -1, dtype=np.int64)
    for number in range(low, begin):
        s, i, cost = lists[0][number], lists[1][number], lists[2][number]
        if i > most:
            continue
        if width == 1:
            _fill(lists, seen, begin, number, (behind, onward, of, most), tokens, own, free)
        _stay(lists, seen, begin, number, width, beyond, silent, calm, free, nothing)
        to = _landing(first[s], sentence[i], step_label, step_landed, step_at) if i < most else -1
        if to >= 0:
            need = effort[i + 1] - effort[i] + holds(free, s)
            _land(lists, seen, begin, number, i + 1, cost, need, width, beyond, landed[to], free, nothing)
            if cost < least[i + 1]:
                least[i + 1], which[i + 1] = cost, number
    for i in range(most):
        to = _landing(later[0], sentence[i], step_label, step_landed, step_at) if which[i] >= 0 else -1
        if to >= 0:
            number = which[i]
            need = effort[i + 1] - effort[lists[1][number]] + holds(free, lists[0][number])
            _land(lists, seen, begin, number, i + 1, least[i], need, width, beyond, landed[to], free, nothing)
            if least[i] < least[i + 1]:
                least[i + 1], which[i + 1] = least[i], number


@njit(cache=True)
def _cheapest(lists, starts, tail, endings, sentence):  # type: ignore[no-untyped-def]
    """The pair where the text ends for the least, and where that is; -1 twice if it does not."""
    states, indices, costs = lists[:3]
    final, final_at, final_labels = endings
    chosen, stop, least = -1, -1, 1 << 60
    for p in range(min(tail, len(starts) - 2), len(starts) - 1):
        for number in range(starts[p], starts[p + 1]):
            if costs[number] < least and ends_here(
                states[number], indices[number], final, final_at, final_labels, sentence
            ):
                chosen, stop, least = number, p, costs[number]
    return chosen, stop


@njit(cache=True)
def drafted(canvas, stops, tokens, endings, own, effort, closed):  # type: ignore[no-untyped-def]
    """`[n + 1, 2]`, pairs before each position, -1 inside of gaps; `[n]`, the class of the token at each mask that was
    followed, else -1; and where the text ends, or -1 where the sentence cannot be laid even so.

    stops: `[n]`, at the start of a gap where it stops. effort: `[size]`, tokens that the sentence takes up to each
    place, about. closed: see `Reach.for_leaping`.
    """
    ids, tail = canvas
    sentence, count = own[0], len(endings[0])
    n, size = len(ids), len(sentence) + 1
    lists = ([np.int64(0)], [np.int64(0)], [np.int64(0)], [np.int64(-1)], [np.int64(-1)])
    starts = np.zeros(n + 2, dtype=np.int64)
    starts[1] = 1
    seen = np.full((count, size), -1, dtype=np.int64)
    rest = labels_left(ids, tokens[0], tokens[1], tokens[2], tokens[3], tokens[5], *endings[:2], -1)
    of = np.full(count, -1, dtype=np.int64)
    p = 0
    while p < n:
        low, begin = starts[p], len(lists[0])
        if ids[p] >= 0:
            _follow(lists, seen, begin, ids[p], low, tokens, sentence)
            q = p + 1
        else:
            q = stops[p]
            token = np.int64(ids[q]) if q < n else np.int64(-1)
            _leap(lists, seen, low, begin, token, q - p, size - 1 - rest[q], of, tokens, endings, own, effort, closed)
        starts[p + 1 : q + 1] = begin
        starts[q + 1] = len(lists[0])
        p = q
    chosen, stop = _cheapest(lists, starts, tail, endings, sentence)
    path = np.full((n + 1, 2), -1, dtype=np.int32)
    followed = np.full(n, -1, dtype=np.int64)
    p = stop
    while chosen >= 0:
        while not starts[p] <= chosen < starts[p + 1]:
            p -= 1
        path[p, 0], path[p, 1] = lists[0][chosen], lists[1][chosen]
        if lists[4][chosen] >= 0:
            followed[p - 1] = lists[4][chosen]
        chosen = lists[3][chosen]
    return path, followed, stop
