"""A text of a grammar on a canvas: its labels, and the tokens that read as them. Exact, counts included.

A chart finds a sentence; here its labels are threaded through the canvas, token by token. What may be at a position is
a set of pairs (scanner state, number of labels emitted so far).

A lexeme that begins in a gap may lie there in many ways that differ in nothing but its spelling, so how many of them
are followed can be chosen (`Ways`). What is found is right in any case; a sentence that only fits otherwise is missed.
Nothing is followed far behind a place where the text can end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.canvas import MASK, Canvas, Gap
from dllm.grammars.search.loops import placement as laying
from dllm.grammars.search.loops.placement import lay, read
from dllm.grammars.tables.flat import Ints
from dllm.grammars.tables.reach import Reach
from dllm.grammars.tables.table import TokenTable

END = -2
"""In a witness: the text ends here; positions behind it are free."""
AROUND = (6, 15, 40, 120)
"""Positions on either side of a change within which a sentence is laid anew."""
ROOM = 30_000
"""Pairs that are looked at in exact ways where a failure does not matter, at most; some 20 ms."""
NO_LIMIT = 1 << 40
Pair = tuple[int, int]
"""A scanner state and a number of labels. A state of -1 stands for the end of the text."""


class Ways(IntEnum):
    """Which states are followed inside a gap.

    CALM: plain ones, and no free text is begun without a label: no comments. PLAIN: plain ones between masks, any
    before a given token. NOISY: free text may be begun between masks too, and any state be before
    the last one. EXACT: all.
    """

    CALM, PLAIN, NOISY, EXACT = laying.CALM, laying.PLAIN, laying.NOISY, laying.EXACT


@dataclass(frozen=True)
class Piece:
    """Positions `[low, high)` of a canvas, from one pair to another."""

    low: int
    high: int
    begin: Pair
    goal: Pair


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Thread:
    """How a sentence lies on a canvas.

    Attributes:
        witness: a token for every position, or END from some position on; MASK in loose gaps.
        path: `[n + 1, 2]`, the pair before each position; -1 inside of loose gaps, and behind an end.
        matches: `TokenTable.matches` of the sentence.
        loose: gaps where it does not fit, or was not found to.
    """

    table: TokenTable
    reach: Reach
    sentence: tuple[int, ...]
    witness: tuple[int, ...]
    path: Ints
    matches: tuple[Ints, Ints]
    loose: tuple[Gap, ...] = ()

    @classmethod
    def bare(cls, canvas: Canvas, table: TokenTable, reach: Reach, sentence: Sequence[int]) -> Thread:
        """Of a sentence that is not laid anywhere yet."""
        labels, path = tuple(sentence), np.zeros((len(canvas.ids) + 1, 2), dtype=np.int32)
        return cls(table, reach, labels, canvas.ids, path, table.matches(labels), canvas.gaps)

    @classmethod
    def make(
        cls,
        canvas: Canvas,
        table: TokenTable,
        reach: Reach,
        sentence: Sequence[int],
        ways: Sequence[Ways] = (Ways.EXACT,),
        room: int = NO_LIMIT,
    ) -> Thread | None:
        """A sentence on a whole canvas, or None if it does not lie there in any of these ways."""
        everything = Piece(0, len(canvas.ids), (0, 0), (-1, len(sentence)))
        return cls.bare(canvas, table, reach, sentence).laid(canvas, everything, ways, room=room)

    def moved(self, canvas: Canvas, low: int, high: int) -> Thread | None:
        """The same sentence on another canvas of this length, laid anew around positions `low:high`, where it changed.

        As little as will do is laid; None if it was not found to lie there.
        """
        for around in AROUND:
            piece = self.piece(low - around, high + around)
            found = self.laid(canvas, piece, (Ways.CALM, Ways.EXACT))
            if found is not None or piece.high - piece.low == len(canvas.ids):
                return found
        return None

    def changed(self, canvas: Canvas) -> list[int]:
        """Positions at which the canvas is given otherwise than the witness has it."""
        pairs = enumerate(zip(self.witness, canvas.ids, strict=True))
        return [at for at, (own, token) in pairs if token not in (MASK, own)]

    def rough(self, path: Ints, followed: NDArray[np.int64], stop: int) -> Thread:
        """As `drafted`: with the pairs and the classes of tokens that are known, and all other masks loose."""
        known = [token if c < 0 else int(self.table.first[c]) for token, c in zip(self.witness, followed, strict=True)]
        known[stop:] = [END] * (len(known) - stop)
        loose = tuple(gap for gap in self.loose if MASK in known[gap.start : gap.stop])
        return replace(self, witness=tuple(known), path=path, loose=loose)

    def piece(self, low: int, high: int) -> Piece:
        """These positions, and more to either side until there are pairs."""
        length = len(self.witness)
        low, high = max(0, low), min(length, high)
        while self.path[low, 0] < 0:
            low -= 1
        while high < length and self.path[high, 0] < 0:
            high += 1
        goal = self._pair(high) if high < length else (-1, len(self.sentence))
        return Piece(low, high, self._pair(low), goal)

    def _pair(self, at: int) -> Pair:
        state, index = self.path[at].tolist()
        return state, index

    def laid(
        self,
        canvas: Canvas,
        piece: Piece,
        ways: Sequence[Ways] = tuple(Ways),
        sentence: tuple[int, ...] | None = None,
        room: int = ROOM,
    ) -> Thread | None:
        """Laid anew on a piece of a canvas, or None if it does not lie there in any of these ways.

        sentence: another one, which differs from the thread's only in what is read there.
        room: pairs that are looked at in exact ways, at most.
        """
        own = self
        if sentence is not None and sentence != self.sentence:
            own = replace(self, sentence=sentence, matches=self.table.matches(sentence))
        more = len(own.sentence) - len(self.sentence)
        goal = (piece.goal[0], piece.goal[1] + more)
        for way in ways:
            found = own._read(canvas, replace(piece, goal=goal), way, room if way == Ways.EXACT else NO_LIMIT)
            if found is not None:
                tokens, path = found
                behind = self.path[piece.high + 1 :].copy()
                behind[behind[:, 0] >= 0, 1] += more
                return replace(
                    own,
                    witness=(*self.witness[: piece.low], *tokens, *self.witness[piece.high :]),
                    path=np.concatenate([self.path[: piece.low], path, behind]),
                    loose=tuple(gap for gap in self.loose if gap.start < piece.low or gap.stop > piece.high),
                )
        return None

    def _read(self, canvas: Canvas, piece: Piece, ways: Ways, room: int) -> tuple[tuple[int, ...], Ints] | None:
        """Tokens for a piece, and the pairs they go through; only the labels in question are looked at."""
        table, reach = self.table, self.reach
        low, high = piece.begin[1], piece.goal[1]
        places, matches = self.matches
        sentence = (np.array(self.sentence[low : high + 1], dtype=np.int32), places[low : high + 3], matches)
        ids = canvas.ids[piece.low : piece.high]
        given = (
            table.groups(ids),
            max(0, canvas.tail - piece.low),
            (piece.begin[0], 0),
            (piece.goal[0], high - low),
        )
        tokens = table.for_laying
        near = (reach.leads, reach.plain | (ways == Ways.EXACT), reach.free)
        laid = lay(given, tokens, table.final, sentence, near, int(ways), room)
        if not laid[3][0]:
            return None
        found, path, stop = read(given, tokens, table.final, sentence, table.first, laid)
        witness = [own if token == MASK else token for own, token in zip(found.tolist(), ids, strict=True)]
        witness[stop:] = [END] * (len(ids) - stop)
        path[path[:, 0] >= 0, 1] += low
        return tuple(witness), path
