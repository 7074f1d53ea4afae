"""The frame of fuzzers: one seed after the other, each in bounded time, and what came of them all.

An attempt is a function of a `random.Random`. It returns what it saw, counted by name, and raises AssertionError for
what must not be; any other exception is a violation just as well.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Attempt = Callable[[random.Random], Mapping[str, int]]


class Hang(BaseException):
    """An attempt takes too long. No Exception, so that nothing under test can catch it."""


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Raise `Hang` in what runs within after so many seconds; in the main thread of a system that has alarms only."""

    def ring(number: int, frame: object) -> None:
        raise Hang(f"not done after {seconds:g} s")

    began, before = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        # an alarm around this one goes on
        signal.setitimer(signal.ITIMER_REAL, max(0.01, left - (time.monotonic() - began)) if left else 0.0)


def outcome(attempt: Attempt, seed: int, patience: float) -> Counter[str]:
    """What an attempt saw; a violation is printed and counted."""
    try:
        with in_time(patience):
            return Counter(attempt(random.Random(seed)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        print(f"seed {seed}: {type(error).__name__}: {str(error)[:2000]}")
        traceback.print_exception(error, limit=-6)
        sys.stdout.flush()
        return Counter(violations=1)


def main(about: str | None, attempt: Attempt, *, patience: float = 60.0) -> None:
    """Read the options, make attempts, print what came of them; ends with 1 if there was a violation.

    Args:
        about: the description of the options.
        patience: seconds that an attempt may take.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=1 << 30)
    parser.add_argument("--seed", type=int, default=0, help="the first; each run has the next")
    given = parser.parse_args()
    until, runs, seen, slowest = time.monotonic() + 60 * given.minutes, 0, Counter[str](), (0.0, 0)
    while runs < given.runs and time.monotonic() < until:
        began = time.monotonic()
        seen += outcome(attempt, given.seed + runs, patience)
        slowest = max(slowest, (time.monotonic() - began, given.seed + runs))
        runs += 1
    print(f"{runs} runs, seeds from {given.seed} on: {seen['violations']} violations")
    for name, count in sorted(seen.items(), key=lambda item: (-item[1], item[0])):
        print(f"{count:>9} {name}")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"the slowest took {slowest[0]:.1f} s: seed {slowest[1]}; at most {held} MiB were held")
    sys.exit(seen["violations"] > 0)
