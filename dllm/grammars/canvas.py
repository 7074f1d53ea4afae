"""A canvas as a grammar sees it: given tokens, and gaps of masks between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
    """

    ids: tuple[int, ...]
    ends: bool = False

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        found: list[Gap] = []
        start: int | None = None
        for at, token in enumerate((*self.ids, 0)):
            if token == MASK and start is None:
                start = at
            if token != MASK and start is not None:
                found.append(Gap(start, at))
                start = None
        return tuple(found)

    @property
    def tail(self) -> int:
        """First position from which on an end may stand; one past the canvas where none may."""
        last = self.gaps[-1] if self.gaps else None
        return last.start if self.ends and last is not None and last.stop == len(self.ids) else len(self.ids)
