"""What a canvas has refused, so that nothing is searched for twice.

A token that cannot stand at a position of a canvas cannot stand there once more is given either. Nor can a token that
does nothing there but what a refused one does: from every scanner state that may be before the position it leads
nowhere, or emits and leads to the same. So one search often answers for all identifiers.
"""

from __future__ import annotations

import numpy as np

from dllm.grammars.search.loops import refusals as loops
from dllm.grammars.tables.flat import Bools
from dllm.grammars.tables.token_table import TokenTable


class Refusals:
    """Groups of tokens refused by position, and ends of text. It is only ever added to; a copy goes its own way."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        self._states: dict[int, Bools] = {}
        self._groups: dict[int, Bools] = {}
        self._ends: set[int] = set()

    def copy(self) -> Refusals:
        found = Refusals(self._table)
        found._states = dict(self._states)
        found._groups = dict(self._groups)
        found._ends = set(self._ends)
        return found

    def learn(self, at: int, states: Bools) -> None:
        """The scanner states (`[S]` bool) that may be before position `at`; all, as long as nothing is said."""
        self._states[at] = states

    def add(self, at: int, token: int) -> None:
        """A token cannot stand there."""
        table = self._table
        states = self._states.get(at)
        own = np.arange(len(table.class_of)) if states is None else np.flatnonzero(states)
        alike = loops.alike(table.class_of, own, int(table.group_of[token]))
        self._groups[at] = self._groups[at] | alike if at in self._groups else alike

    def add_end(self, at: int) -> None:
        """The text cannot end there."""
        self._ends.add(at)

    def groups(self, at: int) -> Bools | None:
        """`[G]` bool: groups of tokens that cannot stand there, or None if none was refused."""
        return self._groups.get(at)

    def holds(self, at: int, token: int) -> bool:
        return at in self._groups and bool(self._groups[at][self._table.group_of[token]])

    def holds_end(self, at: int) -> bool:
        return at in self._ends
