"""How long a call takes on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

WARM_UP = 3


def milliseconds(call: Callable[[], object], device: torch.device, *, repeats: int, seconds: float) -> float:
    """Median over at most `repeats` calls, fewer where they would take longer than `seconds`; at least one.

    On CUDA the device's own clock is read, around the launches of one call: time the host takes to launch counts where
    the device waits for it, as it does in use.
    """
    for _ in range(WARM_UP):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    taken: list[float] = []
    ends = time.monotonic() + seconds
    while not taken or (len(taken) < repeats and time.monotonic() < ends):
        taken.append(_once(call, device))
    return median(taken)


def _once(call: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - began)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))
