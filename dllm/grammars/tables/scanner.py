"""The scanner: bytes in, names of lexemes out, one state at a time.

It is a deterministic transducer that splits any text by maximal munch, whatever chunks the text comes in. Its states
hold all that later bytes need to know, so it can start and stop anywhere: between tokens, inside a lexeme, inside a
character.

Where a longer lexeme fails to come about (`1.` of `1..2`, where `.` alone is no number's end), the text falls back to
the last lexeme that was complete; the state carries what that would emit. A lexeme that could go on without end, such
as a comment that is not closed, is never given up: a text that ends inside it is refused, as compilers do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dllm.errors import GrammarError
from dllm.grammars.regex import NOTHING, Regex
from dllm.grammars.rules import Rules, Terminal
from dllm.grammars.tables.automata import Dfa, dfa
from dllm.grammars.tables.limits import CELLS, limit, too_large
from dllm.grammars.tables.steps import (
    DEAD,
    before_each,
    columns_of,
    one_state_a_group,
    refined,
    ways_of,
    without_dead_ends,
)
from dllm.grammars.tables.tally import tallied

Emission = tuple[int, ...]
"""Labels of lexemes, in order."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Scanner:
    """Tables of the transducer; state 0 is where a text starts.

    Attributes:
        next: `[n, 256]` int32, state x byte -> state, or DEAD where no text goes on so.
        emits: `[n, 256]` int32, index into `emissions` of what the step emits; 0 is nothing.
        final: `[n]` int32, index of what the end of the text emits there, or DEAD where no text may end.
        emissions: sequences of labels.
        labels: label -> the symbols a lexeme may be, ascending.
    """

    next: NDArray[np.int32]
    emits: NDArray[np.int32]
    final: NDArray[np.int32]
    emissions: tuple[Emission, ...]
    labels: tuple[tuple[int, ...], ...]

    def scan(self, data: bytes) -> Emission | int:
        """The labels of a whole text, or the offset of the byte where none is possible (its length: at the end)."""
        found: list[int] = []
        state = 0
        for at, byte in enumerate(data):
            found += self.emissions[self.emits[state, byte]]
            state = int(self.next[state, byte])
            if state == DEAD:
                return at
        if self.final[state] == DEAD:
            return len(data)
        return (*found, *self.emissions[self.final[state]])


def scanner(rules: Rules, symbols: Sequence[int | None]) -> Scanner:
    """The scanner of a grammar's terminals.

    Args:
        symbols: terminal (index into `Rules.terminals`) -> the symbol that the grammar knows it by (`Cfg.symbol_of`),
            or None where no sentence uses it: such a lexeme is dead, and so are states that lead nowhere else.

    Raises:
        GrammarError: a terminal that matches the empty text or nothing at all, or too many states.
    """
    machine = machine_of(rules)
    if machine.accepts[0]:
        name = rules.terminals[min(machine.accepts[0])].name
        raise GrammarError(f"terminal {name} matches the empty text; a lexeme has at least one character")
    reached = frozenset().union(*machine.accepts)
    tally = () if rules.tally is None else (rules.tally.mark, *rules.tally.rests)
    for index, terminal in enumerate(rules.terminals):
        if index not in reached and terminal.name not in tally:
            raise GrammarError(f"terminal {terminal.name} matches no text at all; remove it")
    found = _reduced(_TransducerBuilder(rules, machine, symbols).build())
    return found if rules.outline is None else _merged(_without_dead_ends(_within(found, dfa([rules.outline]))))


def machine_of(rules: Rules) -> Dfa:
    """The automaton of a grammar's terminals; terminal i has the label i. Raises GrammarError, as `dfa` does."""
    if rules.tally is None:
        patterns = [terminal.pattern for terminal in rules.terminals]
        return dfa(patterns, [called(terminal) for terminal in rules.terminals])
    own: dict[Regex, list[int]] = {}  # those of a length have one pattern
    for index, terminal in enumerate(rules.terminals):
        own.setdefault(NOTHING if terminal.name == rules.tally.mark else terminal.pattern, []).append(index)
    found = dfa(list(own), [called(rules.terminals[indices[0]]) for indices in own.values()])
    labels = list(own.values())
    accepts = tuple(frozenset(index for label in one for index in labels[label]) for one in found.accepts)
    return tallied(replace(found, accepts=accepts), rules, rules.tally)


def called(terminal: Terminal) -> str:
    """A terminal in errors about its size."""
    name = terminal.name if len(terminal.name) <= 60 else f"{terminal.name[:60]}..."
    return terminal.asked or f"terminal {name}"


def meant(rules: Rules, accepted: Iterable[int]) -> tuple[int, ...]:
    """What a lexeme may be that these terminals match: of the highest priority, ascending; none if it is ignored."""
    found = sorted(accepted)
    highest = max((rules.terminals[index].priority for index in found), default=0)
    return tuple(
        index
        for index in found
        if rules.terminals[index].priority == highest and rules.terminals[index].name not in rules.ignored
    )


def numbered(rules: Rules, name: str) -> int:
    return next(index for index, terminal in enumerate(rules.terminals) if terminal.name == name)


def endless(machine: Dfa) -> list[bool]:
    """States of unfinished lexemes from which a lexeme may stay unfinished without end.

    None inside a character: which one it is decides, not the bytes that it shares with others.
    """
    found = [not accepted for accepted in machine.accepts]
    members, _ = columns_of(machine.table)
    steps = machine.table[:, members]
    before = before_each(steps)
    onward = [sum(found[after] for after in set(row) - {DEAD}) for row in steps.tolist()]
    queue = [at for at, ways in enumerate(onward) if found[at] and not ways]
    while queue:  # give up those that lead to none that is kept
        at = queue.pop()
        found[at] = False
        for one in before[at]:
            onward[one] -= 1
            if found[one] and not onward[one]:
                queue.append(one)
    between = (machine.table[:, 0x80:0xC0] == DEAD).all(axis=1).tolist()  # no byte that goes on with a character
    return [kept and apart for kept, apart in zip(found, between, strict=True)]


_State = tuple[int, Emission, int]
"""A state of the terminals' automaton; and where the text is if the lexeme falls back: what that emits, and the number
of the state behind it, or NOT_BACK if it does not."""
NOT_BACK = -1


class _TransducerBuilder:
    """States of the transducer, numbered as they are found from the start on; bytes by kind."""

    def __init__(self, rules: Rules, machine: Dfa, symbols: Sequence[int | None]) -> None:
        self.labels: dict[tuple[int, ...], int] = {}
        members, self.column_of = columns_of(machine.table)
        # nothing leads back to the start, whose text is empty
        self.steps = np.vstack([machine.table, machine.table[:1]])[:, members].tolist()
        self.accepts = [*(bool(accepted) for accepted in machine.accepts), False]
        emitted = (self._emitted(meant(rules, accepted), symbols) for accepted in machine.accepts)
        self.emission: list[Emission | None] = [*emitted, ()]
        self.endless = [*endless(machine), False]
        self.marks = machine.marks
        self.mark = None if rules.tally is None else self._emitted((numbered(rules, rules.tally.mark),), symbols)
        self.states: list[_State] = [(len(machine.table), (), NOT_BACK)]
        self.numbers = {self.states[0]: 0}
        self.rows: dict[int, list[tuple[Emission, int] | None]] = {}  # of states that others fall back to
        terminals = rules.terminals
        self.part = called(terminals[0]) if len(terminals) == 1 else f"all {len(terminals)} terminals"
        self.most = limit()
        self.left = CELLS * self.most  # labels in sequences that states carry
        self.plain = [NOT_BACK] * len(self.steps)  # the number of a state that does not fall back

    def _emitted(self, terminals: tuple[int, ...], symbols: Sequence[int | None]) -> Emission | None:
        """What the end of a lexeme emits: nothing if it is ignored; None if no sentence holds it."""
        if not terminals:
            return ()
        found = {symbol for index in terminals if (symbol := symbols[index]) is not None}
        return (self.labels.setdefault(tuple(sorted(found)), len(self.labels)),) if found else None

    def _number(self, state: _State) -> int:
        if state not in self.numbers:
            self.numbers[state] = len(self.states)
            self.states.append(state)
            if len(self.states) > self.most:
                raise too_large(self.part, f"more than {self.most} states of a scanner", "Use smaller counts")
            self.left -= len(state[1])
            if self.left < 0:
                raise too_large(
                    "what lexemes fall back to",
                    f"{CELLS * limit()} places in sequences of them",
                    "Use terminals of which none begins like many of another",
                )
        return self.numbers[state]

    def row(self, number: int) -> list[tuple[Emission, int] | None]:
        """By kind of byte: what the step emits and the state behind it, or None."""
        found: list[tuple[Emission, int] | None] = []
        for after, back in zip(self.steps[self.states[number][0]], self._fallen(number), strict=True):
            if after == DEAD:
                found.append(back)
            elif after in self.marks:
                assert back is None or self.accepts[after], "what is counted does not fall back"
                found.append(None if self.mark is None else (self.mark, self._number((after, (), NOT_BACK))))
            elif back is None or self.accepts[after] or self.endless[after]:
                if self.plain[after] == NOT_BACK:
                    self.plain[after] = self._number((after, (), NOT_BACK))
                found.append(((), self.plain[after]))
            else:
                found.append(((), self._number((after, *back))))
        return found

    def _fallen(self, number: int) -> Sequence[tuple[Emission, int] | None]:
        """The row if the lexeme ends before the byte, or where it last could."""
        at, emitted, begun = self.states[number]
        if self.accepts[at]:
            own = self.emission[at]
            if own is None:
                return [None] * len(self.steps[at])
            emitted, begun = own, 0
        elif begun == NOT_BACK:
            return [None] * len(self.steps[at])
        if begun not in self.rows:
            self.rows[begun] = self.row(begun)
        return [None if one is None else (emitted + one[0], one[1]) for one in self.rows[begun]]

    def final(self, number: int) -> Emission | None:
        at, emitted, begun = self.states[number]
        if number == 0:
            return ()
        if self.accepts[at]:
            return self.emission[at]
        if begun == NOT_BACK:
            return None
        rest = self.final(begun)
        return None if rest is None else emitted + rest

    def build(self) -> Scanner:
        emissions: dict[Emission, int] = {(): 0}
        steps, emits, final = [], [], []
        number = 0
        while number < len(self.states):  # grows
            row = self.row(number)
            steps.append([DEAD if one is None else one[1] for one in row])
            emits.append([0 if one is None else emissions.setdefault(one[0], len(emissions)) for one in row])
            ends = self.final(number)
            final.append(DEAD if ends is None else emissions.setdefault(ends, len(emissions)))
            number += 1
        onward, emitted = (np.array(table, dtype=np.int32)[:, self.column_of] for table in (steps, emits))
        return Scanner(onward, emitted, np.array(final, dtype=np.int32), tuple(emissions), tuple(self.labels))


def _reduced(found: Scanner) -> Scanner:
    """The same transducer with every label emitted as early as it is certain, and without states that act alike.

    After `)` nothing but `)` can be emitted first, so the step that reads it emits it, and is back at the start.
    """
    return _merged(_without_dead_ends(_early(_without_dead_ends(found))))


def _within(found: Scanner, outline: Dfa) -> Scanner:
    """The same transducer for the texts that an automaton accepts, and no others."""
    members, column_of = columns_of(found.next, found.emits, outline.table)
    steps, others = found.next[:, members].tolist(), outline.table[:, members].tolist()
    numbers, queue, rows = {(0, 0): 0}, [(0, 0)], list[list[int]]()
    for at, other in queue:  # grows
        row = []
        for pair in zip(steps[at], others[other], strict=True):
            if DEAD not in pair and pair not in numbers:
                numbers[pair] = len(queue)
                queue.append(pair)
            row.append(numbers.get(pair, DEAD))
        rows.append(row)
    own = np.array([at for at, _ in queue])
    accepted = np.array([bool(outline.accepts[other]) for _, other in queue])
    onward = np.array(rows, dtype=np.int32)[:, column_of]
    emits = np.where(onward == DEAD, 0, found.emits[own]).astype(np.int32)
    return replace(found, next=onward, emits=emits, final=np.where(accepted, found.final[own], DEAD).astype(np.int32))


def _without_dead_ends(found: Scanner) -> Scanner:
    members, column_of = columns_of(found.next, found.emits)
    steps = without_dead_ends(found.next[:, members], found.final != DEAD)[:, column_of]
    emits = np.where(steps != DEAD, found.emits, 0).astype(np.int32)
    return replace(found, next=steps, emits=emits)


def _early(found: Scanner) -> Scanner:
    """Move what all ways on from a state emit first to the steps that lead there (Mohri's onward form)."""
    numbers = {emission: index for index, emission in enumerate(found.emissions)}
    emissions = list(found.emissions)

    def number(emission: Emission) -> int:
        if emission not in numbers:
            numbers[emission] = len(emissions)
            emissions.append(emission)
        return numbers[emission]

    members, column_of = columns_of(found.next, found.emits)
    steps, emits, final = found.next[:, members], found.emits[:, members], found.final.copy()
    ahead = _certain(found, members)
    ahead[0] = ()  # nothing leads to the start
    moved = np.array([bool(certain) for certain in ahead])
    for at in np.flatnonzero(moved | (moved[steps] & (steps != DEAD)).any(axis=1)).tolist():
        own, certain = emits[at].tolist(), ahead[at]
        for column, after in enumerate(steps[at].tolist()):
            if after != DEAD and (own[column] or ahead[after] != certain):
                whole = found.emissions[own[column]] + ahead[after]
                own[column] = number(whole[len(certain) :])
        emits[at] = own
        if final[at] != DEAD:
            final[at] = number(found.emissions[found.final[at]][len(certain) :])
    return replace(found, emits=emits[:, column_of], final=final, emissions=tuple(emissions))


def _certain(found: Scanner, members: Sequence[int]) -> list[Emission]:
    """Per state, the longest sequence that everything emitted from there on begins with."""
    steps = found.next[:, members]
    edges = [
        [(found.emissions[emitted], after) for emitted, after in own] for own in ways_of(steps, found.emits[:, members])
    ]
    before = before_each(steps)
    ahead: list[Emission | None] = [None] * len(edges)  # None: not known to lead anywhere yet
    queue = deque(np.flatnonzero(found.final != DEAD).tolist())
    waiting = set(queue)
    while queue:
        at = queue.popleft()
        waiting.discard(at)
        ways = [emitted + known for emitted, after in edges[at] if (known := ahead[after]) is not None]
        if found.final[at] != DEAD:
            ways.append(found.emissions[found.final[at]])
        shared = _common(ways)
        if shared != ahead[at]:
            ahead[at] = shared
            for one in before[at]:
                if one not in waiting:
                    waiting.add(one)
                    queue.append(one)
    return [() if one is None else one for one in ahead]


def _common(sequences: Sequence[Emission]) -> Emission:
    first, last = min(sequences), max(sequences)
    length = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    return first[: min(len(first), len(last)) if length is None else length]


def _merged(found: Scanner) -> Scanner:
    """One state for all that emit the same whatever follows."""
    members, column_of = columns_of(found.next, found.emits)
    steps = found.next[:, members]
    group = refined(steps, np.unique(found.final, return_inverse=True)[1].reshape(-1), found.emits[:, members])
    merged, order = one_state_a_group(steps, group)
    return replace(found, next=merged[:, column_of], emits=found.emits[order], final=found.final[order])
