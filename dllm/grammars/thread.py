"""Given the lexemes of a text, which tokens may stand at each position of a canvas: exact, counts included.

A chart finds a sentence; here its labels are threaded through the canvas, token by token. What may be at a position is
a set of pairs (scanner state, number of labels emitted so far).

Between two masks only plain states are considered, unless `exact` is asked for: a lexeme may lie there in many ways
that differ in nothing but its spelling. What is found so is right; a sentence that only fits otherwise is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dllm.grammars.lattice import MASK, Canvas
from dllm.grammars.reach import Reach
from dllm.grammars.table import TokenTable

Ints = NDArray[np.int32]
END = -2
"""In a witness: the text ends here; positions behind it are free."""


@dataclass(frozen=True)
class Thread:
    """How a sentence lies on a canvas.

    Attributes:
        at: `[n + 2]`; the pairs before position p are `at[p]:at[p + 1]` of the next three.
        state, index: scanner state, and labels emitted so far.
        alive: whether the sentence can be completed from there.
    """

    canvas: Canvas
    table: TokenTable
    sentence: tuple[int, ...]
    at: Ints
    state: Ints
    index: Ints
    alive: NDArray[np.bool_]

    @classmethod
    def make(
        cls, canvas: Canvas, table: TokenTable, reach: Reach, sentence: Sequence[int], *, exact: bool = False
    ) -> Thread:
        matches_at, matches = _matches(table, sentence)
        at, state, index, alive = _thread(
            np.array([MASK if token == MASK else table.group_of[token] for token in canvas.ids], dtype=np.int32),
            canvas.tail,
            *(table.class_of, table.at, table.emitted, table.state, table.labels, table.labels_at),
            *_final(table),
            np.array(sentence, dtype=np.int32),
            *(matches_at, matches, reach.leads, reach.plain | exact),
        )
        return cls(canvas, table, tuple(sentence), at, state, index, alive)

    @property
    def fits(self) -> bool:
        """Whether the sentence lies on the canvas, with a token for every mask."""
        return bool(self.alive[0])

    @property
    def reached(self) -> int:
        """How many positions, from the left, the sentence can be laid on."""
        return int(np.flatnonzero(np.diff(self.at))[-1])

    def accepts(self, position: int, token: int) -> bool:
        """Whether `token` may stand at a mask without another sentence; END for the end of the text."""
        for pair in range(self.at[position], self.at[position + 1]):
            state, index = int(self.state[pair]), int(self.index[pair])
            if token == END:
                if position >= self.canvas.tail and self._ends(state, index):
                    return True
                continue
            labels, after = self.table.step(state, token)
            if after >= 0 and self.sentence[index : index + len(labels)] == labels:
                own = slice(self.at[position + 1], self.at[position + 2])
                found = (self.state[own] == after) & (self.index[own] == index + len(labels))
                if (found & self.alive[own]).any():
                    return True
        return False

    def witness(self) -> list[int]:
        """A token for every position, or END from some position on; only where the sentence fits."""
        found: list[int] = []
        state, index = 0, 0
        for position, token in enumerate(self.canvas.ids):
            if token == MASK and position >= self.canvas.tail and self._ends(state, index):
                return found + [END] * (len(self.canvas.ids) - position)
            token, state, index = self._onward(position, state, index)
            found.append(token)
        return found

    def _onward(self, position: int, state: int, index: int) -> tuple[int, int, int]:
        """A token after which the sentence can still be completed, the new state and number of labels."""
        own = slice(self.at[position + 1], self.at[position + 2])
        alive = self.alive[own]
        goals = set(zip(self.state[own][alive].tolist(), self.index[own][alive].tolist(), strict=True))
        fixed = self.canvas.ids[position]
        if fixed != MASK:
            labels, after = self.table.step(state, fixed)
            return fixed, after, index + len(labels)
        for number in range(self.table.at[state], self.table.at[state + 1]):
            labels = self.table.emissions[self.table.emitted[number]]
            goal = (int(self.table.state[number]), index + len(labels))
            if goal in goals and self.sentence[index : goal[1]] == labels:
                return int(self.table.first[number]), *goal
        raise AssertionError("a pair that is alive leads on")

    def _ends(self, state: int, index: int) -> bool:
        final = int(self.table.scanner.final[state])
        return final >= 0 and self.table.scanner.emissions[final] == self.sentence[index:]


def _matches(table: TokenTable, sentence: Sequence[int]) -> tuple[Ints, Ints]:
    """For each place in the sentence, the emissions that stand there."""
    found: list[int] = []
    starts = [0]
    for begin in range(len(sentence) + 1):
        number: int | None = 0
        for label in sentence[begin:]:
            number = table.longer.get((number, label)) if number is not None else None
            if number is None:
                break
            found.append(number)
        starts.append(len(found))
    return np.array(starts, dtype=np.int32), np.array(found, dtype=np.int32)


def _final(table: TokenTable) -> tuple[Ints, Ints, Ints]:
    """Per scanner state, where the labels of the end of the text are, or -1; and those labels."""
    scanner = table.scanner
    lengths = np.concatenate([[0], np.cumsum([len(one) for one in scanner.emissions])]).astype(np.int32)
    return scanner.final, lengths, np.array([label for one in scanner.emissions for label in one], dtype=np.int32)


@njit(cache=True)
def _same(labels, low, high, sentence, index):  # type: ignore[no-untyped-def]
    """Whether `labels[low:high]` stand in the sentence at `index`."""
    if index + high - low > len(sentence):
        return False
    for i in range(high - low):  # noqa: SIM110 (compiled)
        if labels[low + i] != sentence[index + i]:
            return False
    return True


@njit(cache=True)
def _range(emitted, low, high, emission):  # type: ignore[no-untyped-def]
    """The classes in `low:high`, ordered by emission, that emit `emission`."""
    begin, end = low, high
    while begin < end:
        middle = (begin + end) >> 1
        if emitted[middle] < emission:
            begin = middle + 1
        else:
            end = middle
    after = begin
    while after < high and emitted[after] == emission:
        after += 1
    return begin, after


@njit(cache=True)
def _thread(  # type: ignore[no-untyped-def]
    ids,
    tail,
    class_of,
    at,
    emitted,
    state,
    labels,
    labels_at,
    final,
    final_at,
    final_labels,
    sentence,
    matches_at,
    matches,
    leads,
    plain,
):
    """Pairs before each position, found from the left; then which of them are alive, from the right.

    `ids` are groups of tokens, or MASK.
    """
    n, size = len(ids), len(sentence) + 1
    pairs = [(np.int32(0), np.int32(0))]
    starts = np.zeros(n + 2, dtype=np.int32)
    starts[1] = 1
    seen = np.full((len(final), size), -1, dtype=np.int32)
    for p in range(n):
        inner = p + 1 < n and ids[p + 1] < 0
        for number in range(starts[p], starts[p + 1]):
            s, i = pairs[number]
            if ids[p] >= 0:
                c = class_of[s, ids[p]]
                if c >= 0:
                    c += at[s]
                    e = emitted[c]
                    if _same(labels, labels_at[e], labels_at[e + 1], sentence, i):
                        j = i + labels_at[e + 1] - labels_at[e]
                        if seen[state[c], j] != p:
                            seen[state[c], j] = p
                            pairs.append((state[c], np.int32(j)))
                continue
            for m in range(matches_at[i] - 1, matches_at[i + 1]):
                e = matches[m] if m >= matches_at[i] else 0
                j = i + labels_at[e + 1] - labels_at[e]
                low, high = _range(emitted, at[s], at[s + 1], e)
                ahead = sentence[j] if j < size - 1 else leads.shape[1] - 1
                for c in range(low, high):
                    t = state[c]
                    if seen[t, j] != p and leads[t, ahead] and (plain[t] or not inner):
                        seen[t, j] = p
                        pairs.append((t, np.int32(j)))
        starts[p + 2] = len(pairs)
    alive = np.zeros(len(pairs), dtype=np.bool_)
    good = np.full((len(final), size), -1, dtype=np.int32)
    for back in range(n + 1):
        p = n - back
        for number in range(starts[p], starts[p + 1]):
            s, i = pairs[number]
            fine = False
            if p >= tail or p == n:
                e = final[s]
                if e >= 0 and final_at[e + 1] - final_at[e] == size - 1 - i:
                    fine = _same(final_labels, final_at[e], final_at[e + 1], sentence, i)
            if not fine and p < n:
                if ids[p] >= 0:
                    c = class_of[s, ids[p]]
                    if c >= 0:
                        c += at[s]
                        e = emitted[c]
                        if _same(labels, labels_at[e], labels_at[e + 1], sentence, i):
                            fine = good[state[c], i + labels_at[e + 1] - labels_at[e]] == p + 1
                else:
                    for m in range(matches_at[i] - 1, matches_at[i + 1]):
                        e = matches[m] if m >= matches_at[i] else 0
                        j = i + labels_at[e + 1] - labels_at[e]
                        low, high = _range(emitted, at[s], at[s + 1], e)
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
