"""The compiled part of the tables: a scanner multiplied with a vocabulary, and what stands where in a sentence."""

from __future__ import annotations

import numpy as np

from dllm.grammars.boxing import to_python
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
    return to_python((begins, np.array(found, dtype=np.int32)))


EMISSION, SET, CLASS = 1 << 60, 1 << 61, 1 << 62
"""Marks of what keys of `Walk.known` are about: a longer emission, a set of states, a class; none: a result."""
NODE, RESULTS, CLASSES, ENTRIES, SETS, EMISSIONS, KNOWN, VISITS = range(8)
"""In `Walk.made`: the node that is next; how much of each array is in use; and the visits that are left."""
LOW = (1 << 32) - 1
FULL = -1


@inner
def _slot(table, key):
    """Where `key` is, or would be, in a table of keys, each before its value; a power of two of places, -1 if free."""
    mask = len(table) - 2
    at = (key * 0x9E3779B97F4A7C1 >> 20) & mask
    while table[at] != key and table[at] != -1:
        at = (at + 2) & mask
    return at


@inner
def _add(known, at, key, kind, made):
    """A new key; its number is the next of its kind."""
    known[at], known[at + 1] = key, made[kind]
    made[kind] += 1
    made[KNOWN] += 1


@inner
def _digest(values, begin, end):
    """60 bits of some values."""
    found = end - begin
    for i in range(begin, end):
        found = (found ^ values[i]) * 0x1E3779B97F4A7C15
        found ^= found >> 29
    return found & (EMISSION - 1)


@inner
def _same(values, one, other, size):
    at = 0
    while at < size and values[one + at] == values[other + at]:
        at += 1
    return at == size


@inner
def _join(sets, begin, words, member, width):
    """The set that begins there takes in a state (a member below `width`) or another set."""
    if member < width:
        sets[begin + (member >> 6)] |= np.int64(1) << (member & 63)
    else:
        other = (member - width) * words
        for word in range(words):
            sets[begin + word] |= sets[other + word]


@inner
def _stepped(steps, emits, starts, flat, known, results, emissions, origins, made, one, byte, origin):
    """The result behind one more byte, 0 where it is dead and FULL for no room; and whether nothing is emitted."""
    state = results[one] & LOW
    after = steps[state, byte]
    if after < 0:
        return np.int64(0), True
    found, emission = results[one] >> 32, emits[state, byte]
    length = starts[emission + 1] - starts[emission]
    full = made[EMISSIONS] + length > len(emissions) or made[RESULTS] == len(results)
    if full or 4 * (made[KNOWN] + length + 1) > len(known):
        return np.int64(FULL), False
    for i in range(length):
        longer = found << 32 | np.int64(flat[starts[emission] + i])
        at = _slot(known, EMISSION | longer)
        if known[at] == -1:
            emissions[made[EMISSIONS]], origins[made[EMISSIONS]] = longer, origin
            _add(known, at, EMISSION | longer, np.int64(EMISSIONS), made)
        found = known[at + 1]
        if origin < origins[found]:
            origins[found] = origin
    key = found << 32 | np.int64(after)
    at = _slot(known, key)
    if known[at] == -1:
        results[made[RESULTS]] = key
        _add(known, at, key, np.int64(RESULTS), made)
    return known[at + 1], length == 0


@inner
def _followed(scanner, walk, own, byte, width, words):
    """Write what a class does with one more byte behind the entries; where that ends, and where the new sets do.

    Where there is no room, the end is FULL, and all may be done again.
    """
    onto, known, results, _, begins, entries, sets, least, emissions, origins, place, joint, made = walk
    begin = end = made[ENTRIES]
    own_sets = joined = made[SETS]
    for i in range(begins[own], begins[own + 1]):
        one, member = entries[i] >> 32, entries[i] & LOW
        lowest = member if member < width else least[member - width]
        after = np.int64(onto[byte, one])
        if after < 0:
            after, silent = _stepped(
                *(*scanner, known, results, emissions, origins, made, one, byte, lowest << 32 | made[NODE])
            )
            if after == FULL:
                return after, joined
            if silent:
                onto[byte, one] = after
        if after == 0:
            continue
        at = place[after]
        if at < begin or at >= end or entries[at] >> 32 != after:
            entries[end], place[after] = after << 32 | member, end
            end += 1
            continue
        before = entries[at] & LOW
        if before < width + own_sets:
            for word in range(words):
                sets[joined * words + word] = 0
            _join(sets, joined * words, words, before, width)
            least[joined] = before if before < width else least[before - width]
            joint[joined - own_sets] = at
            before = width + joined
            entries[at] = after << 32 | before
            joined += 1
        _join(sets, (before - width) * words, words, member, width)
    return end, joined


@inner
def _class(walk, end, joined, width, words):
    """Give the new sets, and then the new class, the numbers of what is the same, else numbers of their own."""
    _, known, _, _, begins, entries, sets, least, _, _, _, joint, made = walk
    first = made[SETS]
    for fresh in range(first, joined):
        key = SET | _digest(sets, fresh * words, (fresh + 1) * words)
        at = _slot(known, key)
        while known[at] != -1 and not _same(sets, known[at + 1] * words, fresh * words, words):
            key += 1
            at = _slot(known, key)
        if known[at] == -1:
            least[made[SETS]] = least[fresh]
            for word in range(words):
                sets[made[SETS] * words + word] = sets[fresh * words + word]
            _add(known, at, key, np.int64(SETS), made)
        place = joint[fresh - first]
        entries[place] = (entries[place] >> 32) << 32 | (width + known[at + 1])
    begin = made[ENTRIES]
    if begin == end:
        return np.int64(0)
    key = CLASS | _digest(entries, begin, end)
    at = _slot(known, key)
    while known[at] != -1:
        found = begins[known[at + 1]]
        if begins[known[at + 1] + 1] - found == end - begin and _same(entries, found, begin, end - begin):
            return known[at + 1]
        key += 1
        at = _slot(known, key)
    made[ENTRIES] = begins[made[CLASSES] + 1] = end
    _add(known, at, key, np.int64(CLASSES), made)
    return known[at + 1]


@entry
def token_classes(scanner, parent, kind, class_of, before, walk):
    """Follow the trie of a vocabulary from all states at once, up to its end or to where the arrays have no room.

    Texts that do the same are one class, and each class is followed by each kind of byte once. `scanner`: steps and
    emits, `[S, kinds]`, and the labels of an emission. `class_of`: `[nodes]`, filled in; 0 is dead. `before`: what
    `known` held when it was smaller.
    """
    _, known, _, pairs, begins, entries, _, least, _, _, _, joint, made = walk
    width = len(joint)
    words = (width + 63) >> 6
    for i in range(0, len(before), 2):
        if before[i] != -1:
            at = _slot(known, before[i])
            known[at], known[at + 1] = before[i], before[i + 1]
    for node in range(made[NODE], len(parent)):
        made[NODE] = node
        own = class_of[parent[node]]
        if own == 0:
            continue
        if pairs[own, kind[node]] < 0:
            size = begins[own + 1] - begins[own]
            full = made[CLASSES] + 1 >= len(pairs) or made[ENTRIES] + size > len(entries)
            full = full or made[SETS] + size > len(least) or 4 * (made[KNOWN] + size) > len(known)
            if full or made[VISITS] < 0:
                return
            end, joined = _followed(scanner, walk, own, kind[node], width, words)
            if end == FULL:
                return
            made[VISITS] -= size
            pairs[own, kind[node]] = _class(walk, end, joined, width, words)
        class_of[node] = pairs[own, kind[node]]
    made[NODE] = len(parent)


@entry
def spread(classes, rank, begins, entries, sets, done):
    """What each class does: `done` (`[states, classes]`, zeros) gets 1 + the rank of the result where not dead."""
    words = (len(done) + 63) >> 6
    for i in range(len(classes)):
        for at in range(begins[classes[i]], begins[classes[i] + 1]):
            value, member = 1 + rank[entries[at] >> 32], entries[at] & LOW
            if member < len(done):
                done[member, i] = value
                continue
            begin = (member - len(done)) * words
            for word in range(words):
                bits = sets[begin + word]
                if bits:
                    for bit in range(64):
                        if bits >> bit & 1:
                            done[64 * word + bit, i] = value


@entry
def class_rows(done, tokens, marks, lowest, class_of, first, found, at):
    """What is done by state, each once: `found` gets (1 + rank, lowest token), by state and rank, while there is room.

    `done`: as `spread` leaves it; `tokens`: lowest ones of its columns, ascending; `marks`, `lowest`: scratch, by rank.
    `class_of`: as `done`, which of a state's own; `at[s]`: where those of state s begin. Gives the states done from
    `first` on.
    """
    size = at[first]
    for state in range(first, len(done)):
        if size + done.shape[1] > len(found):
            return np.int64(state)
        for i in range(done.shape[1]):
            value = done[state, i]
            if value and not marks[value >> 5] >> (value & 31) & 1:
                marks[value >> 5] |= np.int32(1 << (value & 31))
                lowest[value] = tokens[i]
        for word in range(len(marks)):
            bits = marks[word]
            if bits:
                marks[word] = 0
                for bit in range(32):
                    if bits >> bit & 1:
                        value = 32 * word + bit
                        found[size, 0], found[size, 1] = value, lowest[value]
                        lowest[value] = size - at[state]  # from here on, its class
                        size += 1
        for i in range(done.shape[1]):
            value = done[state, i]
            class_of[state, i] = lowest[value] if value else -1
        at[state + 1] = size
    return len(done)


@entry
def column_digests(class_of, origin, found):
    """64 bits of each column of the rows `origin`."""
    for state in range(len(origin)):
        for i in range(len(found)):
            one = (found[i] ^ np.uint64(np.int64(class_of[origin[state], i]))) * np.uint64(0x9E3779B97F4A7C15)
            found[i] = one ^ one >> np.uint64(29)


@entry
def close(member_at, members, ahead_at, ahead, found):
    """Rows of bits take in those of the states ahead, and of others in their component; components last ones first."""
    for one in range(len(member_at) - 1):
        for word in range(found.shape[1]):
            bits = found[members[member_at[one]], word]
            for i in range(member_at[one] + 1, member_at[one + 1]):
                bits |= found[members[i], word]
            for i in range(ahead_at[one], ahead_at[one + 1]):
                bits |= found[ahead[i], word]
            for i in range(member_at[one], member_at[one + 1]):
                found[members[i], word] = bits
