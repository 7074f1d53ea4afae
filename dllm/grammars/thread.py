"""Given the lexemes of a text, which tokens may stand at each position of a canvas: exact, counts included.

A chart finds a sentence; here its labels are threaded through the canvas, token by token. What may be at a position is
a set of pairs (scanner state, number of labels emitted so far).

A lexeme that begins in a gap may lie there in many ways that differ in nothing but its spelling, so how many of them
are followed can be chosen (`Ways`). What is found is right in any case; a sentence that only fits otherwise is missed.
Nothing is followed far behind a place where the text can end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

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


AROUND = (6, 15, 30, 45, 60, 90, 120)
"""Positions on either side of a change within which a sentence is laid anew, before it is on the whole canvas."""


@dataclass(frozen=True)
class Thread:
    """How a sentence lies on a canvas.

    Attributes:
        ways: what was followed.
        reached: how many positions, from the left, the sentence can be laid on.
        fits: whether it lies on the canvas, with a token for every mask.
        witness: a token for every position, or END from some position on; empty where the sentence does not fit.
        path: `[n + 1, 2]`, before each position: the scanner state, and how many labels were emitted; -1 behind an end.
    """

    table: TokenTable
    reach: Reach
    sentence: tuple[int, ...]
    matches: tuple[Ints, Ints]
    ways: Ways
    reached: int
    fits: bool
    witness: tuple[int, ...] = ()
    path: Ints = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int32))

    @classmethod
    def make(
        cls, canvas: Canvas, table: TokenTable, reach: Reach, sentence: Sequence[int], ways: Ways = Ways.EXACT
    ) -> Thread:
        start = cls(table, reach, tuple(sentence), _matches(table, sentence), ways, 0, fits=False)
        return start._laid(canvas.ids, canvas.tail, (0, 0), (-1, len(sentence)))

    def _laid(self, ids: Sequence[int], tail: int, begin: tuple[int, int], goal: tuple[int, int]) -> Thread:
        """From a pair to another, or to the end of the text where the goal's state is -1."""
        table, reach = self.table, self.reach
        canvas = (table.groups(ids), tail, begin, goal)
        tokens = (table.class_of, table.at, table.emitted, table.state, table.labels, table.labels_at)
        sentence = (np.array(self.sentence, dtype=np.int32), *self.matches)
        near = (reach.leads, reach.plain | (self.ways == Ways.EXACT), reach.free)
        laid = lay(canvas, tokens, table.final, sentence, near, int(self.ways))
        reached = int(np.flatnonzero(np.diff(laid[0]))[-1])
        if not laid[3][0]:
            return replace(self, reached=reached, fits=False)
        found, path, stop = read(canvas, tokens, table.final, sentence, table.first, laid)
        witness = [own if token == MASK else token for own, token in zip(found.tolist(), ids, strict=True)]
        witness[stop:] = [END] * (len(ids) - stop)
        return replace(self, reached=reached, fits=True, witness=tuple(witness), path=path)

    def moved(self, canvas: Canvas) -> Thread | None:
        """The same sentence on another canvas of this length, laid anew around what has changed, as little as will do.

        None if it does not lie there in these ways. Only for a thread that fits.
        """
        changed = [
            at for at, (own, token) in enumerate(zip(self.witness, canvas.ids, strict=True)) if MASK != token != own
        ]
        if not changed:
            return self
        for around in (*AROUND, len(canvas.ids)):
            low, high = self._window(changed[0] - around, changed[-1] + 1 + around)
            goal = (-1, len(self.sentence)) if high == len(canvas.ids) else self._pair(high)
            part = self._laid(canvas.ids[low:high], max(0, canvas.tail - low), self._pair(low), goal)
            if part.fits:
                path = np.concatenate([self.path[:low], part.path, self.path[high + 1 :]])
                return replace(part, witness=(*self.witness[:low], *part.witness, *self.witness[high:]), path=path)
            if (low, high) == (0, len(canvas.ids)):
                break
        return None

    def _window(self, low: int, high: int) -> tuple[int, int]:
        """Widened to where there are pairs: from before the end of the text, and to the canvas's end if beyond it."""
        stop = self.witness.index(END) if END in self.witness else len(self.witness)
        return max(0, min(low, stop)), high if high <= stop and high < len(self.witness) else len(self.witness)

    def _pair(self, at: int) -> tuple[int, int]:
        state, index = self.path[at].tolist()
        return state, index


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
