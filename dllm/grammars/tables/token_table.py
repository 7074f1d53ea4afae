"""What a token does to the scanner: from which state, what it emits, and which state it leads to.

From one state, tokens that emit the same and lead to the same state are one class. Tokens that are of one class from
every state are one group. There are few classes and groups and many tokens, so everything behind this works on those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.canvas import MASK
from dllm.grammars.tables import loops
from dllm.grammars.tables.flat import Ints, ragged, starts, unragged
from dllm.grammars.tables.scanner import Scanner
from dllm.grammars.tables.steps import DEAD
from dllm.grammars.tables.vocabulary import Vocabulary

Labels = tuple[int, ...]


class TokenSteps(NamedTuple):
    """What a token does, from which state: the arrays of a `TokenTable` that the search takes into its loops."""

    class_of: NDArray[np.int16] | NDArray[np.int32]
    at: Ints
    emitted: Ints
    state: Ints
    labels: Ints
    labels_at: Ints
    parent: Ints


class Endings(NamedTuple):
    """What the end of the text does.

    Attributes:
        final: `[S]`, the number of what it emits there, or DEAD.
        labels_at, labels: of number e, the labels `labels[labels_at[e]:labels_at[e + 1]]`.
    """

    final: Ints
    labels_at: Ints
    labels: Ints


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class TokenTable:
    """A scanner and a vocabulary, multiplied.

    Attributes:
        group_of: `[V]` int32, id -> group.
        class_of: `[S, G]` int16 or int32, state x group -> class of that state, or DEAD.
        at: `[S + 1]` int32; the classes of state s are `at[s]:at[s + 1]` of the next three, by emission.
        emitted: number of the emission; 0 is nothing.
        state: the state after it.
        first: the lowest id of the class.
        labels, labels_at: of emission e, the labels `labels[labels_at[e]:labels_at[e + 1]]`.
        parent: `[emissions]`, the emission that is shorter by the last label; it has a lower number.
        effort: `[labels]`, tokens that lead from the start, without a label, to where the next token emits this one, at
            least; what its lexeme takes if it begins with a token, at a guess.
    """

    scanner: Scanner
    vocabulary: Vocabulary
    group_of: Ints
    class_of: NDArray[np.int16] | NDArray[np.int32]
    at: Ints
    emitted: Ints
    state: Ints
    first: Ints
    labels: Ints
    labels_at: Ints
    parent: Ints
    effort: Ints

    @classmethod
    def make(cls, scanner: Scanner, vocabulary: Vocabulary) -> TokenTable:
        flat_at, flat = ragged(scanner.emissions)
        ids = np.full((1 << 10, 2), DEAD, dtype=np.int64)
        class_of = np.full((len(scanner.next), len(vocabulary)), DEAD, dtype=np.int16)
        at, columns, emissions = [0], list[tuple[Ints, Ints, Ints]](), list[Labels]([()])
        parent = [0]
        for state in range(len(scanner.next)):
            own = np.full(len(vocabulary), DEAD, dtype=np.int32)
            *found, new, ids = loops.token_row(
                *(scanner.next, scanner.emits, flat_at, flat, vocabulary.parent, vocabulary.byte, vocabulary.node),
                *(state, ids, len(emissions), own),
            )
            for before, label in new:
                emissions.append((*emissions[before], int(label)))
                parent.append(int(before))
            order = np.lexsort((found[1], found[0]))
            place = np.append(np.argsort(order), DEAD).astype(np.int32)
            if len(order) > np.iinfo(class_of.dtype).max:
                class_of = class_of.astype(np.int32)
            class_of[state] = place[own]
            columns.append((found[0][order], found[1][order], found[2][order]))
            at.append(at[-1] + len(found[0]))
        labels_at, labels = ragged(emissions)
        emitted, states, first = (np.concatenate([column[i] for column in columns]) for i in range(3))
        group_of, members = _groups(class_of)
        return cls(
            scanner=scanner,
            vocabulary=vocabulary,
            group_of=group_of,
            class_of=np.ascontiguousarray(class_of[:, members]),
            at=np.array(at, dtype=np.int32),
            emitted=emitted,
            state=states,
            first=first,
            labels=labels,
            labels_at=labels_at,
            parent=np.array(parent, dtype=np.int32),
            effort=_effort(len(scanner.labels), np.array(at), emitted, states, labels, labels_at),
        )

    @cached_property
    def onward(self) -> tuple[Ints, Ints]:
        """State -> the states that one token leads to, end to end; and where those of each state begin."""
        rows = [np.unique(self.state[low:high]) for low, high in pairwise(self.at.tolist())]
        return np.concatenate(rows).astype(np.int32), starts([len(row) for row in rows])

    @cached_property
    def steps(self) -> TokenSteps:
        return TokenSteps(**{name: getattr(self, name) for name in TokenSteps._fields})

    @cached_property
    def kept(self) -> dict[bytes, Any]:
        """What `dllm.grammars.search.strides` has made of it."""
        return {}

    @cached_property
    def emissions(self) -> tuple[Labels, ...]:
        """Emission -> its labels."""
        return unragged(self.labels, self.labels_at)

    @cached_property
    def _numbers(self) -> dict[Labels, int]:
        return {labels: number for number, labels in enumerate(self.emissions)}

    @cached_property
    def longer(self) -> tuple[Ints, Ints, Ints]:
        """The emissions longer than e by one label, ordered by it: at `[at[e]:at[e + 1]]` of the other two, that label
        and the number. Every beginning of an emission has a number."""
        last = self.labels[self.labels_at[2:] - 1]
        order = np.lexsort((last, self.parent[1:]))
        at = starts(np.bincount(self.parent[1:], minlength=len(self.parent)))
        return at, last[order], (order + 1).astype(np.int32)

    def matches(self, sentence: Labels) -> tuple[Ints, Ints]:
        """For each place in a sentence, where those of each begin, and the emissions that stand there."""
        found: tuple[Ints, Ints] = loops.matches(np.array(sentence, dtype=np.int32), *self.longer)
        return found

    @cached_property
    def end_emission(self) -> Ints:
        """`[S]`, the emission of the end of the text; one past the last if no token emits the like; DEAD if none."""
        found = [self._numbers.get(labels, len(self._numbers)) for labels in self.scanner.emissions]
        return np.array([DEAD if final == DEAD else found[final] for final in self.scanner.final], dtype=np.int32)

    @cached_property
    def endings(self) -> Endings:
        return Endings(self.scanner.final, *ragged(self.scanner.emissions))

    def groups(self, ids: Sequence[int]) -> Ints:
        """Tokens as their groups; MASK stays."""
        own = np.array(ids, dtype=np.int32)
        return np.where(own == MASK, own, self.group_of[own])

    def step(self, state: int, token: int) -> tuple[Labels, int]:
        """One token from one state: the labels emitted, and the state after it or DEAD."""
        found = int(self.class_of[state, self.group_of[token]])
        if found == DEAD:
            return (), DEAD
        found += int(self.at[state])
        return self.emissions[self.emitted[found]], int(self.state[found])


def _effort(count: int, at: Ints, emitted: Ints, state: Ints, labels: Ints, labels_at: Ints) -> Ints:
    """By label; 1 where it is not known."""
    found = np.full(count, 1 << 20, dtype=np.int32)
    front, met, steps = [0], {0}, 0
    while front:
        after: set[int] = set()
        for own in (slice(at[s], at[s + 1]) for s in front):
            loud = np.unique(emitted[own][emitted[own] > 0])
            heads = labels[labels_at[loud]]
            found[heads] = np.minimum(found[heads], max(1, steps))
            after.update(state[own][emitted[own] == 0].tolist())
        front, steps = sorted(after - met), steps + 1
        met |= after
    return np.where(found == 1 << 20, 1, found).astype(np.int32)


def _groups(class_of: NDArray[np.int16] | NDArray[np.int32]) -> tuple[Ints, Ints]:
    """Columns that are equal: `[V]`, the group of each, and `[G]`, a column of each group."""
    digests = np.zeros(class_of.shape[1], dtype=np.uint64)
    for row in class_of:
        digests = (digests ^ row.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        digests ^= digests >> np.uint64(29)
    _, members, group_of = np.unique(digests, return_index=True, return_inverse=True)
    if any((row[members][group_of] != row).any() for row in class_of):  # two columns with one digest
        members = group_of = np.arange(class_of.shape[1])
    return group_of.reshape(-1).astype(np.int32), members.astype(np.int32)
