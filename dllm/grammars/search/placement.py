"""A text of a grammar on a canvas: its labels, and the tokens that read as them. Exact, counts included.

A chart finds a sentence; here its labels are placed on the canvas, token by token. What may be before a position is a
set of configurations: scanner state, and number of labels emitted so far.

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
from dllm.grammars.search.loops import placement as loops
from dllm.grammars.search.loops.placement import Configuration, Followed, Sentence, Stretch
from dllm.grammars.tables.fixed_tokens import TokenSteps
from dllm.grammars.tables.flat import Ints
from dllm.grammars.tables.reach import Reach
from dllm.grammars.tables.token_table import TokenTable

END = -2
"""In a witness: the text ends here; positions behind it are free."""
AROUND = (6, 15, 40, 120)
"""Positions on either side of a change within which a sentence is placed anew."""
BESIDE = 2
"""Positions on either side of what differs between two sentences that are placed anew."""
ROOM = 30_000
"""Configurations that are looked at in exact ways where a failure does not matter, at most; some 20 ms."""
NO_LIMIT = 1 << 40


class Ways(IntEnum):
    """Which states are followed inside a gap.

    CALM: plain ones, and no free text is begun without a label: no comments. PLAIN: plain ones between masks, any
    before a given token. NOISY: free text may be begun between masks too, and any state be before
    the last one. EXACT: all.
    """

    CALM, PLAIN, NOISY, EXACT = loops.CALM, loops.PLAIN, loops.NOISY, loops.EXACT


@dataclass(frozen=True)
class Window:
    """Positions `[low, high)` of a canvas, from one configuration to another."""

    low: int
    high: int
    begin: Configuration
    goal: Configuration


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Placement:
    """How a sentence lies on a canvas.

    Attributes:
        witness: a token for every position, or END from some position on; MASK in loose gaps.
        path: `[n + 1, 2]`, the configuration before each position; -1 inside of loose gaps, and behind an end.
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
    def bare(cls, canvas: Canvas, table: TokenTable, reach: Reach, sentence: Sequence[int]) -> Placement:
        """Of a sentence that is not placed anywhere yet."""
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
    ) -> Placement | None:
        """A sentence on a whole canvas, or None if it does not lie there in any of these ways."""
        bare = cls.bare(canvas, table, reach, sentence)
        return bare.placed(canvas, bare.everything, ways, room)

    @property
    def everything(self) -> Window:
        """The whole canvas."""
        return Window(0, len(self.witness), (0, 0), (-1, len(self.sentence)))

    def moved(self, canvas: Canvas, low: int, high: int) -> Placement | None:
        """The same sentence on another canvas of this length, placed anew around `low:high`, where that has changed.

        As little as will do is placed; None if it was not found to lie there.
        """
        for around in AROUND:
            window = self.window(low - around, high + around)
            found = self.placed(canvas, window, (Ways.CALM, Ways.EXACT))
            if found is not None or window.high - window.low == len(canvas.ids):
                return found
        return None

    def until(self, stop: int) -> Placement | None:
        """The same text on the canvas as it is up to a position; None if the text goes on there."""
        if stop < len(self.witness) and self.witness[stop] != END:
            return None
        return replace(self, witness=self.witness[:stop], path=self.path[: stop + 1])

    def changed(self, canvas: Canvas) -> list[int]:
        """Positions at which the canvas is given otherwise than the witness has it."""
        own, ids = np.array(self.witness), np.array(canvas.ids)
        found: list[int] = np.flatnonzero((ids != MASK) & (ids != own)).tolist()
        return found

    def sketched(self, canvas: Canvas, window: Window, path: Ints, followed: NDArray[np.int64], stop: int) -> Placement:
        """As `loops.sketch.sketch_path` gives it: what it has followed is known, and all other masks are loose."""
        pairs = zip(canvas.ids[window.low : window.high], followed, strict=True)
        known = [token if c < 0 else int(self.table.first[c]) for token, c in pairs]
        known[stop:] = [END] * (len(known) - stop)
        inside = (gap for gap in canvas.gaps if window.low <= gap.start and gap.stop <= window.high)
        loose = tuple(gap for gap in inside if MASK in known[gap.start - window.low : gap.stop - window.low])
        return self._spliced(window, known, path, loose)

    def _spliced(self, window: Window, tokens: Sequence[int], path: Ints, loose: tuple[Gap, ...] = ()) -> Placement:
        """With these tokens and this path in a window."""
        outside = tuple(gap for gap in self.loose if gap.start < window.low or gap.stop > window.high)
        return replace(
            self,
            witness=(*self.witness[: window.low], *tokens, *self.witness[window.high :]),
            path=np.concatenate([self.path[: window.low], path, self.path[window.high + 1 :]]),
            loose=(*outside, *loose),
        )

    def reading(self, sentence: Sequence[int], high: int) -> Placement:
        """With another sentence, which differs from the present one only in what is read before position `high`."""
        labels = tuple(sentence)
        if labels == self.sentence:
            return self
        path = self.path.copy()
        behind = path[high:]
        behind[behind[:, 0] >= 0, 1] += len(labels) - len(self.sentence)
        return replace(self, sentence=labels, matches=self.table.matches(labels), path=path)

    def differing(self, canvas: Canvas, sentence: Sequence[int]) -> tuple[Placement, Window]:
        """With another sentence on another canvas of this length: what is right outside of the window that comes with
        it. The window holds gaps as a whole, and ends behind a given token or with the canvas."""
        old, new = np.array(self.sentence, dtype=np.int32), np.array(sentence, dtype=np.int32)
        before = _common(old, new)
        behind = _common(old[before:][::-1], new[before:][::-1])
        ended = np.flatnonzero(self.path[:, 0] < 0)
        emitted = self.path[: ended[0] if len(ended) else None, 1]
        left = int(np.searchsorted(emitted, before, side="right")) - 1
        right = int(np.searchsorted(emitted, len(old) - behind))
        places, length = (left, right, *self.changed(canvas)), len(canvas.ids)
        low, high = max(0, min(places) - BESIDE), min(length, max(places) + 1 + BESIDE)
        while low > 0 and canvas.ids[low] == MASK:
            low -= 1
        while high < length and (canvas.ids[high - 1] == MASK or self.path[high, 0] < 0):
            high += 1
        own = self.reading(sentence, high)
        return own, own.window(low, high)

    def window(self, low: int, high: int) -> Window:
        """These positions, and more to either side until there are configurations."""
        length = len(self.witness)
        low, high = max(0, low), min(length, high)
        while self.path[low, 0] < 0:
            low -= 1
        while high < length and self.path[high, 0] < 0:
            high += 1
        goal = self._configuration(high) if high < length else (-1, len(self.sentence))
        return Window(low, high, self._configuration(low), goal)

    def _configuration(self, at: int) -> Configuration:
        state, index = self.path[at].tolist()
        return state, index

    def placed(
        self, canvas: Canvas, window: Window, ways: Sequence[Ways] = tuple(Ways), room: int = ROOM
    ) -> Placement | None:
        """Placed anew in a window of a canvas, or None if it does not lie there in any of these ways.

        room: configurations that are looked at in exact ways, at most.
        """
        for way in ways:
            found = self.place_window(canvas, window, way, room if way == Ways.EXACT else NO_LIMIT)
            if found is not None:
                return self._spliced(window, *found)
        return None

    def place_window(
        self, canvas: Canvas, window: Window, ways: Ways, room: int
    ) -> tuple[tuple[int, ...], Ints] | None:
        """Tokens for a window, and what they go through; only the labels in question are looked at."""
        reach = self.reach
        stretch, steps, sentence = self.stretch(canvas, window)
        fits, found, path, stop = loops.place(
            *(stretch, steps, self.table.endings, sentence),
            Followed(reach.leads, reach.leads if ways == Ways.EXACT else reach.paths, reach.free),
            *(int(ways), room, self.table.first),
        )
        if not fits:
            return None
        given = canvas.ids[window.low : window.high]
        witness = [own if token == MASK else token for token, own in zip(found.tolist(), given, strict=True)]
        witness[stop:] = [END] * (len(given) - stop)
        path[path[:, 0] >= 0, 1] += window.begin[1]
        return tuple(witness), path

    def stretch(self, canvas: Canvas, window: Window) -> tuple[Stretch, TokenSteps, Sentence]:
        """A window as the loops take it, with the labels that are read there and one more."""
        low, high = window.begin[1], window.goal[1]
        at, matches = self.matches
        ids, steps = self.table.fixed.on(canvas.part(window.low, window.high))
        tail = max(0, canvas.tail - window.low)
        sentence = Sentence(np.array(self.sentence[low : high + 1], dtype=np.int32), at[low : high + 3], matches)
        return Stretch(ids, tail, (window.begin[0], 0), (window.goal[0], high - low)), steps, sentence


def _common(one: Ints, other: Ints) -> int:
    """How many labels two sentences have in common at the beginning."""
    shorter = min(len(one), len(other))
    differ = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(differ[0]) if len(differ) else shorter
