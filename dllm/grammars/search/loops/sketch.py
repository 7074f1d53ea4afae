"""A sentence placed on a canvas roughly: the compiled part of `dllm.grammars.search.sketch`.

What leads to a given token is told apart only by what that token does then: by its *outcome*, an emission and a state.
So an entry before a position stands for all configurations that lead to one configuration behind it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.boxing import to_python
from dllm.grammars.jit import entry, inner
from dllm.grammars.search.loops.bits import add, common, holds, shared
from dllm.grammars.search.loops.placement import behind, classes_of, ends_here, given_class, labels_left, same
from dllm.grammars.tables.loops import lower_bound
from dllm.grammars.tables.steps import DEAD

NOISE, LEAP, CROWD = 1, 64, 4
"""What it costs to begin free text; to leap over a gap that may not hold what is asked of it; and each token of that
more than there are masks."""


class _Entries(NamedTuple):
    """Configurations that were found, in lists; those before one position lie side by side.

    Attributes:
        states, indices: the configuration.
        costs: of the cheapest way there.
        before: number of the entry that it comes from.
        classes: of the token before it, where it was followed, else -1.
        seen: `[S, labels + 1]`, by the configuration that it leads to, number of the last entry, or -1.
    """

    states: Any
    indices: Any
    costs: Any
    before: Any
    classes: Any
    seen: NDArray[np.int64]


class _Leap(NamedTuple):
    """A gap to be leapt over: `width` masks, behind which at most so many labels are emitted; from the entries
    `low:begin`."""

    low: int
    begin: int
    width: int
    most: int


class _Outcomes(NamedTuple):
    """What the token behind a gap does.

    Attributes:
        of: `[S]`, by the state before it, the number of the outcome, or -1.
        behind: of an outcome, the state behind the token.
        bits: of an outcome, the states that it comes of.
        onward: `[outcomes, labels + 1]`, by place in the sentence, the place that it leads to, or -1.
    """

    of: NDArray[np.int64]
    behind: Any
    bits: Any
    onward: NDArray[np.int64]


@entry
def sketch_path(stretch, stops, tokens, endings, sentence, effort, reach):
    """The cheapest way to place a sentence over what is given; gaps are leapt over.

    stretch, sentence: of `loops.placement`. stops: `[n]`, at the start of a gap where it stops, else -1. tokens,
    endings: of a `TokenTable`. effort: `[labels + 1]`, tokens that it
    takes up to each place, about. reach: `Reach.sets`.

    Returns:
        `[n + 1, 2]`, configurations before each position, -1 inside of gaps; `[n]`, the class of the token at each mask
        that was followed, else -1; and where the text ends, or -1 where the sentence cannot be placed even so.
    """
    ids, labels, count = stretch.ids, sentence.labels, len(endings.final)
    begin_state, goal = stretch.begin[0], stretch.goal
    n, size = len(ids), len(labels) + 1
    seen = np.full((count, size), -1, dtype=np.int64)
    entries = _Entries([np.int64(begin_state)], [np.int64(0)], [np.int64(0)], [np.int64(-1)], [np.int64(-1)], seen)
    starts = np.zeros(n + 2, dtype=np.int64)
    starts[1] = 1
    rest = labels_left(ids, tokens, endings, np.int64(goal[0]))
    p = 0
    while p < n:
        low, begin = starts[p], len(entries.states)
        if ids[p] >= 0:
            _over_given(entries, low, begin, ids[p], tokens, labels)
            q = p + 1
        else:
            q = stops[p]
            token = np.int64(ids[q]) if q < n else np.int64(-1)
            outcomes = _outcomes(token, tokens, endings, labels)
            _over_gap(entries, _Leap(low, begin, q - p, goal[1] - rest[q]), outcomes, tokens, sentence, effort, reach)
        for x in range(p + 1, q + 1):
            starts[x] = begin
        starts[q + 1] = len(entries.states)
        p = q
    chosen, stop = _cheapest(entries, starts, stretch, endings, labels)
    path, followed = _traced(entries, starts, chosen, stop)
    return to_python((path, followed, stop))


@inner
def _price(need, width, noise):
    """Of a leap. need: tokens, at a guess."""
    return noise * NOISE + (LEAP + CROWD * max(0, need - width) if need > width or width == 1 else 0)


@inner
def _outcomes(token, tokens, endings, labels):
    """Of a token, or of the end of the text for -1."""
    count = len(endings.final)
    of = np.full(count, -1, dtype=np.int64)
    emissions, after = [np.int64(0)], [np.int64(0)]
    emissions.pop()
    after.pop()
    bits = np.zeros((count, (count + 63) >> 6), dtype=np.uint64)
    for s in range(count):
        if token >= 0:
            c = tokens.class_of[s, token]
            if c < 0:
                continue
            e, t = np.int64(tokens.emitted[tokens.at[s] + c]), np.int64(tokens.state[tokens.at[s] + c])
        else:
            e, t = np.int64(endings.final[s]), np.int64(0)
            if e == DEAD:
                continue
        k = 0
        while k < len(emissions) and (emissions[k] != e or after[k] != t):
            k += 1
        if k == len(emissions):
            emissions.append(e)
            after.append(t)
        of[s] = k
        add(bits[k], s)
    onward = _onward(token, emissions, tokens, endings, labels)
    return _Outcomes(of, after, bits[: len(emissions)], onward)


@inner
def _onward(token, emissions, tokens, endings, labels):
    """`[outcomes, labels + 1]`, see `_Outcomes`."""
    own, at = tokens.labels, tokens.labels_at
    if token < 0:
        own, at = endings.labels, endings.labels_at
    found = np.full((len(emissions), len(labels) + 1), -1, dtype=np.int64)
    for o in range(len(emissions)):
        low, high = at[emissions[o]], at[emissions[o] + 1]
        for i in range(len(labels) + 1):
            fits = token >= 0 or high - low == len(labels) - i
            if fits and same(own, low, high, labels, i):
                found[o, i] = i + high - low
    return found


@inner
def _landing(row, label, reach):
    """Which set of states a label leads to, by a row of steps; -1 if it is not in the row."""
    low = lower_bound(reach.step_label, reach.step_at[row], reach.step_at[row + 1], label)
    return reach.step_landed[low] if low < reach.step_at[row + 1] and reach.step_label[low] == label else -1


@inner
def _add(entries, begin, here, beyond, cost, before, c):
    """An entry `here`, unless one is there already that leads on to the configuration `beyond` too, for less."""
    k = entries.seen[beyond]
    if k < begin:
        entries.seen[beyond] = len(entries.states)
        entries.states.append(np.int64(here[0]))
        entries.indices.append(np.int64(here[1]))
        entries.costs.append(np.int64(cost))
        entries.before.append(np.int64(before))
        entries.classes.append(np.int64(c))
    elif cost < entries.costs[k]:
        entries.states[k], entries.indices[k] = here
        entries.costs[k], entries.before[k], entries.classes[k] = cost, before, c


@inner
def _over_given(entries, low, begin, token, tokens, labels):
    """Over a given token."""
    for number in range(low, begin):
        s, i, cost = entries.states[number], entries.indices[number], entries.costs[number]
        c = given_class(token, s, i, tokens, labels)
        if c >= 0:
            after = (np.int64(tokens.state[c]), np.int64(behind(tokens, tokens.emitted[c], i)))
            _add(entries, begin, after, after, cost, number, np.int64(-1))


@inner
def _over_gap(entries, leap, outcomes, tokens, sentence, effort, reach):
    """Over a gap, whatever it holds."""
    labels, first, free = sentence.labels, reach.first, reach.free
    least = np.full(len(labels) + 1, 1 << 30, dtype=np.int64)  # of entries behind a first label, by those emitted
    which = np.full(len(labels) + 1, -1, dtype=np.int64)
    for number in range(leap.low, leap.begin):
        s, i, cost = entries.states[number], entries.indices[number], entries.costs[number]
        if i > leap.most:
            continue
        if leap.width == 1:
            _over_mask(entries, leap, number, outcomes, tokens, sentence, free)
        _stay(entries, leap, number, outcomes, reach)
        to = _landing(first[s], labels[i], reach) if i < leap.most else -1
        if to >= 0:
            need = effort[i + 1] - effort[i] + holds(free, s)
            _land(entries, leap, number, (i + 1, cost, need), outcomes, reach.landed[to], free)
            if cost < least[i + 1]:
                least[i + 1], which[i + 1] = cost, number
    for i in range(leap.most):
        to = _landing(reach.later[0], labels[i], reach) if which[i] >= 0 else -1
        if to >= 0:
            number = which[i]
            need = effort[i + 1] - effort[entries.indices[number]] + holds(free, entries.states[number])
            _land(entries, leap, number, (i + 1, least[i], need), outcomes, reach.landed[to], free)
            if least[i] < least[i + 1]:
                least[i + 1], which[i + 1] = least[i], number


@inner
def _over_mask(entries, leap, number, outcomes, tokens, sentence, free):
    """Over a gap of one mask, token by token: what fits is known."""
    at, matches = sentence.at, sentence.matches
    s, i, cost = entries.states[number], entries.indices[number], entries.costs[number]
    for m in range(at[i] - 1, at[i + 1]):
        e = matches[m] if m >= at[i] else 0
        j = behind(tokens, e, i)
        if j > leap.most:
            continue
        low, high = classes_of(tokens.emitted, tokens.at[s], tokens.at[s + 1], e)
        for c in range(low, high):
            t = np.int64(tokens.state[c])
            o = outcomes.of[t]
            if o >= 0 and outcomes.onward[o, j] >= 0:
                noise = NOISE * (e == 0 and holds(free, t))
                beyond = (outcomes.behind[o], outcomes.onward[o, j])
                _add(entries, leap.begin, (t, np.int64(j)), beyond, cost + noise, number, c)


@inner
def _stay(entries, leap, number, outcomes, reach):
    """Over a gap without a label."""
    s, i, cost = entries.states[number], entries.indices[number], entries.costs[number]
    inside = np.int64(holds(reach.free, s))
    for o in range(len(outcomes.bits)):
        if outcomes.onward[o, i] >= 0:
            t, need = shared(reach.calm[s], outcomes.bits[o]), np.int64(0)
            if t < 0:
                t, need = common(reach.silent[s], outcomes.bits[o], reach.free), inside
            if t < 0:
                t, need = shared(reach.silent[s], outcomes.bits[o]), 1 + inside
            if t >= 0:
                more = cost + _price(need, leap.width, need > inside)
                beyond = (outcomes.behind[o], outcomes.onward[o, i])
                _add(entries, leap.begin, (np.int64(t), i), beyond, more, number, np.int64(-1))


@inner
def _land(entries, leap, number, labelled, outcomes, landed, free):
    """Behind the last label of a gap, in any of the states `landed`. labelled: how many labels that makes in all, the
    cost so far, and the tokens that the gap needs, at a guess."""
    j, cost, need = labelled
    for o in range(len(outcomes.bits)):
        if outcomes.onward[o, j] >= 0:
            t, noise = common(landed, outcomes.bits[o], free), 0
            if t < 0:
                t, noise = shared(landed, outcomes.bits[o]), 1
            if t >= 0:
                more = cost + _price(need + noise, leap.width, noise)
                beyond = (outcomes.behind[o], outcomes.onward[o, j])
                _add(entries, leap.begin, (np.int64(t), np.int64(j)), beyond, more, number, np.int64(-1))


@inner
def _cheapest(entries, starts, stretch, endings, labels):
    """The entry that is the goal for the least, or where the text ends, and where that is; else -1 twice."""
    chosen, stop, least = -1, -1, 1 << 60
    n, goal = len(starts) - 2, stretch.goal
    for p in range(n if goal[0] >= 0 else min(stretch.tail, n), n + 1):
        for number in range(starts[p], starts[p + 1]):
            s, i = entries.states[number], entries.indices[number]
            there = (s == goal[0] and i == goal[1]) if goal[0] >= 0 else ends_here(s, i, endings, labels)
            if there and entries.costs[number] < least:
                chosen, stop, least = number, p, entries.costs[number]
    return chosen, stop


@inner
def _traced(entries, starts, chosen, stop):
    """The way to an entry before `stop`, backwards: `path` and `followed` of `sketch_path`."""
    n = len(starts) - 2
    path = np.full((n + 1, 2), -1, dtype=np.int32)
    followed = np.full(n, -1, dtype=np.int64)
    p = stop
    while chosen >= 0:
        while not starts[p] <= chosen < starts[p + 1]:
            p -= 1
        path[p, 0], path[p, 1] = entries.states[chosen], entries.indices[chosen]
        if entries.classes[chosen] >= 0:
            followed[p - 1] = entries.classes[chosen]
        chosen = entries.before[chosen]
    return path, followed
