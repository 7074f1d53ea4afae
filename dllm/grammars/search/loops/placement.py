"""A sentence laid through a canvas, token by token: the compiled part of `thread`."""

from __future__ import annotations

import numpy as np
from numba import njit

from dllm.grammars.tables.flat import place

CALM, PLAIN, NOISY, EXACT = 0, 1, 2, 3
"""Which states are followed inside a gap: see `dllm.grammars.search.placement.Ways`."""
BEYOND = 40
"""Positions that are followed behind the first where the text can end."""


@njit(cache=True)
def same(labels, low, high, sentence, index):  # type: ignore[no-untyped-def]
    """Whether `labels[low:high]` stand in the sentence at `index`."""
    if index + high - low > len(sentence):
        return False
    for i in range(high - low):  # noqa: SIM110 (compiled)
        if labels[low + i] != sentence[index + i]:
            return False
    return True


@njit(cache=True)
def classes_of(emitted, low, high, emission):  # type: ignore[no-untyped-def]
    """The classes in `low:high`, ordered by emission, that emit `emission`."""
    begin = place(emitted, low, high, emission)
    after = begin
    while after < high and emitted[after] == emission:
        after += 1
    return begin, after


@njit(cache=True)
def given(token, s, i, class_of, at, emitted, labels, labels_at, sentence):  # type: ignore[no-untyped-def]
    """The class of a given token from state s, or -1 unless what it emits stands in the sentence at i."""
    c = class_of[s, token]
    if c < 0:
        return -1
    c += at[s]
    e = emitted[c]
    return c if same(labels, labels_at[e], labels_at[e + 1], sentence, i) else -1


@njit(cache=True)
def ends_here(s, i, final, final_at, final_labels, sentence):  # type: ignore[no-untyped-def]
    """Whether the text may end in state s, and that gives just the labels from i on."""
    e = final[s]
    if e < 0 or final_at[e + 1] - final_at[e] != len(sentence) - i:
        return False
    return same(final_labels, final_at[e], final_at[e + 1], sentence, i)


@njit(cache=True)
def labels_left(ids, class_of, at, emitted, state, labels_at, final, final_at, goal):  # type: ignore[no-untyped-def]
    """`[n + 1]`: how many labels come from a position on, at least, whatever stands in the gaps."""
    n, count = len(ids), len(class_of)
    never = np.int32(1 << 30)
    found = np.full(n + 1, never, dtype=np.int32)
    own, after = np.full(count, never, dtype=np.int32), np.zeros(count, dtype=np.int32)  # by the scanner state
    for s in range(count):
        if s == goal:
            own[s] = found[n] = 0
        elif goal < 0 and final[s] >= 0:
            own[s] = final_at[final[s] + 1] - final_at[final[s]]
            found[n] = min(found[n], own[s])
    for p in range(n - 1, -1, -1):
        if ids[p] < 0:
            own[:] = found[p] = found[p + 1]
            continue
        own, after = after, own
        for s in range(count):
            c, own[s] = class_of[s, ids[p]], never
            if c >= 0:
                e = emitted[at[s] + c]
                own[s] = min(never, after[state[at[s] + c]] + labels_at[e + 1] - labels_at[e])
                found[p] = min(found[p], own[s])
    return found


@njit(cache=True)
def lay(canvas, tokens, endings, own, near, ways, room):  # type: ignore[no-untyped-def]
    """Pairs before each position, found from the left; then which of them are alive, from the right.

    `ids` are groups of tokens, or MASK. `begin`: the pair before the first. `goal`: the pair behind the last; with a
    state of -1 the text ends there, or from `tail` on. `matches`: for each place in the sentence, the emissions that
    stand there. `room`: pairs, beyond which it is given up; then none is alive. The other arrays are those of
    `TokenTable` and `Reach`.
    """
    ids, tail, begin, goal = canvas
    class_of, at, emitted, state, labels, labels_at = tokens
    final, final_at, final_labels = endings
    sentence, matches_at, matches = own
    leads, plain, free = near
    n, size, last = len(ids), len(sentence) + 1, goal[1]
    pairs = [(np.int32(begin[0]), np.int32(begin[1]))]
    begun = [begin[0] != 0]  # whether the pair is inside a lexeme that a given token began
    starts = np.zeros(n + 2, dtype=np.int32)
    starts[1] = 1
    seen = np.full((len(final), size), -1, dtype=np.int32)  # number of the last pair there
    led = np.full((len(final), size), -1, dtype=np.int32)  # the last mask from which the token behind it led there
    rest = labels_left(ids, class_of, at, emitted, state, labels_at, final, final_at, goal[0])
    ended = n  # where the sentence is first complete and may end
    for p in range(n):
        if p > ended + BEYOND or len(pairs) > room:
            starts[p + 2] = len(pairs)
            continue
        inner = p + 1 < n and ids[p + 1] < 0
        any_state = ways == NOISY and inner and not (p + 2 < n and ids[p + 2] < 0)  # the last place between masks
        for number in range(starts[p], starts[p + 1]):
            s, i = pairs[number]
            may_end = goal[0] < 0 and p >= tail and ended == n and i >= size - 2
            if may_end and ends_here(s, i, final, final_at, final_labels, sentence):
                ended = p
            if ids[p] >= 0:
                c = given(ids[p], s, i, class_of, at, emitted, labels, labels_at, sentence)
                if c >= 0:
                    j = i + labels_at[emitted[c] + 1] - labels_at[emitted[c]]
                    if seen[state[c], j] < starts[p + 1]:
                        seen[state[c], j] = len(pairs)
                        pairs.append((state[c], np.int32(j)))
                        begun.append(state[c] != 0)
                continue
            for m in range(matches_at[i] - 1, matches_at[i + 1]):
                e = matches[m] if m >= matches_at[i] else 0
                j = i + labels_at[e + 1] - labels_at[e]
                if j + rest[p + 1] > last:
                    continue
                low, high = classes_of(emitted, at[s], at[s + 1], e)
                ahead = sentence[j] if j < size - 1 else leads.shape[1] - 1
                for c in range(low, high):
                    t = state[c]
                    if not leads[t, ahead]:
                        continue
                    goes_on = begun[number] and e == 0 and t != 0 and (free[t] or not free[s])
                    if seen[t, j] >= starts[p + 1]:
                        begun[seen[t, j]] = begun[seen[t, j]] or goes_on
                        continue
                    if not goes_on:
                        opens = ways < NOISY and e == 0 and free[t] and not free[s]
                        if (inner and not (plain[t] or any_state)) or (opens and (inner or ways == CALM)):
                            continue
                    if not inner and p + 1 < n:
                        # the next token is given: it must go on from there, and one way is as good as another to where
                        # it leads
                        g = given(ids[p + 1], t, j, class_of, at, emitted, labels, labels_at, sentence)
                        if g < 0:
                            continue
                        beyond = j + labels_at[emitted[g] + 1] - labels_at[emitted[g]]
                        if led[state[g], beyond] == p:
                            continue
                        led[state[g], beyond] = p
                    seen[t, j] = len(pairs)
                    pairs.append((t, np.int32(j)))
                    begun.append(goes_on)
        starts[p + 2] = len(pairs)
    alive = np.zeros(len(pairs), dtype=np.bool_)
    good = np.full((len(final), size), -1, dtype=np.int32)
    for back in range(n + 1 if len(pairs) <= room else 0):
        p = n - back
        for number in range(starts[p], starts[p + 1]):
            s, i = pairs[number]
            if goal[0] >= 0:
                fine = p == n and s == goal[0] and i == last
            else:
                fine = (p >= tail or p == n) and ends_here(s, i, final, final_at, final_labels, sentence)
            if not fine and p < n:
                if ids[p] >= 0:
                    c = given(ids[p], s, i, class_of, at, emitted, labels, labels_at, sentence)
                    if c >= 0:
                        fine = good[state[c], i + labels_at[emitted[c] + 1] - labels_at[emitted[c]]] == p + 1
                else:
                    for m in range(matches_at[i] - 1, matches_at[i + 1]):
                        e = matches[m] if m >= matches_at[i] else 0
                        j = i + labels_at[e + 1] - labels_at[e]
                        if j > last:  # the sentence may be a piece of a longer one
                            break
                        low, high = classes_of(emitted, at[s], at[s + 1], e)
                        for c in range(low, high):
                            if good[state[c], j] == p + 1:
                                fine = True
                                break
                        if fine:
                            break
            alive[number] = fine
            if fine:
                good[s, i] = p
    states = np.array([pair[0] for pair in pairs])
    indices = np.array([pair[1] for pair in pairs])
    return starts, states, indices, alive


@njit(cache=True)
def read(canvas, tokens, endings, own, first, laid):  # type: ignore[no-untyped-def]
    """`[n]`, tokens for the masks with which the sentence lies on the canvas, else -1; `[n + 1, 2]`, the pairs that
    they go through; and where the text ends."""
    ids, tail, begin, goal = canvas
    class_of, at, emitted, state, _, labels_at = tokens
    sentence, matches_at, matches = own
    starts, states, indices, alive = laid
    found = np.full(len(ids), -1, dtype=np.int32)
    path = np.full((len(ids) + 1, 2), -1, dtype=np.int32)
    good = np.full((len(endings[0]), len(sentence) + 1), -1, dtype=np.int32)
    s, i = begin
    for p in range(len(ids)):
        path[p, 0], path[p, 1] = s, i
        if ids[p] >= 0:
            c = at[s] + class_of[s, ids[p]]
            s, i = state[c], i + labels_at[emitted[c] + 1] - labels_at[emitted[c]]
            continue
        if goal[0] < 0 and p >= tail and ends_here(s, i, *endings, sentence):
            return found, path, p
        for number in range(starts[p + 1], starts[p + 2]):
            if alive[number]:
                good[states[number], indices[number]] = p
        for m in range(matches_at[i] - 1, matches_at[i + 1]):
            e = matches[m] if m >= matches_at[i] else 0
            j = i + labels_at[e + 1] - labels_at[e]
            if j > goal[1]:
                break
            low, high = classes_of(emitted, at[s], at[s + 1], e)
            while low < high and good[state[low], j] != p:
                low += 1
            if low < high:
                found[p], s, i = first[low], state[low], j
                break
    path[len(ids), 0], path[len(ids), 1] = s, i
    return found, path, len(ids)
