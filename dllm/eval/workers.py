"""How many worker processes make sense, whatever is asked for: one a batch, one a core, and what memory holds."""

from __future__ import annotations

import os

import torch

from dllm.engine.memory import free_bytes

WORKER_BYTES = 512 << 20
"""What a worker takes beside its weights: Python, torch, and a batch of a small model."""


def bounded_workers(asked: int, batches: int, weights: int = 0) -> tuple[int, str]:
    """How many workers to start, and what to say of it; nothing where it is as many as were asked for.

    Args:
        asked: at least 1.
        batches: that are to be decoded.
        weights: bytes of the largest model, of which every worker holds a copy in memory; 0 where they are elsewhere.
    """
    free = free_bytes(torch.device("cpu"))
    bounds = {"batches to decode": batches, "cores": cores()}
    if free is not None:
        bounds["models that fit into memory"] = free // (WORKER_BYTES + weights)
    count = max(1, min(asked, *bounds.values()))
    if count == asked:
        return count, ""
    told = ", ".join(f"{bound:,} {what}" for what, bound in bounds.items())
    return count, f"workers={asked} is more than there is a use for, {count}: the least of {told}"


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # no such call outside Linux
        return os.cpu_count() or 1
