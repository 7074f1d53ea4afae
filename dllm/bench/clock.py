"""Calls timed in turn, so that a slow minute of the machine hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import TypeVar

import torch

T = TypeVar("T")


def in_turn(
    calls: Mapping[str, Callable[[], T]], rounds: int, warm_up: Mapping[str, Callable[[], object]] | None = None
) -> tuple[dict[str, list[float]], dict[str, T]]:
    """Seconds of every call in every round, and what each returned last.

    On one thread the processor's time is taken, which other programs cannot lengthen; on more, wall time.

    Args:
        warm_up: what is called once before, untimed, in the place of the calls; by default the calls themselves. What
            is done once, such as choosing kernels, is then nobody's time.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for name in calls:
        (calls if warm_up is None else warm_up)[name]()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, T] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            began = clock()
            results[name] = call()
            seconds[name].append(clock() - began)
    return seconds, results


def ratio(seconds: Mapping[str, list[float]], slow: str, fast: str) -> float:
    """How many times longer `slow` takes: median over the rounds, each a pair of neighbours in time."""
    return median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch on so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
