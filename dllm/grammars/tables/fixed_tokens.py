"""What the tokens do that stand on a canvas: a column of a small table for each, made when it is first met.

A token that was given does not always do what the same token does where a hole was (`Scanner.before_given`), so it may
have two columns. In the large table of all tokens (`TokenTable.class_of`) there is one for those of holes only.
"""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.tables.flat import Bools, Ints
from dllm.grammars.tables.scanner import Scanner
from dllm.grammars.tables.steps import DEAD

_adding = Lock()


class TokenSteps(NamedTuple):
    """What a token does, from which state, as the search takes it into its loops.

    Attributes:
        class_of: `[S, columns]`, state x column -> class, or DEAD.
        at: `[S + 1]`; class c of state s is `at[s] + c` of the next two. Those of tokens that may be put where a mask
            is are `at[s]:at[s + 1]`; others lie behind `at[S]`.
        emitted, state, labels, labels_at, parent: as in `TokenTable`.
    """

    class_of: NDArray[np.int16] | NDArray[np.int32]
    at: Ints
    emitted: Ints
    state: Ints
    labels: Ints
    labels_at: Ints
    parent: Ints


class FixedTokens:
    """Columns for tokens that stand on canvases. They are only ever added, so the number of one stays good.

    Args:
        node: `[V]`, of the vocabulary.
        group_of: `[V]`, id -> column of `every`.
        every: what all tokens do in holes.
    """

    def __init__(self, scanner: Scanner, node: Ints, group_of: Ints, every: TokenSteps) -> None:
        self._scanner, self._node, self._group_of, self._every = scanner, node, group_of, every
        self._column_of = np.full((2, every.class_of.shape[1]), MASK, dtype=np.int32)  # by whether it was given
        self._count = 0
        self._steps = every._replace(class_of=np.empty((len(every.class_of), 64), dtype=np.int32))
        other = other_of_given(scanner, every.at, every.state[: every.at[-1]])
        self._other = np.flatnonzero(other).astype(np.int32)

    def on(self, canvas: Canvas) -> tuple[Ints, TokenSteps]:
        """`[n]`, the tokens of a canvas as columns, MASK where one is free; and what those do."""
        ids = np.array(canvas.ids, dtype=np.int32)
        masked, given = ids == MASK, np.ones(len(ids), dtype=np.int32)
        given[list(canvas.chosen)] = 0
        given[self._node[ids] == 0] = 0  # without bytes it does nothing
        groups = self._group_of[ids]
        with _adding:
            columns = np.where(masked, MASK, self._column_of[given, groups])
            new = ~masked & (columns == MASK)
            if new.any():
                for kind, group in sorted({*zip(given[new].tolist(), groups[new].tolist(), strict=True)}):
                    self._add(kind, group)
                columns = np.where(masked, MASK, self._column_of[given, groups])
            return columns, self._steps

    def _add(self, given: int, group: int) -> None:
        """A column for a group of tokens."""
        every, count = self._every, self._count
        if count == self._steps.class_of.shape[1]:
            larger = np.empty((len(every.class_of), 2 * count), dtype=np.int32)
            larger[:, :count] = self._steps.class_of
            self._steps = self._steps._replace(class_of=larger)
        classes = every.class_of[:, group].astype(np.int32)
        if given:
            before = self._scanner.before_given
            classes = np.where(before == DEAD, DEAD, classes[before])
            some = classes != DEAD
            classes[some] = self._for_given(every.at[before[some]] + classes[some]) - every.at[:-1][some]
        self._steps.class_of[:, count] = classes
        self._column_of[given, group] = count
        self._count += 1

    def _for_given(self, classes: Ints) -> NDArray[np.int64]:
        """Classes, by where they are in `emitted` and `state`, to those that do for given tokens what they do."""
        place = np.searchsorted(self._other, classes)
        other = np.append(self._other, -1)[place] == classes
        return np.where(other, int(self._every.at[-1]) + place, classes)


def other_of_given(scanner: Scanner, at: Ints, state: Ints) -> Bools:
    """`[classes]` bool: which have another place for given tokens: because that leads to another state, or because it
    is read from another one, in which place its number there would be none.

    state: of each class, those of state s at `at[s]:at[s + 1]`.
    """
    own = np.arange(len(at) - 1)
    found: Bools = scanner.behind_given[state] != state
    for before in np.unique(scanner.before_given[scanner.before_given != own]).tolist():
        if before != DEAD:
            found[at[before] : at[before + 1]] = True
    return found
