"""Where the bytes of a gap can lead in a scanner, whatever they are and however many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.scanner import Emission, Scanner
from dllm.grammars.steps import DEAD

FREE = 90
"""Bytes that a state takes without a label, from which on it is inside free text: a string, a comment."""


class Reach:
    """Where the bytes of a gap can lead in a scanner: what its closed form is made of."""

    def __init__(self, scanner: Scanner) -> None:
        count = len(scanner.next)
        silent = np.zeros((count, count), dtype=bool)
        loud: list[set[tuple[Emission, int]]] = [set() for _ in range(count)]
        for at in range(count):
            alive = scanner.next[at] != DEAD
            ways = zip(scanner.next[at][alive].tolist(), scanner.emits[at][alive].tolist(), strict=True)
            for after, number in set(ways):
                if scanner.emissions[number]:
                    loud[at].add((scanner.emissions[number], after))
                else:
                    silent[at, after] = True
        closed = _closure(silent)
        landings = _Landings(closed)
        steps = {step for own in loud for step in own}
        inner = {(label, None) for labels, _ in steps for label in labels[:-1]}
        firsts = [{(labels[0], after if len(labels) == 1 else None) for labels, after in own} for own in loud]
        self.silent = [_array(own) for own in closed]
        """state -> states that some bytes lead to without a label, itself among them."""
        self.first = landings.behind(firsts)
        """state -> (a label that may come first, which set of states some bytes lead to before the next)."""
        self.any = landings.of(inner | {(labels[-1], after) for labels, after in steps})
        """The same for any label, from anywhere."""
        self.landed = [np.array(states, dtype=np.int32) for states in landings.sets]
        """Those sets."""
        self.after = np.unique(np.concatenate([np.zeros(0, np.int32), *(self.landed[n] for _, n in self.any)]))
        """States that some bytes lead to, from anywhere, behind a label."""
        quiet = np.array([not emission for emission in scanner.emissions])
        room = ((scanner.next != DEAD) & quiet[scanner.emits]).sum(axis=1)  # bytes that are taken without a label
        self.free: NDArray[np.bool_] = room >= FREE
        """`[S]` bool: states inside free text: a string, a comment."""
        same, begun = silent.copy(), silent.copy()
        same[:, 0], begun[:, self.free] = False, False
        self.calm = [_array(own) for own in (_closure(begun)[0], *_closure(same)[1:])]
        """As `silent`, but the lexeme stays the same, or is begun without free text."""
        self.leads = self._leads(scanner)
        """`[S, labels + 1]` bool: whether a label may come next after a state; last, whether the text may end."""
        self.plain = self._plain(loud, room)
        """`[S]` bool: states enough to put any sentence on any canvas, but for lexemes that a fixed token cuts."""

    def _leads(self, scanner: Scanner) -> NDArray[np.bool_]:
        found = np.zeros((len(scanner.next), len(scanner.labels) + 1), dtype=bool)
        for state, own in enumerate(self.silent):
            found[state, [label for label, _ in self.first[state]]] = True
            for final in set(scanner.final[own].tolist()) - {DEAD}:
                emission = scanner.emissions[final]
                found[state, emission[0] if emission else -1] = True
        return found

    def _plain(self, loud: Sequence[set[tuple[Emission, int]]], room: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The start, states inside free text, and for each label one that emits it next and can do little else."""
        choices = self.leads.sum(axis=1)
        found = self.free.copy()
        found[0] = True
        next_to: dict[int, set[int]] = {}
        for state in range(1, len(loud)):
            for labels, _ in loud[state]:
                next_to.setdefault(labels[0], set()).add(state)
        for own in next_to.values():
            found[min(sorted(own), key=lambda state: (choices[state], -room[state]))] = True
        return found


Landings = tuple[tuple[int, int], ...]
Step = tuple[int, int | None]
"""A label, and the state behind it; None where another label follows at once."""


class _Landings:
    """Where steps lead, by label; sets of states are numbered as they are met."""

    def __init__(self, closed: NDArray[np.bool_]) -> None:
        self._closed = closed
        self._made: dict[frozenset[Step], Landings] = {}
        self.sets: dict[tuple[int, ...], int] = {}

    def of(self, steps: Iterable[Step]) -> Landings:
        key = frozenset(steps)
        if key not in self._made:
            found: dict[int, list[int]] = {}
            for label, state in key:
                own = found.setdefault(label, [])
                if state is not None:
                    own.append(state)
            self._made[key] = tuple((label, self._number(own)) for label, own in sorted(found.items()))
        return self._made[key]

    def _number(self, states: Sequence[int]) -> int:
        landed = np.flatnonzero(self._closed[states].any(axis=0)) if states else np.zeros(0, dtype=int)
        return self.sets.setdefault(tuple(landed.tolist()), len(self.sets))

    def behind(self, firsts: Sequence[set[Step]]) -> list[Landings]:
        """By state: of the steps that some bytes without a label lead to."""
        steps = sorted({step for own in firsts for step in own}, key=repr)
        number = {step: index for index, step in enumerate(steps)}
        table = np.zeros((len(firsts), len(steps)), dtype=np.float32)
        for state, own in enumerate(firsts):
            table[state, [number[step] for step in own]] = 1
        reached = self._closed.astype(np.float32) @ table > 0
        made: dict[bytes, Landings] = {}
        for row in reached:
            if row.tobytes() not in made:
                made[row.tobytes()] = self.of(steps[index] for index in np.flatnonzero(row).tolist())
        return [made[row.tobytes()] for row in reached]


def _array(row: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.flatnonzero(row).astype(np.int32)


def _closure(steps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`[S, S]` bool, state x state that any number of steps leads to, none included; by squaring."""
    found = steps | np.eye(len(steps), dtype=bool)
    while True:
        wide = found.astype(np.float32)
        more = wide @ wide > 0
        if (more == found).all():
            return found
        found = more
