"""A sentence placed on a canvas, token by token: the compiled part of `dllm.grammars.search.placement`.

`tokens` are a `TokenTable`'s `steps`, `endings` its `final`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dllm.grammars.boxing import to_python
from dllm.grammars.jit import entry, inner
from dllm.grammars.tables.flat import Bools, Ints
from dllm.grammars.tables.loops import lower_bound

CALM, PLAIN, NOISY, EXACT = 0, 1, 2, 3
"""Which states are followed inside a gap: see `dllm.grammars.search.placement.Ways`."""
NOWHERE, REACHED = -1, -2
"""Of a configuration: nothing leads on from it to the goal; it is the goal."""
BEYOND = 40
"""Positions that are followed behind the first where the text can end."""
Configuration = tuple[int, int]
"""How far a text is read: the scanner state, and the number of labels emitted. A state of -1: the text has ended."""


class Stretch(NamedTuple):
    """A piece of a canvas that a sentence is to lie on.

    Attributes:
        ids: `[n]`, groups of tokens, or MASK.
        tail: from where on the text may end, if it ends in the piece.
        begin: the configuration before the first.
        goal: the one behind the last; with a state of -1 the text ends there, or from `tail` on.
    """

    ids: Ints
    tail: int
    begin: Configuration
    goal: Configuration


class Sentence(NamedTuple):
    """Labels, and what tokens may emit of them.

    Attributes:
        labels: `[n]`, or only those that a piece of a canvas asks for.
        at, matches: for each place in the sentence, the emissions that stand there: `matches[at[i]:at[i + 1]]`.
    """

    labels: Ints
    at: Ints
    matches: Ints


class Followed(NamedTuple):
    """Which scanner states are followed inside a gap; see `Reach`.

    Attributes:
        leads: `[S, labels + 1]`, whether a label may come next.
        plain: `[S, labels + 1]`, those that are followed where a label comes next.
        free: `[S]`.
    """

    leads: Bools
    plain: Bools
    free: Bools


class _Front(NamedTuple):
    """The configurations that were reached so far.

    Attributes:
        reached: all of them in a list, those before position p from `starts[p]` to `starts[p + 1]`.
        begun: of each, in a list, whether it is inside a lexeme that a given token began.
        starts: `[n + 2]`.
        seen: `[S, labels + 1]`, the number of the last one there, or -1.
        led: `[S, labels + 1]`, the last mask from which the given token behind it led there, or -1.
    """

    reached: Any
    begun: Any
    starts: Ints
    seen: Ints
    led: Ints


class _Mask(NamedTuple):
    """A mask that is being followed.

    Attributes:
        at: its position.
        most: labels that may have been emitted behind it.
        given: the token behind it, or -1.
        any_state: whether states are followed that are not plain.
        may_open: whether free text may be begun without a label.
    """

    at: int
    most: int
    given: np.int32
    any_state: bool
    may_open: bool


@entry
def place(stretch, tokens, endings, sentence, followed, ways, room, first):
    """A sentence on a piece of a canvas: configurations before each position, found from the left; which of them lead
    to the goal, from the right; and a way through those.

    ways: which states are followed. room: configurations, beyond which it is given up. first: `TokenTable.first`.

    Returns:
        whether it lies there, as far as was found out; `[n]`, tokens for the masks with which it does, else -1;
        `[n + 1, 2]`, the configurations that they go through, -1 behind the end of the text; and where that is.
    """
    front = _forward(stretch, tokens, endings, sentence, followed, ways, room)
    if len(front.reached) <= room:
        chosen, after = _backward(stretch, tokens, endings, sentence, front)
        if chosen[0] != NOWHERE:
            found, path, stop = _read_off(stretch, front, chosen, after, first)
            return to_python((True, found, path, stop))
    return to_python((False, np.empty(0, dtype=np.int32), np.empty((0, 2), dtype=np.int32), -1))


@inner
def same(labels, low, high, sentence, index):
    """Whether `labels[low:high]` stand in the sentence at `index`."""
    if index + high - low > len(sentence):
        return False
    for i in range(high - low):
        if labels[low + i] != sentence[index + i]:
            return False
    return True


@inner
def behind(tokens, e, i):
    """How many labels are emitted behind emission e, with i before it."""
    return i + tokens.labels_at[e + 1] - tokens.labels_at[e]


@inner
def classes_of(emitted, low, high, emission):
    """The classes in `low:high`, ordered by emission, that emit `emission`."""
    begin = lower_bound(emitted, low, high, emission)
    after = begin
    while after < high and emitted[after] == emission:
        after += 1
    return begin, after


@inner
def given_class(token, s, i, tokens, labels):
    """The class of a given token from state s, or -1 unless what it emits stands in the sentence at i."""
    c = tokens.class_of[s, token]
    if c < 0:
        return -1
    c += tokens.at[s]
    e = tokens.emitted[c]
    return c if same(tokens.labels, tokens.labels_at[e], tokens.labels_at[e + 1], labels, i) else -1


@inner
def ends_here(s, i, endings, labels):
    """Whether the text may end in state s, and that gives just the labels of the sentence from i on."""
    e = endings.final[s]
    if e < 0 or endings.labels_at[e + 1] - endings.labels_at[e] != len(labels) - i:
        return False
    return same(endings.labels, endings.labels_at[e], endings.labels_at[e + 1], labels, i)


@inner
def labels_left(ids, tokens, endings, goal):
    """`[n + 1]`: how many labels come from a position on, at least, whatever stands in the gaps."""
    class_of, at, emitted, state, labels_at = tokens.class_of, tokens.at, tokens.emitted, tokens.state, tokens.labels_at
    final, final_at = endings.final, endings.labels_at
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
            found[p] = found[p + 1]
            for s in range(count if p + 1 == n or ids[p + 1] >= 0 else 0):  # masks in a row are alike
                own[s] = found[p]
            continue
        own, after = after, own
        for s in range(count):
            c, own[s] = class_of[s, ids[p]], never
            if c >= 0:
                e = emitted[at[s] + c]
                own[s] = min(never, after[state[at[s] + c]] + labels_at[e + 1] - labels_at[e])
                found[p] = min(found[p], own[s])
    return found


@inner
def _forward(stretch, tokens, endings, sentence, followed, ways, room):
    """The configurations before each position, from the left."""
    ids, goal, labels = stretch.ids, stretch.goal, sentence.labels
    n, size = len(ids), len(labels) + 1
    begin, index = stretch.begin
    front = _Front(
        [(np.int32(begin), np.int32(index))],
        [begin != 0],
        np.zeros(n + 2, dtype=np.int32),
        np.full((len(endings.final), size), -1, dtype=np.int32),
        np.full((len(endings.final), size), -1, dtype=np.int32),
    )
    starts = front.starts
    starts[1] = 1
    rest = labels_left(ids, tokens, endings, goal[0])
    ended = n  # where the sentence is first complete and may end
    for p in range(n):
        if p > ended + BEYOND or len(front.reached) > room:
            starts[p + 2] = len(front.reached)
            continue
        if goal[0] < 0 and p >= stretch.tail and ended == n and _completes(front, p, endings, labels):
            ended = p
        if ids[p] >= 0:
            _over_given(front, p, ids[p], tokens, labels)
        else:
            inner = p + 1 < n and ids[p + 1] < 0
            token = ids[p + 1] if p + 1 < n and not inner else np.int32(-1)
            last = not (p + 2 < n and ids[p + 2] < 0)  # it is the last place between masks
            any_state = not inner or (ways == NOISY and last)
            may_open = ways >= NOISY or (not inner and ways != CALM)
            mask = _Mask(p, goal[1] - rest[p + 1], token, any_state, may_open)
            _over_mask(front, mask, tokens, sentence, followed)
        starts[p + 2] = len(front.reached)
    return front


@inner
def _completes(front, p, endings, labels):
    """Whether the text may end at a position, with the whole sentence."""
    for number in range(front.starts[p], front.starts[p + 1]):
        s, i = front.reached[number]
        if i >= len(labels) - 1 and ends_here(s, i, endings, labels):
            return True
    return False


@inner
def _over_given(front, p, token, tokens, labels):
    """Over a token that is given."""
    reached, begun, seen, starts = front.reached, front.begun, front.seen, front.starts
    for number in range(starts[p], starts[p + 1]):
        s, i = reached[number]
        c = given_class(token, s, i, tokens, labels)
        if c >= 0:
            t, j = tokens.state[c], behind(tokens, tokens.emitted[c], i)
            if seen[t, j] < starts[p + 1]:
                seen[t, j] = len(reached)
                reached.append((t, np.int32(j)))
                begun.append(t != 0)


@inner
def _over_mask(front, mask, tokens, sentence, followed):
    """Over a mask, with any token that emits what comes next in the sentence and leads to a state that is followed."""
    reached, begun, starts, seen, led = front
    labels, at, matches = sentence
    class_at, emitted, state, labels_at = tokens.at, tokens.emitted, tokens.state, tokens.labels_at
    leads, plain, free = followed
    p, most, given, any_state, may_open = mask
    begin = starts[p + 1]
    for number in range(starts[p], begin):
        s, i = reached[number]
        for m in range(at[i] - 1, at[i + 1]):
            e = matches[m] if m >= at[i] else 0
            j = i + labels_at[e + 1] - labels_at[e]
            if j > most:
                continue
            low, high = classes_of(emitted, class_at[s], class_at[s + 1], e)
            ahead = labels[j] if j < len(labels) else leads.shape[1] - 1
            for c in range(low, high):
                t = state[c]
                if not leads[t, ahead]:
                    continue
                goes_on = begun[number] and e == 0 and t != 0 and (free[t] or not free[s])
                if seen[t, j] >= begin:
                    begun[seen[t, j]] = begun[seen[t, j]] or goes_on
                    continue
                opens = e == 0 and free[t] and not free[s]
                if not goes_on and not ((any_state or plain[t, ahead]) and (may_open or not opens)):
                    continue
                if given >= 0:  # it must go on from there; and one way is as good as another to where it leads
                    g = given_class(given, t, j, tokens, labels)
                    if g < 0:
                        continue
                    beyond = j + labels_at[emitted[g] + 1] - labels_at[emitted[g]]
                    if led[state[g], beyond] == p:
                        continue
                    led[state[g], beyond] = p
                seen[t, j] = len(reached)
                reached.append((t, np.int32(j)))
                begun.append(goes_on)


@inner
def _backward(stretch, tokens, endings, sentence, front):
    """From the right, what leads to the goal. Of each configuration: the class of the token to go on with, REACHED
    where the goal is, or NOWHERE; and the number of the configuration behind that token."""
    ids, starts, reached = stretch.ids, front.starts, front.reached
    chosen = np.full(len(reached), NOWHERE, dtype=np.int32)
    after = np.full(len(reached), -1, dtype=np.int32)
    good = np.full(front.seen.shape, -1, dtype=np.int32)  # the number of the last one there that leads on
    for p in range(len(ids), -1, -1):
        if p < len(ids) and ids[p] >= 0:
            _back_over_given(front, p, ids[p], good, tokens, sentence.labels, chosen, after)
        elif p < len(ids):
            _back_over_mask(front, p, stretch.goal[1], good, tokens, sentence, chosen, after)
        _mark_goals(front, p, stretch, endings, sentence.labels, chosen)
        for number in range(starts[p], starts[p + 1]):
            if chosen[number] != NOWHERE:
                good[reached[number]] = number
    return chosen, after


@inner
def _mark_goals(front, p, stretch, endings, labels, chosen):
    """Of the configurations before a position, those that are the goal."""
    goal, at_end = stretch.goal, p == len(stretch.ids)
    if not at_end and (goal[0] >= 0 or p < stretch.tail):
        return
    for number in range(front.starts[p], front.starts[p + 1]):
        s, i = front.reached[number]
        if (s == goal[0] and i == goal[1]) if goal[0] >= 0 else ends_here(s, i, endings, labels):
            chosen[number] = REACHED


@inner
def _back_over_given(front, p, token, good, tokens, labels, chosen, after):
    """Over a token that is given."""
    starts = front.starts
    for number in range(starts[p], starts[p + 1]):
        s, i = front.reached[number]
        c = given_class(token, s, i, tokens, labels)
        if c >= 0:
            k = good[tokens.state[c], behind(tokens, tokens.emitted[c], i)]
            if 0 <= k < starts[p + 2]:  # else it is further to the right
                chosen[number], after[number] = c, k


@inner
def _back_over_mask(front, p, most, good, tokens, sentence, chosen, after):
    """Over a mask: with what emits nothing first, then with what comes next in the sentence."""
    at, matches = sentence.at, sentence.matches
    class_at, emitted, state, labels_at = tokens.at, tokens.emitted, tokens.state, tokens.labels_at
    starts, reached = front.starts, front.reached
    end = starts[p + 2]
    for number in range(starts[p], starts[p + 1]):
        s, i = reached[number]
        for m in range(at[i] - 1, at[i + 1]):
            e = matches[m] if m >= at[i] else 0
            j = i + labels_at[e + 1] - labels_at[e]
            if j > most:  # the sentence may be a piece of a longer one
                break
            low, high = classes_of(emitted, class_at[s], class_at[s + 1], e)
            while low < high and not 0 <= good[state[low], j] < end:
                low += 1
            if low < high:
                chosen[number], after[number] = low, good[state[low], j]
                break


@inner
def _read_off(stretch, front, chosen, after, first):
    """The way that was chosen; see `place`."""
    ids = stretch.ids
    found = np.full(len(ids), -1, dtype=np.int32)
    path = np.full((len(ids) + 1, 2), -1, dtype=np.int32)
    number = 0
    for p in range(len(ids) + 1):
        path[p, 0], path[p, 1] = front.reached[number]
        if chosen[number] == REACHED:
            return found, path, p
        if ids[p] < 0:
            found[p] = first[chosen[number]]
        number = after[number]
    return found, path, len(ids)
