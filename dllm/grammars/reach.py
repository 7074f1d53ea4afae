"""Where the bytes of a gap can lead in a scanner, whatever they are and however many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.automata import DEAD
from dllm.grammars.scanner import Emission, Scanner

FREE = 90
"""Bytes that a state takes without a label, from which on it is inside free text: a string, a comment."""


class Reach:
    """Where the bytes of a gap can lead in a scanner: what its closed form is made of."""

    def __init__(self, scanner: Scanner) -> None:
        count = len(scanner.next)
        silent: list[set[int]] = [set() for _ in range(count)]
        loud: list[set[tuple[Emission, int]]] = [set() for _ in range(count)]
        for at in range(count):
            for byte in np.flatnonzero(scanner.next[at] != DEAD).tolist():
                after, emission = int(scanner.next[at, byte]), scanner.emissions[scanner.emits[at, byte]]
                if emission:
                    loud[at].add((emission, after))
                else:
                    silent[at].add(after)
        self.silent = [_closure([at], silent) for at in range(count)]
        """state -> states that some bytes lead to without a label, itself among them."""
        firsts = [{(labels[0], after if len(labels) == 1 else None) for labels, after in own} for own in loud]
        self.first = [_landings({step for s in own for step in firsts[s]}, self.silent) for own in self.silent]
        """state -> (a label that may come first, states that some bytes lead to before the next)."""
        steps = {step for own in loud for step in own}
        inner = {(label, None) for labels, _ in steps for label in labels[:-1]}
        self.any = _landings(inner | {(labels[-1], after) for labels, after in steps}, self.silent)
        """The same for any label, from anywhere."""
        self.after = sorted({state for _, states in self.any for state in states})
        self.leads = self._leads(scanner)
        """`[S, labels + 1]` bool: whether a label may come next after a state; last, whether the text may end."""
        self.plain = self._plain(scanner, loud)
        """`[S]` bool: states enough to put any sentence on any canvas, but for lexemes that a fixed token cuts."""

    def _leads(self, scanner: Scanner) -> NDArray[np.bool_]:
        found = np.zeros((len(scanner.next), len(scanner.labels) + 1), dtype=bool)
        for state, own in enumerate(self.silent):
            found[state, [label for label, _ in self.first[state]]] = True
            for final in {int(scanner.final[one]) for one in own} - {DEAD}:
                emission = scanner.emissions[final]
                found[state, emission[0] if emission else -1] = True
        return found

    def _plain(self, scanner: Scanner, loud: Sequence[set[tuple[Emission, int]]]) -> NDArray[np.bool_]:
        """The start, states inside free text, and for each label one that emits it next and can do little else."""
        quiet = np.array([not emission for emission in scanner.emissions])
        free = ((scanner.next != DEAD) & quiet[scanner.emits]).sum(axis=1)
        choices = self.leads.sum(axis=1)
        found: NDArray[np.bool_] = free >= FREE
        found[0] = True
        for label in range(len(scanner.labels)):
            own = [state for state in range(1, len(loud)) if any(labels[0] == label for labels, _ in loud[state])]
            if own:
                found[min(own, key=lambda state: (choices[state], -free[state]))] = True
        return found


Landings = tuple[tuple[int, frozenset[int]], ...]


def _landings(steps: Iterable[tuple[int, int | None]], silent: Sequence[set[int]]) -> Landings:
    """By label, where its steps lead; None where another label follows at once."""
    found: dict[int, set[int]] = {}
    for label, state in steps:
        own = found.setdefault(label, set())
        if state is not None:
            own |= silent[state]
    return tuple((label, frozenset(states)) for label, states in sorted(found.items()))


def _closure(begin: Iterable[int], steps: Sequence[set[int]]) -> set[int]:
    found = set(begin)
    queue = list(found)
    while queue:
        for after in steps[queue.pop()]:
            if after not in found:
                found.add(after)
                queue.append(after)
    return found
