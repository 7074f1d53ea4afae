"""The compiled part of the tables: a scanner multiplied with a vocabulary, and what stands where in a sentence."""

from __future__ import annotations

import numpy as np

from dllm.grammars.jit import entry, inner


@inner
def lower_bound(values, low, high, one):
    """In `values[low:high]`, which ascend, where the first is that is not below `one`; `high` if there is none."""
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < one:
            low = middle + 1
        else:
            high = middle
    return low


@entry
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


@inner
def _slot(table, key):
    """Where `key` is, or would be, in a table of (key, value) with a power of two of rows; free keys are -1."""
    mask = len(table) - 1
    at = (key * 0x9E3779B97F4A7C1 >> 20) & mask
    while table[at, 0] != key and table[at, 0] != -1:
        at = (at + 1) & mask
    return at


@inner
def _grown(table):
    larger = np.full((len(table) * 4, 2), -1, dtype=np.int64)
    for row in table:
        if row[0] != -1:
            at = _slot(larger, row[0])
            larger[at, 0], larger[at, 1] = row[0], row[1]
    return larger


@entry
def token_row(steps, emits, starts, flat, trie, state, ids, known, visits):
    """Walk a `KindTrie` from `state`, as far as it leads anywhere: tokens, what each emits, and the state behind it.

    steps, emits: `[S, kinds]`. `ids`: (emission << 32 | label) -> the emission longer by that label; new ones get
    numbers from `known` on. Also gives those as (shorter emission, label, lowest node that has it), `ids`, and how many
    of the `visits` to nodes are left: below 0 the walk was given up.
    """
    child_at, kind, lowest, token = trie
    count = len(kind)
    nodes, states, emitted = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    tokens, keys = np.empty(count, np.int32), np.empty(count, np.int64)
    nodes[0], states[0], emitted[0] = 0, state, 0
    new = [(np.int64(0), np.int64(0), np.int64(0))]
    begin, end, made = known, 1, 0
    at = 0
    while at < end:
        node, before = nodes[at], states[at]
        if token[node] >= 0:
            tokens[made], keys[made] = token[node], np.int64(emitted[at]) << 32 | np.int64(before)
            made += 1
        visits -= child_at[node + 1] - child_at[node]
        if visits < 0:
            break
        for child in range(child_at[node], child_at[node + 1]):
            after = steps[before, kind[child]]
            if after < 0:
                continue
            found = np.int64(emitted[at])
            emission = emits[before, kind[child]]
            for i in range(starts[emission], starts[emission + 1]):
                key = found << 32 | np.int64(flat[i])
                slot = _slot(ids, key)
                if ids[slot, 0] == -1:
                    if known * 2 > len(ids):
                        ids = _grown(ids)
                        slot = _slot(ids, key)
                    new.append((found, np.int64(flat[i]), np.int64(lowest[child])))
                    ids[slot, 0], ids[slot, 1] = key, known
                    known += 1
                found = ids[slot, 1]
                if found >= begin and lowest[child] < new[found - begin + 1][2]:
                    new[found - begin + 1] = (new[found - begin + 1][0], np.int64(flat[i]), np.int64(lowest[child]))
            nodes[end], states[end], emitted[end] = child, after, found
            end += 1
        at += 1
    return tokens[:made], keys[:made], new[1:], ids, visits


@entry
def apart(group, tokens, keys, used):
    """Tokens of a group that now have other keys, or none, are no longer of one group; new groups from `used` on."""
    size = 16
    while size < 2 * len(tokens):
        size *= 2
    table = np.full((size, 3), -1, dtype=np.int64)
    for i in range(len(tokens)):
        own, key = group[tokens[i]], keys[i]
        at = ((key * 0x9E3779B97F4A7C1 ^ own * 0x1F83D9ABFB41BD6) >> 20) & (size - 1)
        while table[at, 2] != -1 and (table[at, 0] != own or table[at, 1] != key):
            at = (at + 1) & (size - 1)
        if table[at, 2] == -1:
            table[at, 0], table[at, 1], table[at, 2] = own, key, used
            used += 1
        group[tokens[i]] = table[at, 2]
    return used
