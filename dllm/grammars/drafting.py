"""A sentence laid through a canvas roughly: the compiled part of `draft`.

What leads to a given token is told apart only by what that token does then: by its *outcome*, an emission and a state.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dllm.grammars.laying import _range, _rest, _same
from dllm.grammars.spans import ONE, lowest
from dllm.grammars.steps import DEAD

NOISY, LEAPT, CROWDED = 1, 64, 4
"""What it costs to begin free text; to leap over a gap that may not hold what is asked of it; and each token of that
more than there are masks."""


@njit(cache=True)
def _price(need, width, noise):  # type: ignore[no-untyped-def]
    """Of a leap. need: tokens, at a guess."""
    return noise * NOISY + (LEAPT + CROWDED * max(0, need - width) if need > width or width == 1 else 0)


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
        bits[k, s >> 6] |= ONE << np.uint64(s & 63)
    return emissions, behind, bits


@njit(cache=True)
def _meet(one, other, but):  # type: ignore[no-untyped-def]
    """The lowest number in both sets and not in the last, or -1."""
    for w in range(len(one)):
        both = one[w] & other[w] & ~but[w]
        if both:
            return (w << 6) + lowest(both)
    return -1


@njit(cache=True)
def _landing(row, label, step_label, step_landed, step_at):  # type: ignore[no-untyped-def]
    """Which set of states a label leads to, by a row of steps; -1 if it is not in the row."""
    low, high = step_at[row], step_at[row + 1]
    while low < high:
        middle = (low + high) >> 1
        if step_label[middle] < label:
            low = middle + 1
        else:
            high = middle
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
def drafted(canvas, stops, tokens, endings, own, effort, closed):  # type: ignore[no-untyped-def]
    """`[n + 1, 2]`, pairs before each position, -1 inside of gaps; `[n]`, the class of the token at each mask that was
    followed, else -1; and where the text ends, or -1 where the sentence cannot be laid even so.

    effort: `[size]`, tokens that the sentence takes up to each place, about.
    """
    ids, tail = canvas
    class_of, at, emitted, state, labels, labels_at = tokens
    final, final_at, final_labels = endings
    sentence, matches_at, matches = own
    silent, calm, landed, free, first, later, step_label, step_landed, step_at = closed
    n, size, count = len(ids), len(sentence) + 1, len(final)
    lists = ([np.int64(0)], [np.int64(0)], [np.int64(0)], [np.int64(-1)], [np.int64(-1)])
    states, indices, costs, befores, classes = lists
    starts = np.zeros(n + 2, dtype=np.int64)
    starts[1] = 1
    seen = np.full((count, size), -1, dtype=np.int64)
    rest = _rest(ids, class_of, at, emitted, state, labels_at, final, final_at, -1)
    of, nothing = np.full(count, -1, dtype=np.int64), np.zeros(silent.shape[1], dtype=np.uint64)
    p = 0
    while p < n:
        low, begin = starts[p], len(states)
        if ids[p] >= 0:
            for number in range(low, begin):
                s, i = states[number], indices[number]
                if class_of[s, ids[p]] >= 0:
                    c = at[s] + class_of[s, ids[p]]
                    e, t = emitted[c], state[c]
                    if _same(labels, labels_at[e], labels_at[e + 1], sentence, i):
                        j = i + labels_at[e + 1] - labels_at[e]
                        _add(lists, seen, begin, t, j, (t, j), costs[number], number, -1)
            p += 1
            starts[p], starts[p + 1] = begin, len(states)
            continue
        q = stops[p]
        token, width = (np.int64(ids[q]) if q < n else np.int64(-1)), q - p
        emissions, behind, bits = _outcomes(token, (class_of, at, emitted, state), endings, of)
        # by outcome and place in the sentence: where it leads, or -1
        onward = np.full((len(emissions), size), -1, dtype=np.int64)
        for o in range(len(emissions)):
            e = emissions[o]
            for i in range(size):
                if token >= 0:
                    if _same(labels, labels_at[e], labels_at[e + 1], sentence, i):
                        onward[o, i] = i + labels_at[e + 1] - labels_at[e]
                elif final_at[e + 1] - final_at[e] == size - 1 - i:
                    if _same(final_labels, final_at[e], final_at[e + 1], sentence, i):
                        onward[o, i] = size - 1
        most = size - 1 - rest[q]
        least = np.full(size, 1 << 30, dtype=np.int64)  # of pairs behind a first label, by those emitted
        which = np.full(size, -1, dtype=np.int64)
        for number in range(low, begin):
            s, i, cost = states[number], indices[number], costs[number]
            if i > most:
                continue
            if width == 1:
                for m in range(matches_at[i] - 1, matches_at[i + 1]):
                    e = matches[m] if m >= matches_at[i] else 0
                    j = i + labels_at[e + 1] - labels_at[e]
                    if j > most:
                        continue
                    begun, ended = _range(emitted, at[s], at[s + 1], e)
                    for c in range(begun, ended):
                        t = state[c]
                        if of[t] >= 0 and onward[of[t], j] >= 0:
                            noise = NOISY * (e == 0 and free[t >> 6] >> np.uint64(t & 63) & ONE != 0)
                            _add(
                                lists, seen, begin, behind[of[t]], onward[of[t], j], (t, j), cost + noise, number, c
                            )
            inside = np.int64(free[s >> 6] >> np.uint64(s & 63) & ONE)
            for o in range(len(emissions)):
                if onward[o, i] >= 0:
                    t, need = _meet(calm[s], bits[o], nothing), 0
                    if t < 0:
                        t, need = _meet(silent[s], bits[o], free), inside
                    if t < 0:
                        t, need = _meet(silent[s], bits[o], nothing), 1 + inside
                    if t >= 0:
                        more = cost + _price(need, width, need > inside)
                        _add(lists, seen, begin, behind[o], onward[o, i], (t, i), more, number, -1)
            to = _landing(first[s], sentence[i], step_label, step_landed, step_at) if i < most else -1
            if to >= 0:
                if cost < least[i + 1]:
                    least[i + 1], which[i + 1] = cost, number
                for o in range(len(emissions)):
                    if onward[o, i + 1] >= 0:
                        t, noise = _meet(landed[to], bits[o], free), 0
                        if t < 0:
                            t, noise = _meet(landed[to], bits[o], nothing), 1
                        if t >= 0:
                            need = effort[i + 1] - effort[i] + noise + inside
                            more = cost + _price(need, width, noise)
                            _add(lists, seen, begin, behind[o], onward[o, i + 1], (t, i + 1), more, number, -1)
        for i in range(most):
            to = _landing(later[0], sentence[i], step_label, step_landed, step_at) if which[i] >= 0 else -1
            if to < 0:
                continue
            if least[i] < least[i + 1]:
                least[i + 1], which[i + 1] = least[i], which[i]
            w = states[which[i]]
            need = effort[i + 1] - effort[indices[which[i]]] + np.int64(free[w >> 6] >> np.uint64(w & 63) & ONE)
            for o in range(len(emissions)):
                if onward[o, i + 1] >= 0:
                    t, noise = _meet(landed[to], bits[o], free), 0
                    if t < 0:
                        t, noise = _meet(landed[to], bits[o], nothing), 1
                    if t >= 0:
                        more = least[i] + _price(need + noise, width, noise)
                        _add(lists, seen, begin, behind[o], onward[o, i + 1], (t, i + 1), more, which[i], -1)
        for inner in range(p + 1, q + 1):
            starts[inner] = begin
        p = q
        starts[p + 1] = len(states)
    chosen, stop, cheapest = -1, -1, 1 << 60
    for p in range(min(tail, n), n + 1):
        for number in range(starts[p], starts[p + 1]):
            e = final[states[number]]
            if costs[number] < cheapest and e >= 0 and final_at[e + 1] - final_at[e] == size - 1 - indices[number]:
                if _same(final_labels, final_at[e], final_at[e + 1], sentence, indices[number]):
                    chosen, stop, cheapest = number, p, costs[number]
    path = np.full((n + 1, 2), -1, dtype=np.int32)
    followed = np.full(n, -1, dtype=np.int64)
    p = stop
    while chosen >= 0:
        while not starts[p] <= chosen < starts[p + 1]:
            p -= 1
        path[p, 0], path[p, 1] = states[chosen], indices[chosen]
        if classes[chosen] >= 0:
            followed[p - 1] = classes[chosen]
        chosen = befores[chosen]
    return path, followed, stop
