"""The compiled part of the tables: a scanner multiplied with a vocabulary, and what stands where in a sentence."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def lower_bound(values, low, high, one):
    """In `values[low:high]`, which ascend, where the first is that is not below `one`; `high` if there is none."""
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < one:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def matches(sentence, at, last, number):
    begins, found = np.zeros(len(sentence) + 2, dtype=np.int32), [np.int32(0)]
    found.pop()
    for begin in range(len(sentence) + 1):
        e = 0
        for i in range(begin, len(sentence)):
            low = lower_bound(last, at[e], at[e + 1], sentence[i])
            if low == at[e + 1] or last[low] != sentence[i]:
                break
            e = number[low]
            found.append(np.int32(e))
        begins[begin + 1] = len(found)
    return begins, np.array(found, dtype=np.int32)


@njit(cache=True)
def _slot(table, key):
    """Where `key` is, or would be, in a table of (key, value) with a power of two of rows; free keys are -1."""
    mask = len(table) - 1
    at = (key * 0x9E3779B97F4A7C1 >> 20) & mask
    while table[at, 0] != key and table[at, 0] != -1:
        at = (at + 1) & mask
    return at


@njit(cache=True)
def _grown(table):
    larger = np.full((len(table) * 4, 2), -1, dtype=np.int64)
    for row in table:
        if row[0] != -1:
            larger[_slot(larger, row[0])] = row
    return larger


@njit(cache=True)
def token_row(steps, emits, starts, flat, parent, byte, node, state, ids, known, class_of):
    """Walk the trie once from `state`; fills `class_of` (`[V]`).

    `ids`: (emission << 32 | label) -> the emission longer by that label; new ones get numbers from `known` on.
    """
    count = len(parent)
    states = np.empty(count, dtype=np.int32)
    emitted = np.zeros(count, dtype=np.int32)
    states[0] = state
    new = [(np.int64(0), np.int64(0))]
    for at in range(1, count):
        before = states[parent[at]]
        if before < 0:
            states[at] = -1
            continue
        after = steps[before, byte[at]]
        states[at] = after
        if after < 0:
            continue
        found = emitted[parent[at]]
        emission = emits[before, byte[at]]
        for i in range(starts[emission], starts[emission + 1]):
            key = (np.int64(found) << 32) | np.int64(flat[i])
            slot = _slot(ids, key)
            if ids[slot, 0] == -1:
                if known * 2 > len(ids):
                    ids = _grown(ids)
                    slot = _slot(ids, key)
                new.append((np.int64(found), np.int64(flat[i])))
                ids[slot, 0], ids[slot, 1] = key, known
                known += 1
            found = np.int32(ids[slot, 1])
        emitted[at] = found
    classes = np.full((1 << 12, 2), -1, dtype=np.int64)
    emitted_by, state_of, first = [np.int32(0)], [np.int32(0)], [np.int32(0)]
    for token in range(len(node)):
        at = node[token]
        if at < 0 or states[at] < 0:
            continue
        key = (np.int64(emitted[at]) << 32) | np.int64(states[at])
        slot = _slot(classes, key)
        if classes[slot, 0] == -1:
            if len(first) * 2 > len(classes):
                classes = _grown(classes)
                slot = _slot(classes, key)
            classes[slot, 0], classes[slot, 1] = key, len(first) - 1
            emitted_by.append(emitted[at])
            state_of.append(states[at])
            first.append(np.int32(token))
        class_of[token] = np.int32(classes[slot, 1])
    return np.array(emitted_by[1:]), np.array(state_of[1:]), np.array(first[1:]), new[1:], ids
