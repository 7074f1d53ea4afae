"""Regular expressions as automata over bytes: trees -> NFA -> DFA -> minimal DFA.

A character is the bytes of its UTF-8 encoding, so an automaton never accepts invalid UTF-8, and half a character is a
state like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dllm.errors import GrammarError
from dllm.grammars.regex import Alt, And, Chars, Minus, Regex, Repeat, Seq
from dllm.grammars.tables.steps import DEAD, one_state_a_group, refined, without_dead_ends

MAX_STATES = 20_000
_UTF8_ENDS = (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)
"""The last code points of 1, 2, 3 and 4 bytes."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Dfa:
    """A deterministic automaton; state 0 is where it starts.

    Attributes:
        table: `[n, 256]` int32, state x byte -> state, or DEAD. Some text is accepted from every state.
        accepts: per state, the labels of the expressions that match what was read; empty where none does.
    """

    table: NDArray[np.int32]
    accepts: tuple[frozenset[int], ...]

    def run(self, data: bytes, state: int = 0) -> int:
        """The state after `data`, or DEAD."""
        for byte in data:
            state = int(self.table[state, byte])
            if state == DEAD:
                break
        return state

    def matches(self, data: bytes) -> frozenset[int]:
        """Labels of the expressions that match all of `data`."""
        state = self.run(data)
        return frozenset() if state == DEAD else self.accepts[state]


def dfa(trees: Sequence[Regex]) -> Dfa:
    """One minimal automaton for all trees; tree i has the label i.

    Raises:
        GrammarError: it would have more than MAX_STATES states.
    """
    nfa = _Nfa()
    start = nfa.state()
    for label, tree in enumerate(trees):
        end = nfa.state()
        nfa.labels[end] = label
        nfa.add(tree, start, end)
    return minimal(nfa.determine(start))


class _Nfa:
    """States with edges over byte ranges and empty edges."""

    def __init__(self) -> None:
        self.edges: list[list[tuple[int, int, int]]] = []
        self.empty: list[list[int]] = []
        self.labels: dict[int, int] = {}
        self.inside: set[int] = set()  # states inside a character

    def state(self) -> int:
        self.edges.append([])
        self.empty.append([])
        return len(self.edges) - 1

    def add(self, tree: Regex, start: int, end: int) -> None:
        """Paths from `start` to `end` that spell the texts of `tree`."""
        match tree:
            case Chars(ranges):
                for path in utf8_paths(ranges):
                    at = start
                    for low, high in path[:-1]:
                        at = self._step(at, low, high)
                    self.edges[at].append((*path[-1], end))
            case Seq(parts):
                for part in parts[:-1]:
                    after = self.state()
                    self.add(part, start, after)
                    start = after
                if parts:
                    self.add(parts[-1], start, end)
                else:
                    self.empty[start].append(end)
            case Alt(options):
                for option in options:
                    self.add(option, start, end)
            case Repeat(body, low, high):
                self._add_repeat(body, low, high, start, end)
            case And(left, right):
                self._embed(both(dfa([left]), dfa([right])), start, end)
            case Minus(left, right):
                self._embed(minus(dfa([left]), dfa([right])), start, end)

    def _step(self, at: int, low: int, high: int) -> int:
        """Beyond an edge of exactly these bytes, shared by all characters that begin so at `at`."""
        for known_low, known_high, target in self.edges[at]:
            if (known_low, known_high) == (low, high) and target in self.inside:
                return target
        target = self.state()
        self.inside.add(target)
        self.edges[at].append((low, high, target))
        return target

    def _add_repeat(self, body: Regex, low: int, high: int | None, start: int, end: int) -> None:
        for _ in range(low):
            after = self.state()
            self.add(body, start, after)
            start = after
        if high is None:
            loop = self.state()
            self.empty[start].append(loop)
            self.add(body, loop, loop)
            self.empty[loop].append(end)
            return
        self.empty[start].append(end)
        for _ in range(high - low):
            after = self.state()
            self.add(body, start, after)
            self.empty[after].append(end)
            start = after

    def _embed(self, machine: Dfa, start: int, end: int) -> None:
        states = [self.state() for _ in range(len(machine.table))]
        self.empty[start].append(states[0])
        for at, row in enumerate(machine.table):
            for low, high, target in _runs(row):
                self.edges[states[at]].append((low, high, states[target]))
            if machine.accepts[at]:
                self.empty[states[at]].append(end)

    def _closure(self, states: Iterable[int]) -> frozenset[int]:
        found = set(states)
        queue = list(found)
        while queue:
            for after in self.empty[queue.pop()]:
                if after not in found:
                    found.add(after)
                    queue.append(after)
        return frozenset(found)

    def determine(self, start: int) -> Dfa:
        """Subset construction, over ranges of bytes that no edge tells apart."""
        cuts = sorted({0, *(cut for edges in self.edges for low, high, _ in edges for cut in (low, high + 1))} - {256})
        column_of = np.searchsorted(np.array(cuts), np.arange(256), side="right") - 1
        first = self._closure([start])
        numbers, queue, rows, accepts = {first: 0}, [first], [], []
        for subset in queue:  # grows
            targets: list[set[int]] = [set() for _ in cuts]
            for at in subset:
                for low, high, target in self.edges[at]:
                    for column in range(column_of[low], column_of[high] + 1):
                        targets[column].add(target)
            row = np.full(len(cuts), DEAD, dtype=np.int32)
            for column, found in enumerate(targets):
                if found:
                    closed = self._closure(found)
                    if closed not in numbers:
                        if len(queue) == MAX_STATES:
                            raise GrammarError(
                                f"a terminal needs more than {MAX_STATES} scanner states; "
                                "use smaller counts or simpler patterns"
                            )
                        numbers[closed] = len(queue)
                        queue.append(closed)
                    row[column] = numbers[closed]
            rows.append(row)
            accepts.append(frozenset(self.labels[at] for at in subset if at in self.labels))
        return Dfa(np.stack(rows)[:, column_of], tuple(accepts))


def minimal(machine: Dfa) -> Dfa:
    """The smallest automaton with the same labels for every text (Moore); states that lead nowhere are gone."""
    table = without_dead_ends(machine.table, np.array([bool(labels) for labels in machine.accepts]))
    numbers: dict[frozenset[int], int] = {}
    group = np.array([numbers.setdefault(labels, len(numbers)) for labels in machine.accepts], dtype=np.int64)
    merged, order = one_state_a_group(table, refined(np.unique(table, axis=1), group))
    return Dfa(merged, tuple(machine.accepts[at] for at in order))


def both(left: Dfa, right: Dfa) -> Dfa:
    """Texts that both accept."""
    return _product(left, right, need_right=True)


def minus(left: Dfa, right: Dfa) -> Dfa:
    """Texts of `left` that `right` does not accept."""
    return _product(left, right, need_right=False)


def _product(left: Dfa, right: Dfa, need_right: bool) -> Dfa:
    numbers, queue, rows, accepts = {(0, 0): 0}, [(0, 0)], [], []
    for one, two in queue:  # grows; two is DEAD where the right side has given up
        row = np.full(256, DEAD, dtype=np.int32)
        other = right.table[two] if two != DEAD else np.full(256, DEAD, dtype=np.int32)
        for byte, pair in enumerate(zip(left.table[one].tolist(), other.tolist(), strict=True)):
            if pair[0] == DEAD or (need_right and pair[1] == DEAD):
                continue
            if pair not in numbers:
                numbers[pair] = len(queue)
                queue.append(pair)
            row[byte] = numbers[pair]
        rows.append(row)
        matched = two != DEAD and bool(right.accepts[two])
        accepts.append(left.accepts[one] if matched == need_right else frozenset())
    return minimal(Dfa(np.stack(rows), tuple(accepts)))


def _runs(row: NDArray[np.int32]) -> Iterator[tuple[int, int, int]]:
    """Ranges of bytes with one target."""
    edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
    for low, high in pairwise(edges):
        if row[low] != DEAD:
            yield low, high - 1, int(row[low])


def utf8_paths(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], ...]]:
    """The UTF-8 encodings of ranges of characters, as sequences of byte ranges."""
    for low, high in ranges:
        for last in _UTF8_ENDS:
            if low <= min(high, last):
                yield from _same_length(low, min(high, last))
                low = last + 1


def _same_length(low: int, high: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """A range whose ends take equally many bytes: cut until every byte but one spans all its values or one."""
    first, last = chr(low).encode(), chr(high).encode()
    for following in range(len(first) - 1, 0, -1):
        mask = (1 << 6 * following) - 1
        if low & ~mask == high & ~mask:
            continue
        if low & mask:
            yield from _same_length(low, low | mask)
            yield from _same_length((low | mask) + 1, high)
            return
        if high & mask != mask:
            yield from _same_length(low, (high & ~mask) - 1)
            yield from _same_length(high & ~mask, high)
            return
    yield tuple(zip(first, last, strict=True))
