"""The scanner: bytes in, names of lexemes out, one state at a time.

It is a deterministic transducer that splits any text by maximal munch, whatever chunks the text comes in. Its states
hold all that later bytes need to know, so it can start and stop anywhere: between tokens, inside a lexeme, inside a
character.

Where a longer lexeme fails to come about (`1.` of `1..2`, where `.` alone is no number's end), the text falls back to
the last lexeme that was complete; the state carries what that would emit. A lexeme that could go on without end, such
as a comment that is not closed, is never given up: a text that ends inside it is refused, as compilers do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dllm.errors import GrammarError
from dllm.grammars.rules import Rules
from dllm.grammars.tables.automata import Dfa, dfa
from dllm.grammars.tables.steps import DEAD, one_state_a_group, refined, without_dead_ends

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
    machine = dfa([terminal.pattern for terminal in rules.terminals])
    if machine.accepts[0]:
        name = rules.terminals[min(machine.accepts[0])].name
        raise GrammarError(f"terminal {name} matches the empty text; a lexeme has at least one character")
    reached = frozenset().union(*machine.accepts)
    for index, terminal in enumerate(rules.terminals):
        if index not in reached:
            raise GrammarError(f"terminal {terminal.name} matches no text at all; remove it")
    return _reduced(_TransducerBuilder(rules, machine, symbols).build())


def meant(rules: Rules, accepted: Iterable[int]) -> tuple[int, ...]:
    """What a lexeme may be that these terminals match: of the highest priority, ascending; none if it is ignored."""
    found = sorted(accepted)
    highest = max((rules.terminals[index].priority for index in found), default=0)
    return tuple(
        index
        for index in found
        if rules.terminals[index].priority == highest and rules.terminals[index].name not in rules.ignored
    )


def endless(machine: Dfa) -> list[bool]:
    """States of unfinished lexemes from which a lexeme may stay unfinished without end.

    None inside a character: which one it is decides, not the bytes that it shares with others.
    """
    found = np.array([not accepted for accepted in machine.accepts])
    inner = [set(row[row != DEAD].tolist()) for row in machine.table]
    while True:  # keep those that lead to one that is kept
        kept = found & np.array([any(found[after] for after in own) for own in inner])
        if (kept == found).all():
            between = (machine.table[:, 0x80:0xC0] == DEAD).all(axis=1)  # no byte that goes on with a character
            return [bool(one) for one in found & between]
        found = kept


@dataclass(frozen=True, slots=True)
class _State:
    """A state of the terminals' automaton, and where the text is if the lexeme falls back; None: it does not."""

    at: int
    back: tuple[Emission, _State] | None = None


class _TransducerBuilder:
    """States of the transducer, found from the start on."""

    def __init__(self, rules: Rules, machine: Dfa, symbols: Sequence[int | None]) -> None:
        self.labels: dict[tuple[int, ...], int] = {}
        # nothing leads back to the start, whose text is empty
        self.rows = np.vstack([machine.table, machine.table[:1]]).tolist()
        self.accepts = [*(bool(accepted) for accepted in machine.accepts), False]
        emitted = (self._emitted(meant(rules, accepted), symbols) for accepted in machine.accepts)
        self.emission: list[Emission | None] = [*emitted, ()]
        self.endless = [*endless(machine), False]
        self.start = _State(len(machine.table))

    def _emitted(self, terminals: tuple[int, ...], symbols: Sequence[int | None]) -> Emission | None:
        """What the end of a lexeme emits: nothing if it is ignored; None if no sentence holds it."""
        if not terminals:
            return ()
        found = {symbol for index in terminals if (symbol := symbols[index]) is not None}
        return (self.labels.setdefault(tuple(sorted(found)), len(self.labels)),) if found else None

    def step(self, state: _State, byte: int) -> tuple[Emission, _State] | None:
        after = self.rows[state.at][byte]
        done = self.accepts[state.at]
        if after != DEAD and self.accepts[after]:
            return (), _State(after)
        fallen = self._fallen(state, byte, done)
        if after == DEAD:
            return fallen
        return (), _State(after, None if self.endless[after] else fallen)

    def _fallen(self, state: _State, byte: int, done: bool) -> tuple[Emission, _State] | None:
        """After `byte`, if the lexeme ends before it or where it last could."""
        if done:
            emitted, begun = self.emission[state.at], self.start
        elif state.back is not None:
            emitted, begun = state.back
        else:
            return None
        found = self.step(begun, byte)
        return None if found is None or emitted is None else (emitted + found[0], found[1])

    def final(self, state: _State) -> Emission | None:
        if state == self.start:
            return ()
        if self.accepts[state.at]:
            return self.emission[state.at]
        if state.back is None:
            return None
        rest = self.final(state.back[1])
        return None if rest is None else state.back[0] + rest

    def build(self) -> Scanner:
        emissions: dict[Emission, int] = {(): 0}
        numbers, queue = {self.start: 0}, [self.start]
        steps, emits, final = [], [], []
        for state in queue:  # grows
            row, out = np.full(256, DEAD, dtype=np.int32), np.zeros(256, dtype=np.int32)
            for byte in range(256):
                found = self.step(state, byte)
                if found is not None:
                    if found[1] not in numbers:
                        numbers[found[1]] = len(queue)
                        queue.append(found[1])
                    row[byte] = numbers[found[1]]
                    out[byte] = emissions.setdefault(found[0], len(emissions))
            ends = self.final(state)
            steps.append(row)
            emits.append(out)
            final.append(DEAD if ends is None else emissions.setdefault(ends, len(emissions)))
        tables = (np.stack(steps), np.stack(emits), np.array(final, dtype=np.int32))
        return Scanner(*tables, tuple(emissions), tuple(self.labels))


def _reduced(found: Scanner) -> Scanner:
    """The same transducer with every label emitted as early as it is certain, and without states that act alike.

    After `)` nothing but `)` can be emitted first, so the step that reads it emits it, and is back at the start.
    """
    return _merged(_without_dead_ends(_early(_without_dead_ends(found))))


def _without_dead_ends(found: Scanner) -> Scanner:
    steps = without_dead_ends(found.next, found.final != DEAD)
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

    steps, emits, final = found.next, found.emits.copy(), found.final.copy()
    ahead = _certain(found)
    ahead[0] = ()  # nothing leads to the start
    for at in range(len(steps)):
        for byte in np.flatnonzero(steps[at] != DEAD).tolist():
            whole = found.emissions[found.emits[at, byte]] + ahead[steps[at, byte]]
            emits[at, byte] = number(whole[len(ahead[at]) :])
        if final[at] != DEAD:
            final[at] = number(found.emissions[found.final[at]][len(ahead[at]) :])
    return replace(found, emits=emits, final=final, emissions=tuple(emissions))


def _certain(found: Scanner) -> list[Emission]:
    """Per state, the longest sequence that everything emitted from there on begins with."""
    edges: list[set[tuple[Emission, int]]] = []
    for at in range(len(found.next)):
        alive = np.flatnonzero(found.next[at] != DEAD)
        pairs = zip(found.emits[at, alive].tolist(), found.next[at, alive].tolist(), strict=True)
        edges.append({(found.emissions[emitted], after) for emitted, after in pairs})
    ahead: list[Emission | None] = [None] * len(edges)  # None: not known to lead anywhere yet
    changed = True
    while changed:
        changed = False
        for at, own in enumerate(edges):
            ways = [emitted + known for emitted, after in own if (known := ahead[after]) is not None]
            if found.final[at] != DEAD:
                ways.append(found.emissions[found.final[at]])
            shared = _common(ways) if ways else None
            if shared != ahead[at]:
                ahead[at], changed = shared, True
    return [() if one is None else one for one in ahead]


def _common(sequences: Sequence[Emission]) -> Emission:
    first, last = min(sequences), max(sequences)
    length = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    return first[: min(len(first), len(last)) if length is None else length]


def _merged(found: Scanner) -> Scanner:
    """One state for all that emit the same whatever follows."""
    columns = np.unique(np.vstack([found.next, found.emits]), axis=1)
    steps, emits = columns[: len(found.next)], columns[len(found.next) :]
    group = refined(steps, np.unique(found.final, return_inverse=True)[1].reshape(-1), emits)
    merged, order = one_state_a_group(found.next, group)
    return replace(found, next=merged, emits=found.emits[order], final=found.final[order])
