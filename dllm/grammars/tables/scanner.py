"""The scanner: bytes in, names of lexemes out, one state at a time.

It is a deterministic transducer that splits any text by maximal munch, whatever chunks the text comes in. Its states
hold all that later bytes need to know, so it can start and stop anywhere: between tokens, inside a lexeme, inside a
character.

No lexeme of `Rules.text` that a hole began may go on over given text. So where a lexeme may become one, a state knows
whether a hole began it. All tables read bytes as those of holes. A given token is read by the same tables, but from the
state `before_given`, and leads to `behind_given` the state that they say.

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
        before_given: `[n]` int32, state -> the one that a given token is read from, or DEAD.
        behind_given: `[n]` int32, state -> the one that a given token leads to where one of a hole leads to this.
    """

    next: NDArray[np.int32]
    emits: NDArray[np.int32]
    final: NDArray[np.int32]
    emissions: tuple[Emission, ...]
    labels: tuple[tuple[int, ...], ...]
    before_given: NDArray[np.int32]
    behind_given: NDArray[np.int32]

    @property
    def guards(self) -> bool:
        """Whether a given token may do something else than one of a hole."""
        return bool((self.behind_given != np.arange(len(self.next))).any())

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
    if rules.outline is not None:
        found = _merged(_without_dead_ends(_within(found, dfa([rules.outline]))))
    same = np.arange(len(found.next), dtype=np.int32)
    guards = found.next.shape[1] > BEFORE
    return Scanner(
        next=np.ascontiguousarray(found.next[:, :BEFORE]),
        emits=np.ascontiguousarray(found.emits[:, :BEFORE]),
        final=found.final,
        emissions=found.emissions,
        labels=found.labels,
        before_given=found.next[:, BEFORE].copy() if guards else same,
        behind_given=found.next[:, BEHIND].copy() if guards else same,
    )


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
    return tuple(index for index in standing(rules, accepted) if rules.terminals[index].name not in rules.ignored)


def standing(rules: Rules, accepted: Iterable[int]) -> tuple[int, ...]:
    """Of terminals that match a lexeme, those of the highest priority, ascending."""
    found = sorted(accepted)
    highest = max((rules.terminals[index].priority for index in found), default=0)
    return tuple(index for index in found if rules.terminals[index].priority == highest)


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


def leading(machine: Dfa, rules: Rules) -> list[bool]:
    """States from which a lexeme may become one of `Rules.text`, or is one."""
    text = {index for index, terminal in enumerate(rules.terminals) if terminal.name in rules.text}
    queue = [at for at, accepted in enumerate(machine.accepts) if text.intersection(standing(rules, accepted))]
    found, before = [False] * len(machine.accepts), before_each(machine.table)
    while queue:
        at = queue.pop()
        if not found[at]:
            found[at] = True
            queue += before[at]
    return found


def blank(machine: Dfa, rules: Rules) -> list[bool]:
    """States where a lexeme is one that is ignored, and not of `Rules.text`: what follows has not begun there yet."""
    own = {index for index, terminal in enumerate(rules.terminals) if terminal.name in rules.ignored - rules.text}
    return [bool(accepted) and own.issuperset(standing(rules, accepted)) for accepted in machine.accepts]


BEFORE, BEHIND = 256, 257
"""Columns of a transducer behind those of bytes, if it guards given text: `Scanner.before_given`, `behind_given`."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class _Transducer:
    """A `Scanner` that is being made; `next` and `emits` may have the columns BEFORE and BEHIND."""

    next: NDArray[np.int32]
    emits: NDArray[np.int32]
    final: NDArray[np.int32]
    emissions: tuple[Emission, ...]
    labels: tuple[tuple[int, ...], ...]


PLAIN, HOLE, STOPPED, SPOILT = range(4)
"""Who began a lexeme that may become one of `Rules.text`.

PLAIN: given text; or it has not begun, or cannot become one. HOLE: a hole. STOPPED: a hole, and a given token is next,
of which it may hold nothing. SPOILT: a hole, and it holds given text, so it may only become something else.
"""
_State = tuple[int, int, Emission, int]
"""A state of the terminals' automaton; who began the lexeme; and where the text is if the lexeme falls back: what that
emits, and the number of the state behind it, or NOT_BACK if it does not."""
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
        self.leads = [*leading(machine, rules), False]
        self.blank = [*blank(machine, rules), False]
        self.guards = any(self.leads)
        self.spoilt = [self._spoilt(rules, accepted, symbols) for accepted in machine.accepts] if self.guards else []
        self.endless = [*endless(machine), False]
        self.marks = machine.marks
        self.mark = None if rules.tally is None else self._emitted((numbered(rules, rules.tally.mark),), symbols)
        self.states: list[_State] = [(len(machine.table), PLAIN, (), NOT_BACK)]
        self.numbers = {self.states[0]: 0}
        self.rows: dict[int, list[tuple[Emission, int] | None]] = {}  # of states that others fall back to
        terminals = rules.terminals
        self.part = called(terminals[0]) if len(terminals) == 1 else f"all {len(terminals)} terminals"
        self.most = limit()
        self.left = CELLS * self.most  # labels in sequences that states carry
        # by who began the lexeme, the number of a state that does not fall back
        self.unbacked = [[NOT_BACK] * len(self.steps) for _ in range(SPOILT + 1)]

    def _emitted(self, terminals: tuple[int, ...], symbols: Sequence[int | None]) -> Emission | None:
        """What the end of a lexeme emits: nothing if it is ignored; None if no sentence holds it."""
        if not terminals:
            return ()
        found = {symbol for index in terminals if (symbol := symbols[index]) is not None}
        return (self.labels.setdefault(tuple(sorted(found)), len(self.labels)),) if found else None

    def _spoilt(self, rules: Rules, accepted: Iterable[int], symbols: Sequence[int | None]) -> Emission | None:
        """What the end of a lexeme emits if it may not be one of `Rules.text`."""
        found = [index for index in standing(rules, accepted) if rules.terminals[index].name not in rules.text]
        return self._emitted(meant(rules, found), symbols) if found else None

    def _number(self, state: _State) -> int:
        if state not in self.numbers:
            self.numbers[state] = len(self.states)
            self.states.append(state)
            if len(self.states) > self.most:
                raise too_large(self.part, f"more than {self.most} states of a scanner", "Use smaller counts")
            self.left -= len(state[2])
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
        at, begun, *_ = self.states[number]
        begun = HOLE if number == 0 or self.blank[at] else SPOILT if begun == STOPPED else begun
        for after, back in zip(self.steps[at], self._fallen(number), strict=True):
            who = begun if after != DEAD and self.leads[after] and not self.blank[after] else PLAIN
            if after == DEAD:
                found.append(back)
            elif after in self.marks:
                assert back is None or self.accepts[after], "what is counted does not fall back"
                found.append(None if self.mark is None else (self.mark, self._number((after, who, (), NOT_BACK))))
            elif back is None or self.accepts[after] or self.endless[after]:
                known = self.unbacked[who]
                if known[after] == NOT_BACK:
                    known[after] = self._number((after, who, (), NOT_BACK))
                found.append(((), known[after]))
            else:
                found.append(((), self._number((after, who, *back))))
        return found

    def _beside_given(self, number: int, who: int) -> int:
        """The state, with what holes have begun as begun by `who`."""
        at, begun, emitted, back = self.states[number]
        if back > 0:
            back = self._beside_given(back, who)
        return self._number((at, who if begun == HOLE else begun, emitted, back))

    def _fallen(self, number: int) -> Sequence[tuple[Emission, int] | None]:
        """The row if the lexeme ends before the byte, or where it last could."""
        at, who, emitted, begun = self.states[number]
        if self.accepts[at]:
            own = self.spoilt[at] if who == SPOILT else self.emission[at]
            if own is None:
                return [None] * len(self.steps[at])
            emitted, begun = own, 0
        elif begun == NOT_BACK:
            return [None] * len(self.steps[at])
        if begun not in self.rows:
            self.rows[begun] = self.row(begun)
        return [None if one is None else (emitted + one[0], one[1]) for one in self.rows[begun]]

    def final(self, number: int) -> Emission | None:
        at, who, emitted, begun = self.states[number]
        if number == 0:
            return ()
        if self.accepts[at]:
            return self.spoilt[at] if who == SPOILT else self.emission[at]
        if begun == NOT_BACK:
            return None
        rest = self.final(begun)
        return None if rest is None else emitted + rest

    def build(self) -> _Transducer:
        emissions: dict[Emission, int] = {(): 0}
        steps, emits, final, beside = [], [], [], []
        number = 0
        while number < len(self.states):  # grows
            row = self.row(number)
            steps.append([DEAD if one is None else one[1] for one in row])
            emits.append([0 if one is None else emissions.setdefault(one[0], len(emissions)) for one in row])
            ends = self.final(number)
            final.append(DEAD if ends is None else emissions.setdefault(ends, len(emissions)))
            if self.guards:
                beside.append([self._beside_given(number, STOPPED), self._beside_given(number, PLAIN)])
            number += 1
        onward, emitted = (np.array(table, dtype=np.int32)[:, self.column_of] for table in (steps, emits))
        if self.guards:
            onward = np.column_stack([onward, np.array(beside, dtype=np.int32)])
            emitted = np.column_stack([emitted, np.zeros_like(emitted[:, :2])])
        return _Transducer(onward, emitted, np.array(final, dtype=np.int32), tuple(emissions), tuple(self.labels))


def _reduced(found: _Transducer) -> _Transducer:
    """The same transducer with every label emitted as early as it is certain, and without states that act alike.

    After `)` nothing but `)` can be emitted first, so the step that reads it emits it, and is back at the start.
    """
    return _merged(_without_dead_ends(_early(_without_dead_ends(found))))


def _within(found: _Transducer, outline: Dfa) -> _Transducer:
    """The same transducer for the texts that an automaton accepts, and no others."""
    beside = found.next.shape[1] - outline.table.shape[1]
    own = np.arange(len(outline.table), dtype=np.int32)
    table = np.column_stack([outline.table, *[own] * beside])
    members, column_of = columns_of(found.next, found.emits, table)
    steps, others = found.next[:, members].tolist(), table[:, members].tolist()
    numbers, queue, rows = {(0, 0): 0}, [(0, 0)], list[list[int]]()
    for at, other in queue:  # grows
        row = []
        for pair in zip(steps[at], others[other], strict=True):
            if DEAD not in pair and pair not in numbers:
                numbers[pair] = len(queue)
                queue.append(pair)
            row.append(numbers.get(pair, DEAD))
        rows.append(row)
    own = np.array([at for at, _ in queue], dtype=np.int32)
    accepted = np.array([bool(outline.accepts[other]) for _, other in queue])
    onward = np.array(rows, dtype=np.int32)[:, column_of]
    emits = np.where(onward == DEAD, 0, found.emits[own]).astype(np.int32)
    return replace(found, next=onward, emits=emits, final=np.where(accepted, found.final[own], DEAD).astype(np.int32))


def _without_dead_ends(found: _Transducer) -> _Transducer:
    members, column_of = columns_of(found.next, found.emits)
    steps = without_dead_ends(found.next[:, members], found.final != DEAD)[:, column_of]
    emits = np.where(steps != DEAD, found.emits, 0).astype(np.int32)
    return replace(found, next=steps, emits=emits)


def _early(found: _Transducer) -> _Transducer:
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
    for at, before in enumerate(found.next[:, BEFORE].tolist() if found.next.shape[1] > BEFORE else ()):
        if before != DEAD:
            ahead[before] = ahead[at]  # more may be certain there, but nothing is emitted on the way
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


def _certain(found: _Transducer, members: Sequence[int]) -> list[Emission]:
    """Per state, the longest sequence that everything emitted from there on begins with."""
    steps = found.next[:, members]
    edges = [
        [(found.emissions[emitted], after) for emitted, after in own] for own in ways_of(steps, found.emits[:, members])
    ]
    before = before_each(steps)
    for at, behind in enumerate(found.next[:, BEHIND].tolist() if found.next.shape[1] > BEFORE else ()):
        edges[behind].append(((), at))  # nothing is emitted between the two, either way
        before[at].append(behind)
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


def _merged(found: _Transducer) -> _Transducer:
    """One state for all that emit the same whatever follows."""
    members, column_of = columns_of(found.next, found.emits)
    steps = found.next[:, members]
    group = refined(steps, np.unique(found.final, return_inverse=True)[1].reshape(-1), found.emits[:, members])
    merged, order = one_state_a_group(steps, group)
    return replace(found, next=merged[:, column_of], emits=found.emits[order], final=found.final[order])
