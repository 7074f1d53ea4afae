"""How long a part of a benchmark of schemas may take, and how its times are told."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from types import FrameType


class TooLong(Exception):
    """What had a limit took all of its time."""


class Clock:
    """Whether the time is over: code that was interrupted may have made another error of a TooLong."""

    over = False

    def ring(self, _signal: int, _frame: FrameType | None) -> None:
        self.over = True
        raise TooLong


@contextmanager
def cpu_limit(seconds: float) -> Iterator[Clock]:
    """Raises TooLong inside once so much CPU time is spent; Python must be running to notice."""
    clock = Clock()
    signal.signal(signal.SIGVTALRM, clock.ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield clock
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_IGN)  # one that is still on its way must not end the process


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median / 95th percentile / most, as a cell of a table."""
    ordered = sorted(values)
    if not ordered:
        return "-"
    return f"{median(ordered):.{digits}f} / {ordered[int(0.95 * (len(ordered) - 1))]:.{digits}f} / {ordered[-1]:.0f}"
