"""What one token does inside a gap, if only some labels may come in it: sets of scanner states as rows of bits.

The labels are the same for most gaps of most canvases, so what is made for them is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.search.loops import strides as loops
from dllm.grammars.tables.flat import Bools, Words
from dllm.grammars.tables.steps import DEAD
from dllm.grammars.tables.token_table import TokenTable

KEPT = 8
"""Sets of labels for which what is made is kept."""
MASKS_KEPT = 1024
"""Masks that are kept for each: gaps are alike, and from one step to the next most are the same."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Strides:
    """One token, by the scanner state before it.

    Attributes:
        silent: `[S, words]`, states that it may lead to without a label.
        first, later: the same with labels, if none has come in the gap yet, and if one has.
        one, other: `[emissions]` bool, whether it may emit that, in either case.
        ending: `[2, S]` bool, whether the text may end in a state, in either case.
        order: states, those from which most tokens go on first.
        candidates: groups of tokens that may come anywhere in the gap.
    """

    table: TokenTable
    silent: Words
    first: Words
    later: Words
    one: Bools
    other: Bools
    ending: Bools
    order: NDArray[np.int64]
    candidates: NDArray[np.int64]
    kept: dict[bytes, Bools] = field(default_factory=dict)

    @classmethod
    def of(cls, table: TokenTable, first: Bools, later: Bools) -> Strides:
        """`first`, `later`: `[labels]` bool, what may come first in the gap, and what may come behind that."""
        key = first.tobytes() + later.tobytes()
        kept: dict[bytes, Strides] = table.kept
        if key not in kept:
            if len(kept) >= KEPT:
                kept.pop(next(iter(kept)))
            kept[key] = cls._make(table, first, later)
        return kept[key]

    @classmethod
    def _make(cls, table: TokenTable, first: Bools, later: Bools) -> Strides:
        one, other = loops.emissions_allowed(table.labels, table.labels_at, first, later)
        silent, own_first, own_later = loops.rows_by_state(table.at, table.emitted, table.state, one, other)
        ending = _ending(table.end_emission, one, other)
        order = np.argsort(-np.diff(table.at), kind="stable")
        everything = np.arange(table.class_of.shape[1])
        found = cls(table, silent, own_first, own_later, one, other, ending, order, everything)
        anywhere = np.ones((2, len(table.class_of)), dtype=bool)
        candidates = np.flatnonzero(found.groups(anywhere, anywhere))
        return replace(found, candidates=candidates, kept={})

    def groups(self, before: Bools, after: Bools) -> Bools:
        """`[G]` bool: groups of which some state before (`[2, S]`, by whether a label has come) leads to some after."""
        key = before.tobytes() + after.tobytes()
        if key not in self.kept:
            table = self.table
            if len(self.kept) >= MASKS_KEPT:
                self.kept.pop(next(iter(self.kept)))
            found: Bools = loops.groups_between(
                *((table.class_of, table.at, table.emitted, table.state), (self.one, self.other)),
                *((self.silent, self.first, self.later), before, after, self.order, self.candidates),
            )
            found.setflags(write=False)  # all who ask share it
            self.kept[key] = found
        return self.kept[key]


def _ending(ending: NDArray[np.int32], one: Bools, other: Bools) -> Bools:
    """`[2, S]` bool: whether the text may end in a state, before any label of the gap and behind one."""
    never = ending == DEAD
    unknown = ending == len(one)  # a sequence that no token emits: nothing is known of it
    number = np.where(never | unknown, 0, ending)
    return np.stack([(allowed[number] | unknown) & ~never for allowed in (one, other)])
