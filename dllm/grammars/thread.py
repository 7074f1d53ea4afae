"""Given the lexemes of a text, which tokens may stand at each position of a canvas: exact, counts included.

A chart finds a sentence; here its labels are threaded through the canvas, token by token. What may be at a position is
a set of pairs (scanner state, number of labels emitted so far).

A lexeme that begins in a gap may lie there in many ways that differ in nothing but its spelling, so how many of them
are followed can be chosen (`Ways`). What is found is right in any case; a sentence that only fits otherwise is missed.
Nothing is followed far behind a place where the text can end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.flat import Ints
from dllm.grammars.laying import lay, read
from dllm.grammars.reach import Reach
from dllm.grammars.table import TokenTable

END = -2
"""In a witness: the text ends here; positions behind it are free."""


class Ways(IntEnum):
    """Which states are followed inside a gap.

    CALM: plain ones, and no free text is begun without a label: no comments. PLAIN: plain ones between masks, any
    before a given token. EXACT: all.
    """

    CALM, PLAIN, EXACT = 0, 1, 2


@dataclass(frozen=True)
class Thread:
    """How a sentence lies on a canvas.

    Attributes:
        matches: for each place in the sentence, the emissions that stand there; see `lay`.
        at: `[n + 2]`; the pairs before position p are `at[p]:at[p + 1]` of the next three.
        state, index: scanner state, and labels emitted so far.
        alive: whether the sentence can be completed from there.
        ways: what was followed.
    """

    canvas: Canvas
    table: TokenTable
    sentence: tuple[int, ...]
    matches: tuple[Ints, Ints]
    at: Ints
    state: Ints
    index: Ints
    alive: NDArray[np.bool_]
    ways: Ways

    @classmethod
    def make(
        cls, canvas: Canvas, table: TokenTable, reach: Reach, sentence: Sequence[int], ways: Ways = Ways.EXACT
    ) -> Thread:
        matches = _matches(table, sentence)
        at, state, index, alive = lay(
            *(_groups(canvas, table), canvas.tail),
            *(table.class_of, table.at, table.emitted, table.state, table.labels, table.labels_at),
            *table.final,
            *(np.array(sentence, dtype=np.int32), *matches),
            *(reach.leads, reach.plain | (ways == Ways.EXACT), reach.free, int(ways)),
        )
        return cls(canvas, table, tuple(sentence), matches, at, state, index, alive, ways)

    @property
    def fits(self) -> bool:
        """Whether the sentence lies on the canvas, with a token for every mask."""
        return bool(self.alive[0])

    @property
    def reached(self) -> int:
        """How many positions, from the left, the sentence can be laid on."""
        return int(np.flatnonzero(np.diff(self.at))[-1])

    @cached_property
    def witness(self) -> list[int]:
        """A token for every position, or END from some position on; only where the sentence fits."""
        table, ids = self.table, self.canvas.ids
        found, stop = read(
            *(_groups(self.canvas, table), self.canvas.tail, table.class_of, table.at, table.emitted, table.state),
            *(table.first, table.labels, table.labels_at, table.final, np.array(self.sentence, dtype=np.int32)),
            *(*self.matches, (self.at, self.state, self.index, self.alive)),
        )
        tokens = [own if token == MASK else token for own, token in zip(found.tolist(), ids, strict=True)]
        return tokens[:stop] + [END] * (len(ids) - stop)


def _groups(canvas: Canvas, table: TokenTable) -> Ints:
    """The canvas in groups of tokens."""
    return np.array([MASK if token == MASK else table.group_of[token] for token in canvas.ids], dtype=np.int32)


def _matches(table: TokenTable, sentence: Sequence[int]) -> tuple[Ints, Ints]:
    """For each place in the sentence, the emissions that stand there."""
    found: list[int] = []
    starts = [0]
    for begin in range(len(sentence) + 1):
        number: int | None = 0
        for label in sentence[begin:]:
            number = table.longer.get((number, label)) if number is not None else None
            if number is None:
                break
            found.append(number)
        starts.append(len(found))
    return np.array(starts, dtype=np.int32), np.array(found, dtype=np.int32)
