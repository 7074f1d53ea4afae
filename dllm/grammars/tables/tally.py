"""Lexemes whose characters are counted, without a state for each count.

A string of up to 65,536 characters would take that many states, and each of them is multiplied with the vocabulary.
Here the automaton counts up to `Tally.every` only; it emits a mark there and begins anew, so that a long lexeme is read
as marks and then its own name. How many marks there may be is a matter of productions, of which it takes few.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.rules import Rules, Tally
from dllm.grammars.tables.automata import Dfa, dfa, minimal
from dllm.grammars.tables.steps import DEAD, before_each, columns_of

_Place = tuple[int, int, int]
"""A state of the terminals' automaton; characters read behind the last mark; and a state of the automaton of one
character, or one of these."""
_BEFORE, _AFTER, _FREE = -1, -2, -3
"""Nothing is read yet; the lexeme is whole; nothing is counted any more."""
_MARK = -1


def tallied(machine: Dfa, rules: Rules, tally: Tally) -> Dfa:
    """The automaton of the terminals, which counts: `Dfa.marks` are states behind the last of so many characters.

    Counting ends where none of the terminals that are counted can come about any more.
    """
    counter = _Counter(machine, rules, tally)
    numbers: dict[_Place, int] = {counter.start: 0}
    queue, rows = [counter.start], list[list[int]]()
    for place in queue:  # grows
        row = []
        for column in range(len(counter.members)):
            after = counter.after(place, column)
            if after is not None and after not in numbers:
                numbers[after] = len(queue)
                queue.append(after)
            row.append(DEAD if after is None else numbers[after])
        rows.append(row)
    accepts = [counter.accepted(place) for place in queue]
    table = np.array(rows, dtype=np.int32)[:, counter.column_of]
    found = minimal(Dfa(table, tuple(accepts)))
    marks = frozenset(state for state, labels in enumerate(found.accepts) if _MARK in labels)
    return replace(found, accepts=tuple(labels - {_MARK} for labels in found.accepts), marks=marks)


class _Counter:
    """Both automata at once, over bytes by kind.

    Attributes:
        members, column_of: a byte of each kind, and the kind of each byte.
        start: where both begin.
    """

    def __init__(self, machine: Dfa, rules: Rules, tally: Tally) -> None:
        quote, unit = (dfa([tree]) for tree in (tally.quote, tally.unit))
        self.members, self.column_of = columns_of(machine.table, unit.table, quote.table)
        self.start: _Place = (0, 0, _BEFORE)
        self._steps, self._unit, self._quote = (one.table[:, self.members].tolist() for one in (machine, unit, quote))
        self._whole = [bool(labels) for labels in unit.accepts]
        self._accepts, self._every = machine.accepts, tally.every
        names = [terminal.name for terminal in rules.terminals]
        self._rests = {names.index(name): rest for name, rest in tally.rests.items()}
        self._counts = _leading_to(
            machine, np.array([not labels.isdisjoint(self._rests) for labels in machine.accepts])
        )

    def after(self, place: _Place, column: int) -> _Place | None:
        at, count, inner = place
        onward = self._steps[at][column]
        if onward == DEAD:
            return None
        if not self._counts[onward] or inner in (_AFTER, _FREE):
            return onward, 0, _FREE
        if inner == _BEFORE:
            return onward, 0, 0 if self._quote[0][column] != DEAD else _FREE
        if inner == 0 and self._quote[0][column] != DEAD:
            return onward, count % self._every, _AFTER
        inner = self._unit[inner][column]
        if inner == DEAD:
            return onward, 0, _FREE
        return (onward, count % self._every + 1, 0) if self._whole[inner] else (onward, count, inner)

    def accepted(self, place: _Place) -> frozenset[int]:
        """Labels of the terminals that match; and _MARK behind the last of so many characters."""
        at, count, inner = place
        rests = self._rests if inner == _AFTER else {}
        found = frozenset(
            label
            for label in self._accepts[at]
            if label not in self._rests or (label in rests and rests[label][0] <= count <= rests[label][1])
        )
        return found | {_MARK} if inner == 0 and count == self._every else found


def _leading_to(machine: Dfa, good: NDArray[np.bool_]) -> list[bool]:
    """Whether some text leads from a state to a good one."""
    members, _ = columns_of(machine.table)
    before = before_each(machine.table[:, members])
    found: list[bool] = good.tolist()
    queue = [state for state, own in enumerate(found) if own]
    for state in queue:  # grows
        for one in before[state]:
            if not found[one]:
                found[one] = True
                queue.append(one)
    return found
