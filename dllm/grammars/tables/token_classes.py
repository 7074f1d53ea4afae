"""What every token does from every state of a scanner, found along the trie of a vocabulary from all states at once.

What some bytes do is a function of the state that they begin in: what they emit, and the state behind them. Most states
of a large grammar lie inside names, and most tokens lead out of every name to one and the same place, so a function is
held as its few results, each with the set of states that it comes from. Bytes with one function are of one class, and
what a class does with one more byte is found out once, whatever the number of tokens that begin so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.errors import GrammarError
from dllm.grammars.tables import loops
from dllm.grammars.tables.flat import Ints, starts
from dllm.grammars.tables.limits import CELLS, VISITS, limit, too_large
from dllm.grammars.tables.vocabulary import Vocabulary

Longs = NDArray[np.int64]
UNKNOWN = -2
StateClasses = NDArray[np.int16] | NDArray[np.int32]
ScannerSteps = tuple[Ints, Ints, Ints, Ints]
"""Steps and emits, `[S, kinds]`, of kinds of bytes; where the labels of an emission begin, and the labels."""


class Walk(NamedTuple):
    """What is found on the way. A result is an emission and the state behind it; number 0 is none. Flat int64 arrays,
    but for `onto` and `pairs`; two numbers in one value are the high and the low 32 bits of it.

    Attributes:
        onto: `[kinds, results]` int32, result -> that behind one more byte; UNKNOWN also where something is emitted.
        known: hash table, key and number by turns.
        results: emission, state.
        pairs: `[classes, kinds]` int32, class -> that behind one more byte, or UNKNOWN. Class 0 is dead, 1 is no bytes.
        begins, entries: the entries of class c are `entries[begins[c]:begins[c + 1]]`: a result, and where it comes
            from: a begun state, by its number, or, from `width` on, a set of them. In the order of their least ones.
        sets: bits of the begun states, so many words a set.
        least: of each set.
        emissions: the shorter emission, the last label.
        origins: the least (begun state, node) of each emission.
        place, joint: scratch, by result and by set; as many of `joint` as states are begun from.
        made: see `loops.NODE` and those beside it.
    """

    onto: Ints
    known: Longs
    results: Longs
    pairs: Ints
    begins: Longs
    entries: Longs
    sets: Longs
    least: Longs
    emissions: Longs
    origins: Longs
    place: Longs
    joint: Longs
    made: Longs

    @classmethod
    def make(cls, begun: Ints, kinds: int) -> Walk:
        """One that begins in these states."""
        width = len(begun)
        room = 1 << (2 * width + 256).bit_length()
        made = np.zeros(loops.VISITS + 1, dtype=np.int64)
        made[[loops.NODE, loops.RESULTS, loops.CLASSES, loops.ENTRIES, loops.EMISSIONS]] = 1, width + 1, 2, width, 1
        made[loops.VISITS] = VISITS * limit()
        found = cls(
            onto=np.full((kinds, room), UNKNOWN, dtype=np.int32),
            known=np.full(8 * room, -1, dtype=np.int64),
            results=np.zeros(room, dtype=np.int64),
            pairs=np.full((1 << 10, kinds), UNKNOWN, dtype=np.int32),
            begins=np.zeros((1 << 10) + 1, dtype=np.int64),
            entries=np.zeros(room, dtype=np.int64),
            sets=np.zeros(room * _words(width), dtype=np.int64),
            least=np.zeros(room, dtype=np.int64),
            emissions=np.zeros(room, dtype=np.int64),
            origins=np.zeros(room, dtype=np.int64),
            place=np.zeros(room, dtype=np.int64),
            joint=np.zeros(width, dtype=np.int64),
            made=made,
        )
        numbers = np.arange(width)
        found.onto[:, 0] = 0
        found.results[1 : width + 1] = begun
        found.entries[:width] = 1 + numbers << 32 | numbers
        found.begins[2] = width
        return found

    def larger(self, longest: int) -> Walk:
        """The same, with twice the room where there may not be enough for one more step; `known` is empty.

        Args:
            longest: labels that a byte emits, at most.
        """
        width = len(self.joint)
        _, results, classes, entries, sets, emissions, known, _ = self.made.tolist()
        pairs, least = _grown(self.pairs, classes + 2), _grown(self.least, sets + width)
        count = len(self.known)
        while count < 4 * (known + width + longest + 1):
            count *= 2
        found = self._replace(
            known=np.full(count, -1, dtype=np.int64),
            results=_grown(self.results, results + 1),
            pairs=pairs,
            begins=_grown(self.begins, len(pairs) + 1),
            entries=_grown(self.entries, entries + width),
            sets=_grown(self.sets, len(least) * _words(width)),
            least=least,
            emissions=_grown(self.emissions, emissions + longest),
            origins=_grown(self.origins, emissions + longest),
            place=_grown(self.place, results + 1),
        )
        if len(found.results) == len(self.results):
            return found
        onto = np.full((len(self.onto), len(found.results)), UNKNOWN, dtype=np.int32)
        onto[:, : self.onto.shape[1]] = self.onto
        return found._replace(onto=onto)


def _words(width: int) -> int:
    """64-bit words of a set of states."""
    return (width + 63) // 64


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """With `size` rows at least; what is new holds UNKNOWN."""
    if len(array) >= size:
        return array
    rest = np.full((max(len(array), size - len(array)), *array.shape[1:]), UNKNOWN, dtype=array.dtype)
    return np.concatenate([array, rest])


class TokenRows(NamedTuple):
    """What the tokens do from each of some states.

    Attributes:
        kind_of: `[V]`, token -> kind; kinds by their lowest tokens.
        class_of: `[states, kinds]`, class of that state, or DEAD.
        at: the classes of state s are `at[s]:at[s + 1]` of the next three, by emission and state.
        emitted, state, first: number of what is emitted, the state behind it, and the lowest token.
        labels_at, labels: the labels of emission e are `labels[labels_at[e]:labels_at[e + 1]]`; 0 is nothing. They are
            numbered by the first state that one is met from, and the first node.
        parent: the emission that is shorter by the last label.
    """

    kind_of: Longs
    class_of: StateClasses
    at: Ints
    emitted: Ints
    state: Ints
    first: Ints
    labels_at: Ints
    labels: Ints
    parent: Ints


def token_rows(steps: ScannerSteps, begun: Ints, vocabulary: Vocabulary, kind_of: Longs) -> TokenRows:
    """All tokens, from the states `begun` (ascending).

    Args:
        kind_of: byte -> its kind.

    Raises:
        GrammarError: it would outgrow the limit.
    """
    nodes, walk = _walked(steps, begun, vocabulary.parent, kind_of[vocabulary.byte].astype(np.int32))
    made = walk.made.tolist()
    number, labels_at, labels, parent = _numbered(
        *(one[: made[loops.EMISSIONS]] for one in (walk.emissions, walk.origins))
    )
    results = walk.results[1 : made[loops.RESULTS]]
    keys = number[results >> 32] << 32 | results & loops.LOW
    order = np.argsort(keys)
    rank = np.zeros(len(keys) + 1, dtype=np.int32)
    rank[1 + order] = np.arange(len(keys))

    found = np.where(vocabulary.node >= 0, nodes[vocabulary.node], 0)
    lowest = np.full(made[loops.CLASSES], UNKNOWN, dtype=np.int32)
    lowest[found[::-1]] = np.arange(len(found))[::-1]  # of those with one class, the last one written stands
    tokens = np.sort(lowest[lowest >= 0])
    kinds = found[tokens]
    if len(steps[0]) * len(tokens) > CELLS * limit():
        raise _too_large(len(steps[0]), len(tokens), "tokens")
    numbers = np.zeros(made[loops.CLASSES], dtype=np.int64)
    numbers[kinds] = np.arange(len(kinds))
    class_of, rows, at = _own_classes(kinds, tokens, rank, walk)
    keys = keys[order][rows[:, 0] - 1]
    return TokenRows(
        kind_of=numbers[found],
        class_of=class_of,
        at=at,
        emitted=(keys >> 32).astype(np.int32),
        state=keys.astype(np.int32),
        first=np.ascontiguousarray(rows[:, 1]),
        labels_at=labels_at,
        labels=labels,
        parent=parent,
    )


def _walked(steps: ScannerSteps, begun: Ints, parent: Ints, byte: Ints) -> tuple[Ints, Walk]:
    """`[nodes]`, the class of each node of a trie, and what was found on the way."""
    longest = int(np.diff(steps[2]).max())
    class_of = np.zeros(len(parent), dtype=np.int32)
    class_of[0] = 1
    walk = Walk.make(begun, steps[0].shape[1])
    before = np.column_stack([begun, 1 + np.arange(len(begun))]).reshape(-1)
    walk.made[loops.KNOWN] = len(begun)
    while True:
        loops.token_classes(steps, parent, byte, class_of, before, tuple(walk))
        made = walk.made.tolist()
        if made[loops.NODE] == len(parent):
            return class_of, walk
        kept = max(made[loops.ENTRIES], made[loops.SETS] * _words(len(begun)))
        if made[loops.VISITS] < 0 or kept > CELLS * limit() // 4:  # of eight bytes each
            raise _too_large(len(steps[0]), made[loops.CLASSES], "beginnings of tokens")
        before, walk = walk.known, walk.larger(longest)


def _own_classes(kinds: Ints, tokens: Ints, rank: Ints, walk: Walk) -> tuple[StateClasses, Ints, Ints]:
    """`[states, kinds]`; (1 + rank, lowest token) of the classes of each state, end to end; and where those begin."""
    width, count = len(walk.joint), len(kinds)
    done = np.zeros((width, count), dtype=np.int32)
    loops.spread(kinds, rank, walk.begins, walk.entries, walk.sets, done)
    class_of = np.empty((width, count), dtype=np.int16 if count <= np.iinfo(np.int16).max else np.int32)
    marks, lowest = np.zeros(len(rank) // 32 + 1, dtype=np.int32), np.zeros(len(rank) + 1, dtype=np.int32)
    rows, at, state = np.zeros((1 << 14, 2), dtype=np.int32), np.zeros(width + 1, dtype=np.int32), 0
    while True:
        state = loops.class_rows(done, tokens, marks, lowest, class_of, state, rows, at)
        if state == width:
            return class_of, rows[: at[width]], at
        rows = _grown(rows, at[state] + count)


def _too_large(states: int, kinds: int, of: str) -> GrammarError:
    return too_large(
        "the table of scanner states and tokens",
        f"{states} states times {kinds} kinds of {of}",
        "Use smaller counts, fewer terminals, or classes of ASCII",
    )


def _numbered(emissions: Longs, origins: Longs) -> tuple[Longs, Ints, Ints, Ints]:
    """Emission as it was met -> its number; and by number, where its labels begin, the labels, and the shorter one."""
    shorter = emissions >> 32
    length, rest = np.zeros(len(emissions), dtype=np.int64), np.arange(len(emissions))
    while rest.any():
        length += rest > 0
        rest = shorter[rest]
    order = np.lexsort((length, np.where(length == 0, -1, origins)))
    number = np.argsort(order)
    parent, label = number[shorter[order]], emissions[order] & loops.LOW
    at = starts(length[order])
    labels = np.zeros(at[-1], dtype=np.int32)
    place, rest = at[2:] - 1, np.arange(1, len(order))
    while len(rest):  # the last labels first
        labels[place] = label[rest]
        rest = parent[rest]
        place, rest = place[rest > 0] - 1, rest[rest > 0]
    return number, at, labels, parent.astype(np.int32)
