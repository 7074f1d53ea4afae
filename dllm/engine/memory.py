"""How many rows fit: what a row takes while it is denoised, and what is free."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from dllm.engine.row import Row
from dllm.models.base import RowDenoiser, TellsRowBytes

MOST = 32
"""Rows denoised together unless a number is given. Blocks of 32 tokens make 1,024 tokens a forward of it, from where
on more rows take more time in about the same measure."""
SHARE = 0.8
"""Of what is free, the part that rows may take."""
COPIES = 6
"""float32 copies of a row's logits that live at once between the head and the choice: logits, scores, softmax, and the
float64 ones of the draw."""


def row_bytes(model: RowDenoiser, row: Row) -> int | None:
    """Bytes that a row takes on the model's device at most, or None where the model cannot tell.

    What the model tells (`TellsRowBytes`), and the logits.
    """
    if not isinstance(model, TellsRowBytes):
        return None
    spec, view = row.spec, row.view
    lanes = 2 if spec.cfg_scale > 0 else 1
    wanted = view.total if spec.scheduler.supplies("wants") else min(view.total, view.block_length)
    held = lanes * model.row_bytes(len(row.canvas), spec.cache.stores)
    return int(held + (lanes + COPIES) * 4 * wanted * model.vocab_size)


def budget(device: torch.device) -> int | None:
    """Bytes that live rows may take on the device, or None where that cannot be found out."""
    free = free_bytes(device)
    return None if free is None else int(SHARE * free)


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be had on the device, or None where that cannot be found out."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    if device.type != "cpu":
        return None
    known = [free for free in (_of_the_machine(), _of_the_container()) if free is not None]
    return min(known, default=None)


def _of_the_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_the_container() -> int | None:
    """What a control group leaves of its limit; file pages that it can drop are free."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(stat.get("inactive_file", 0)))
    except (OSError, ValueError):  # no such files, or no limit ("max")
        return None


def store_away(row: Row) -> None:
    """Free the device of a row's K/V. It is dropped where it is empty or the next forward writes all, else kept."""
    if (row.question is not None and len(row.question.feed) == len(row.canvas)) or bool((row.view.stored < 0).all()):
        row.lanes = []
    for lane in row.lanes:
        lane.keys, lane.values = lane.keys.cpu(), lane.values.cpu()


def fetch(row: Row, device: torch.device) -> None:
    """Bring back what `store_away` has kept."""
    for lane in row.lanes:
        lane.keys, lane.values = lane.keys.to(device), lane.values.to(device)
