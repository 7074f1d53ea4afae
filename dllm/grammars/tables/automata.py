"""Regular expressions as automata over bytes: trees -> NFA -> DFA -> minimal DFA.

A character is the bytes of its UTF-8 encoding, so an automaton never accepts invalid UTF-8, and half a character is a
state like any other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from dllm.errors import GrammarError
from dllm.grammars.regex import Alt, And, Chars, Minus, Regex, Repeat, Seq, flattened
from dllm.grammars.tables.limits import BUILDING, STEPS, limit, too_large
from dllm.grammars.tables.steps import DEAD, columns_of, one_state_a_group, refined, without_dead_ends
from dllm.grammars.tables.utf8 import character

_SMALLER = "Use smaller counts, fewer counts inside counts, or classes of ASCII"


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Dfa:
    """A deterministic automaton; state 0 is where it starts.

    Attributes:
        table: `[n, 256]` int32, state x byte -> state, or DEAD. Some text is accepted from every state.
        accepts: per state, the labels of the expressions that match what was read; empty where none does.
        marks: states that are entered with a mark (`dllm.grammars.tables.tally`).
    """

    table: NDArray[np.int32]
    accepts: tuple[frozenset[int], ...]
    marks: frozenset[int] = frozenset()

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


def dfa(trees: Sequence[Regex], names: Sequence[str] = ()) -> Dfa:
    """One minimal automaton for all trees; tree i has the label i.

    Args:
        names: of the trees, for messages.

    Raises:
        GrammarError: it would outgrow the limit (`dllm.grammars.tables.limits`); the message names the tree.
    """
    return minimal(deterministic(trees, names))


def deterministic(trees: Sequence[Regex], names: Sequence[str] = ()) -> Dfa:
    """As `dfa`, but not yet minimal."""
    parts = list(names) or ["a pattern" if len(trees) == 1 else f"pattern {i}" for i in range(len(trees))]
    try:
        _check_sizes(trees, parts)
        nfa = _Nfa()
        start = nfa.state()
        for label, tree in enumerate(trees):
            nfa.begins.append(len(nfa.edges))
            nfa.part = parts[label]
            end = nfa.state()
            nfa.labels[end] = label
            nfa.add(tree, start, end)
        return nfa.determine(start, parts)
    except RecursionError:
        raise GrammarError(f"{' or '.join(parts[:3])} is nested too deeply; flatten its groups") from None


def _check_sizes(trees: Sequence[Regex], parts: Sequence[str]) -> None:
    """Refuse what would be too large before it is made deterministic, by counting."""
    sizes = [size(tree) for tree in trees]
    if sum(sizes) > BUILDING * limit():
        most = max(range(len(sizes)), key=sizes.__getitem__)
        raise too_large(parts[most], f"{sizes[most]} states before they are merged", _SMALLER)


def size(tree: Regex) -> int:
    """States that `_Nfa.add` makes for a tree, about."""
    match tree:
        case Chars(ranges):
            return len(character(ranges).edges)
        case Seq(parts):
            return sum(map(size, parts))
        case Alt(options):
            return sum(map(size, options))
        case Repeat():
            once = flattened(tree)
            return (1 + size(once.body)) * max(1, once.low + (once.high is None), once.high or 0)
        case And(left, right) | Minus(left, right):
            return size(left) + size(right)


class _Nfa:
    """States with edges over byte ranges and empty edges.

    Attributes:
        part: the name of the tree that is added, for messages.
        labels: state -> the tree whose texts end there.
        begins: by tree, its first state.
        rank: state -> (one of its kind, coordinates). Of two states of a kind, the one with no coordinate above the
            other's has all its texts: it has as much left of every count. This keeps sets of states small.
    """

    def __init__(self) -> None:
        self.part = ""
        self.edges: list[list[tuple[int, int, int]]] = []
        self.empty: list[list[int]] = []
        self.labels: dict[int, int] = {}
        self.begins: list[int] = []
        self.rank: dict[int, tuple[int, tuple[int, ...]]] = {}

    def state(self) -> int:
        self.edges.append([])
        self.empty.append([])
        return len(self.edges) - 1

    def add(self, tree: Regex, start: int, end: int) -> None:
        """Paths from `start` to `end` that spell the texts of `tree`."""
        match tree:
            case Chars(ranges):
                *inside, first = character(ranges).edges
                numbers = [*(self.state() for _ in inside), end]  # END is the last of them
                for at, edges in zip([*numbers[:-1], start], [*inside, first], strict=True):
                    self.edges[at] += [(low, high, numbers[target]) for low, high, target in edges]
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
            case Repeat():
                self._add_repeat(flattened(tree), start, end)
            case And(left, right):
                self._embed(both(*self._apart(left, right)), start, end)
            case Minus(left, right):
                self._embed(minus(*self._apart(left, right)), start, end)

    def _apart(self, left: Regex, right: Regex) -> tuple[Dfa, Dfa]:
        return dfa([left], [self.part]), dfa([right], [self.part])

    def _add_repeat(self, tree: Repeat, start: int, end: int) -> None:
        for _ in range(tree.low):
            start = self._copy(tree.body, start)
        if tree.high is None:
            loop = self.state()
            self.empty[start].append(loop)
            self.add(tree.body, loop, loop)
            self.empty[loop].append(end)
            return
        self.empty[start].append(end)
        first = len(self.edges)
        for copy in range(tree.high - tree.low):
            begin = len(self.edges)
            start = self._copy(tree.body, start)
            self.empty[start].append(end)
            for at in range(begin, len(self.edges)):  # the copies are alike, state by state
                kind, inner = self.rank.get(at, (at, ()))
                kind = kind if copy == 0 else self.rank[first + at - begin][0]
                self.rank[at] = (kind, (*inner, copy))

    def _copy(self, body: Regex, start: int) -> int:
        """One more `body` behind `start`, in states of its own; where it ends."""
        begin, after = self.state(), self.state()
        self.empty[start].append(begin)
        self.add(body, begin, after)
        return after

    def _embed(self, machine: Dfa, start: int, end: int) -> None:
        states = [self.state() for _ in range(len(machine.table))]
        self.empty[start].append(states[0])
        for at, row in enumerate(machine.table):
            for low, high, target in _runs(row):
                self.edges[states[at]].append((low, high, states[target]))
            if machine.accepts[at]:
                self.empty[states[at]].append(end)

    def _closure(self, states: Iterable[int]) -> set[int]:
        """What empty edges lead to, as far as it has edges or a label."""
        found = set(states)
        queue = list(found)
        while queue:
            for after in self.empty[queue.pop()]:
                if after not in found:
                    found.add(after)
                    queue.append(after)
        return {at for at in found if self.edges[at] or at in self.labels}

    def _needed(self, states: Iterable[int]) -> tuple[int, ...]:
        """Of the closure, the states whose texts no other one has; ascending."""
        closed = self._closure(states)
        if len(closed) == 1:
            return tuple(closed)
        kinds: dict[int, list[tuple[tuple[int, ...], int]]] = {}
        kept = [at for at in closed if at not in self.rank]
        for at in closed:
            if at in self.rank:
                kind, place = self.rank[at]
                kinds.setdefault(kind, []).append((place, at))
        for own in kinds.values():
            front: list[tuple[int, ...]] = []
            for place, at in sorted(own):
                if not any(all(a <= b for a, b in zip(one, place, strict=True)) for one in front):
                    front.append(place)
                    kept.append(at)
        return tuple(sorted(kept))

    def determine(self, start: int, parts: Sequence[str]) -> Dfa:
        """Subset construction, over ranges of bytes that no edge tells apart."""
        cuts = sorted({0, *(cut for edges in self.edges for low, high, _ in edges for cut in (low, high + 1))} - {256})
        column_of = np.searchsorted(np.array(cuts), np.arange(256), side="right") - 1
        edges = _Edges(self.edges, column_of.tolist())
        most, left = limit(), STEPS * limit()
        first = self._needed([start])
        numbers, queue, rows, accepts = {first: 0}, [first], list[NDArray[np.int32]](), list[frozenset[int]]()
        known: dict[tuple[int, ...], int] = {}  # targets of edges -> the state
        for subset in queue:  # grows
            row = np.full(len(cuts), DEAD, dtype=np.int32)
            left -= len(subset)
            for own, key in edges.targets(subset):
                if key not in known:
                    closed = self._needed(key)
                    left -= len(closed)
                    if closed not in numbers:
                        numbers[closed] = len(queue)
                        queue.append(closed)
                    known[key] = numbers[closed]
                row[own] = known[key]
            if len(queue) > most or left < 0:
                raise self._too_large(queue, parts)
            rows.append(row)
            accepts.append(frozenset(self.labels[at] for at in subset if at in self.labels))
        return Dfa(np.stack(rows)[:, column_of], tuple(accepts))

    def _too_large(self, queue: Sequence[tuple[int, ...]], parts: Sequence[str]) -> GrammarError:
        """Blame the tree that would have most of the states alone."""
        own: list[set[tuple[int, ...]]] = [set() for _ in parts]
        for subset in queue:
            for tree, states in groupby(subset, lambda at: max(0, bisect_right(self.begins, at) - 1)):
                own[tree].add(tuple(states))
        part = parts[max(range(len(parts)), key=lambda tree: len(own[tree]))]
        return too_large(part, f"more than {len(queue) - 1} states", _SMALLER)


class _Edges:
    """The edges of an `_Nfa` by columns of bytes that no edge tells apart.

    A set of states in many names at once has many edges, so those are looked up as rows of a table, column -> target.
    """

    FEW = 24
    """Edges of a set of states, up to which they are quicker one by one."""

    def __init__(self, edges: Sequence[Sequence[tuple[int, int, int]]], columns: Sequence[int]) -> None:
        self._edges = [[(columns[low], columns[high] + 1, target) for low, high, target in own] for own in edges]
        self._width = columns[-1] + 1
        self._rows: dict[int, list[int]] = {}  # of a state: several where edges are of the same column
        self._table = np.zeros((64, self._width), dtype=np.int32)
        self._used = 0

    def targets(self, states: Sequence[int]) -> Iterator[tuple[slice, tuple[int, ...]]]:
        """Columns, each once, and where they lead from these states, in their order; none that lead nowhere."""
        few = [edge for at in states for edge in self._edges[at]]
        if len(few) > self.FEW:
            yield from self._from_rows(states)
            return
        cuts = sorted({cut for low, high, _ in few for cut in (low, high)})
        for begin, end in pairwise(cuts):
            if targets := tuple([target for low, high, target in few if low <= begin < high]):
                yield slice(begin, end), targets

    def _from_rows(self, states: Sequence[int]) -> Iterator[tuple[slice, tuple[int, ...]]]:
        turned = np.ascontiguousarray(self._table_of(states).T)
        ends = [*(1 + np.flatnonzero((turned[1:] != turned[:-1]).any(axis=1))).tolist(), self._width]
        kinds: dict[bytes, tuple[int, ...]] = {}
        data, size, begin = turned.tobytes(), turned.shape[1] * turned.itemsize, 0
        for end, own in zip(ends, turned[[0, *ends[:-1]]].tolist(), strict=True):
            kind = data[begin * size : (begin + 1) * size]
            if kind not in kinds:
                kinds[kind] = tuple([target for target in own if target != DEAD])
            if kinds[kind]:
                yield slice(begin, end), kinds[kind]
            begin = end

    def _table_of(self, states: Sequence[int]) -> NDArray[np.int32]:
        rows = [row for at in states for row in (self._rows.get(at) or self._add(at))]
        return self._table[rows]

    def _add(self, state: int) -> list[int]:
        nowhere = [DEAD] * self._width
        rows = [list(nowhere)]
        for low, high, target in self._edges[state]:
            row = next((row for row in rows if row[low:high] == nowhere[low:high]), None)
            if row is None:
                row = list(nowhere)
                rows.append(row)
            row[low:high] = [target] * (high - low)
        first, self._used = self._used, self._used + len(rows)
        while self._used > len(self._table):
            self._table = np.concatenate([self._table, self._table])
        self._table[first : self._used] = rows
        self._rows[state] = list(range(first, self._used))
        return self._rows[state]


def minimal(machine: Dfa) -> Dfa:
    """The smallest automaton with the same labels for every text; states that lead nowhere are gone."""
    members, column_of = columns_of(machine.table)
    table = without_dead_ends(machine.table[:, members], np.array([bool(labels) for labels in machine.accepts]))
    numbers: dict[frozenset[int], int] = {}
    group = np.array([numbers.setdefault(labels, len(numbers)) for labels in machine.accepts], dtype=np.int64)
    merged, order = one_state_a_group(table, refined(table, group))
    return Dfa(np.ascontiguousarray(merged[:, column_of]), tuple(machine.accepts[at] for at in order))


def both(left: Dfa, right: Dfa) -> Dfa:
    """Texts that both accept."""
    return _product(left, right, need_right=True)


def minus(left: Dfa, right: Dfa) -> Dfa:
    """Texts of `left` that `right` does not accept."""
    return _product(left, right, need_right=False)


def _product(left: Dfa, right: Dfa, need_right: bool) -> Dfa:
    members, column_of = columns_of(left.table, right.table)
    ones, twos = left.table[:, members].tolist(), right.table[:, members].tolist()
    nowhere = [DEAD] * len(members)
    numbers, queue, rows, accepts = {(0, 0): 0}, [(0, 0)], list[list[int]](), list[frozenset[int]]()
    for one, two in queue:  # grows; two is DEAD where the right side has given up
        row = list(nowhere)
        for column, pair in enumerate(zip(ones[one], twos[two] if two != DEAD else nowhere, strict=True)):
            if pair[0] == DEAD or (need_right and pair[1] == DEAD):
                continue
            if pair not in numbers:
                numbers[pair] = len(queue)
                queue.append(pair)
            row[column] = numbers[pair]
        if len(queue) > limit():
            raise too_large("a pattern (two that are compared)", f"more than {len(queue) - 1} states", _SMALLER)
        rows.append(row)
        matched = two != DEAD and bool(right.accepts[two])
        accepts.append(left.accepts[one] if matched == need_right else frozenset())
    return minimal(Dfa(np.array(rows, dtype=np.int32)[:, column_of], tuple(accepts)))


def _runs(row: NDArray[np.int32]) -> Iterator[tuple[int, int, int]]:
    """Ranges of bytes with one target."""
    edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
    for low, high in pairwise(edges):
        if row[low] != DEAD:
            yield low, high - 1, int(row[low])
