"""A canvas as a grammar sees it: given tokens, and gaps of masks between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

MASK = -1


@dataclass(frozen=True)
class Gap:
    """Masks `[start, stop)` between tokens, or at an end of the canvas."""

    start: int
    stop: int

    @property
    def width(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Canvas:
    """What is to be read.

    Attributes:
        ids: the tokens; MASK where one is free.
        ends: whether a mask of the last run of masks, up to the end of the canvas, may be the end of the text.
        chosen: positions of tokens that were put where a mask was; all others are given.
    """

    ids: tuple[int, ...]
    ends: bool = False
    chosen: frozenset[int] = field(default=frozenset(), compare=False)

    def is_given(self, at: int) -> bool:
        return self.ids[at] != MASK and at not in self.chosen

    def part(self, low: int, high: int) -> Canvas:
        """Positions `low:high`."""
        chosen = frozenset(at - low for at in range(low, high) if at in self.chosen)
        return Canvas(self.ids[low:high], self.ends and high == len(self.ids), chosen)

    def until(self, stop: int) -> Canvas:
        """As if it ended before a position."""
        if stop >= len(self.ids):
            return self
        return Canvas(self.ids[:stop], self.ends, frozenset(at for at in self.chosen if at < stop))

    def with_chosen(self, tokens: Iterable[tuple[int, int]]) -> Canvas:
        """With tokens (position, id) put where masks were."""
        ids, own = list(self.ids), dict(tokens)
        for at, token in own.items():
            ids[at] = token
        return Canvas(tuple(ids), self.ends, self.chosen | own.keys())

    def masked(self, positions: Iterable[int]) -> Canvas:
        """With masks at these positions."""
        ids, own = list(self.ids), frozenset(positions)
        for at in own:
            ids[at] = MASK
        return Canvas(tuple(ids), self.ends, self.chosen - own)

    @property
    def unguarded(self) -> Canvas:
        """The same, with no token taken to be given."""
        return Canvas(self.ids, self.ends, frozenset(at for at, token in enumerate(self.ids) if token != MASK))

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        masks = np.concatenate([[False], np.array(self.ids, dtype=np.int64) == MASK, [False]])
        edges = np.flatnonzero(masks[1:] != masks[:-1]).tolist()
        return tuple(map(Gap, edges[::2], edges[1::2]))

    @property
    def tail(self) -> int:
        """First position from which on an end may stand; one past the canvas where none may."""
        last = self.gaps[-1] if self.gaps else None
        return last.start if self.ends and last is not None and last.stop == len(self.ids) else len(self.ids)
