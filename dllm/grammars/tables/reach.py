"""Where the bytes of a gap can lead in a scanner, whatever they are and however many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.tables.flat import Bools, Ints, Words, ragged, starts
from dllm.grammars.tables.scanner import Emission, Scanner
from dllm.grammars.tables.steps import DEAD

FREE = 90
"""Bytes that a state takes without a label, from which on it is inside free text: a string, a comment."""


class ReachSets(NamedTuple):
    """A `Reach` with its sets of states as rows of bits, as the search takes it into its loops.

    Attributes:
        silent, calm, landed: `[S, words]`, `[S, words]` and `[sets, words]`.
        free: `[words]`.
        later: `[1]`, `Reach.any`.
        after, plain: as there, and so are all others.
    """

    silent: Words
    calm: Words
    landed: Words
    free: Words
    first: Ints
    later: Ints
    step_label: Ints
    step_landed: Ints
    step_at: Ints
    after: Ints
    plain: Bools


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Reach:
    """What the closed form of a gap is made of. Rows of different lengths lie end to end, those of x at `_at[x]`.

    Attributes:
        silent, silent_at: by state, the states that some bytes lead to without a label, itself among them.
        calm, calm_at: the same, but the lexeme stays the same, or is begun without free text.
        first: `[S]`, which row of steps says what may come first.
        any: which row of steps says what may come later, from anywhere.
        step_label, step_landed, step_at: rows of steps: a label, and which set of states some bytes lead to behind it.
        landed, landed_at: those sets.
        after: states that some bytes lead to, from anywhere, behind a label.
        free: `[S]` bool, states inside free text: a string, a comment.
        leads: `[S, labels + 1]` bool, whether a label may come next after a state; last, whether the text may end.
        plain: `[S]` bool, states enough to put any sentence on any canvas, but for lexemes that a fixed token cuts.
    """

    silent: Ints
    silent_at: Ints
    calm: Ints
    calm_at: Ints
    first: Ints
    any: Ints
    step_label: Ints
    step_landed: Ints
    step_at: Ints
    landed: Ints
    landed_at: Ints
    after: Ints
    free: Bools
    leads: Bools
    plain: Bools

    @classmethod
    def make(cls, scanner: Scanner) -> Reach:
        silent, loud = _steps(scanner)
        closed = _closure(silent)
        rows = _StepRows(closed)
        steps = {step for own in loud for step in own}
        inner = {(label, None) for labels, _ in steps for label in labels[:-1]}
        firsts = [{(labels[0], after if len(labels) == 1 else None) for labels, after in own} for own in loud]
        first = rows.behind(firsts)
        later = rows.of(inner | {(labels[-1], after) for labels, after in steps})
        step_at, step_label = ragged([tuple(label for label, _ in row) for row in rows.made.values()])
        step_landed = np.array([landed for row in rows.made.values() for _, landed in row], dtype=np.int32)
        landed_at, landed = ragged(list(rows.sets))
        reached = closed[[state for _, state in steps]].any(axis=0) if steps else np.zeros(len(closed), dtype=bool)
        quiet = np.array([not emission for emission in scanner.emissions])
        room = ((scanner.next != DEAD) & quiet[scanner.emits]).sum(axis=1)  # bytes that are taken without a label
        free: Bools = room >= FREE
        same, begun = silent.copy(), silent.copy()
        same[:, 0], begun[:, free] = False, False
        leads = _leads(scanner, closed, firsts)
        return cls(
            *_columns(closed),
            *_columns(np.concatenate([_closure(begun)[:1], _closure(same)[1:]])),
            first=np.array(first, dtype=np.int32),
            any=np.array([later], dtype=np.int32),
            step_label=step_label,
            step_landed=step_landed,
            step_at=step_at,
            landed=landed,
            landed_at=landed_at,
            after=np.flatnonzero(reached).astype(np.int32),
            free=free,
            leads=leads,
            plain=_plain(loud, room, free, leads),
        )

    @cached_property
    def sets(self) -> ReachSets:
        count = len(self.free)
        return ReachSets(
            silent=_bits(self.silent, self.silent_at, count),
            calm=_bits(self.calm, self.calm_at, count),
            landed=_bits(self.landed, self.landed_at, count),
            free=_bits(np.flatnonzero(self.free), np.array([0, self.free.sum()]), count)[0],
            first=self.first,
            later=self.any,
            step_label=self.step_label,
            step_landed=self.step_landed,
            step_at=self.step_at,
            after=self.after,
            plain=self.plain,
        )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(one.name for one in fields(cls))


Loud = Sequence[set[tuple[Emission, int]]]
"""By state: (labels, state after) of the bytes that emit labels."""
Step = tuple[int, int | None]
"""A label, and the state behind it; None where another label follows at once."""
Landings = tuple[tuple[int, int], ...]


def _steps(scanner: Scanner) -> tuple[Bools, Loud]:
    """What one byte does: `[S, S]` bool, where it leads without a label; and with labels."""
    count = len(scanner.next)
    silent = np.zeros((count, count), dtype=bool)
    loud: list[set[tuple[Emission, int]]] = [set() for _ in range(count)]
    keys = np.where(scanner.next == DEAD, DEAD, scanner.next.astype(np.int64) << 32 | scanner.emits)
    for at in range(count):
        for key in np.unique(keys[at]).tolist():
            if key >= 0:
                after, emission = key >> 32, scanner.emissions[key & 0xFFFFFFFF]
                if emission:
                    loud[at].add((emission, after))
                else:
                    silent[at, after] = True
    return silent, loud


def _leads(scanner: Scanner, closed: Bools, firsts: Sequence[set[Step]]) -> Bools:
    own = np.zeros((len(closed), len(scanner.labels) + 1), dtype=np.float32)
    for state, steps in enumerate(firsts):
        own[state, [label for label, _ in steps]] = 1
        if scanner.final[state] != DEAD:
            emission = scanner.emissions[scanner.final[state]]
            own[state, emission[0] if emission else -1] = 1
    found: Bools = closed.astype(np.float32) @ own > 0
    return found


def _plain(loud: Loud, room: NDArray[np.int64], free: Bools, leads: Bools) -> Bools:
    """The start, states inside free text, and for each label one that emits it next and can do little else."""
    choices = leads.sum(axis=1)
    found = free.copy()
    found[0] = True
    next_to: dict[int, set[int]] = {}
    for state in range(1, len(loud)):
        for labels, _ in loud[state]:
            next_to.setdefault(labels[0], set()).add(state)
    for own in next_to.values():
        found[min(sorted(own), key=lambda state: (choices[state], -room[state]))] = True
    return found


class _StepRows:
    """Rows of steps and the sets of states they land in, each once, numbered as they are met."""

    def __init__(self, closed: Bools) -> None:
        self._closed = closed
        self._known: dict[frozenset[Step], int] = {}
        self.made: dict[int, Landings] = {}
        self.sets: dict[tuple[int, ...], int] = {}

    def of(self, steps: Iterable[Step]) -> int:
        key = frozenset(steps)
        if key not in self._known:
            found: dict[int, list[int]] = {}
            for label, state in key:
                own = found.setdefault(label, [])
                if state is not None:
                    own.append(state)
            self._known[key] = len(self.made)
            self.made[len(self.made)] = tuple((label, self._set(own)) for label, own in sorted(found.items()))
        return self._known[key]

    def _set(self, states: Sequence[int]) -> int:
        landed = np.flatnonzero(self._closed[states].any(axis=0)) if states else np.zeros(0, dtype=int)
        return self.sets.setdefault(tuple(landed.tolist()), len(self.sets))

    def behind(self, firsts: Sequence[set[Step]]) -> list[int]:
        """By state: the row of the steps that some bytes without a label lead to."""
        steps = sorted({step for own in firsts for step in own}, key=repr)
        number = {step: index for index, step in enumerate(steps)}
        table = np.zeros((len(firsts), len(steps)), dtype=np.float32)
        for state, own in enumerate(firsts):
            table[state, [number[step] for step in own]] = 1
        reached = self._closed.astype(np.float32) @ table > 0
        made: dict[bytes, int] = {}
        for row in reached:
            if row.tobytes() not in made:
                made[row.tobytes()] = self.of(steps[index] for index in np.flatnonzero(row).tolist())
        return [made[row.tobytes()] for row in reached]


def _bits(values: NDArray[np.integer], at: NDArray[np.integer], count: int) -> Words:
    """Sets of numbers below `count`, those of x at `values[at[x]:at[x + 1]]`, as rows of words of 64 bits."""
    found = np.zeros((len(at) - 1, (count + 63) // 64 * 64), dtype=bool)
    found[np.repeat(np.arange(len(at) - 1), np.diff(at)), values] = True
    return np.packbits(found, axis=1, bitorder="little").view(np.uint64)


def _columns(table: Bools) -> tuple[Ints, Ints]:
    """The columns set in each row, end to end, and where each row begins."""
    return np.nonzero(table)[1].astype(np.int32), starts(table.sum(axis=1))


def _closure(steps: Bools) -> Bools:
    """`[S, S]` bool, state x state that any number of steps leads to, none included; by squaring."""
    found = steps | np.eye(len(steps), dtype=bool)
    while True:
        wide = found.astype(np.float32)
        more = wide @ wide > 0
        if (more == found).all():
            return found
        found = more
