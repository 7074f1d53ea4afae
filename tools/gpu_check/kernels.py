"""The CUDA forward and the pass over the logits against what they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from dllm import load_model
from dllm.models.base import RowInput
from dllm.models.network.native import Backbone
from dllm.sampling.peaks import peaks
from tools.gpu_check.checks import Check
from tools.gpu_check.precision import exact_float32

VOCABULARIES = (700, 32_000, 126_464, 152_064)
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.15}


def checks(folder: Path, device: torch.device, dtype: str) -> Iterator[Check]:
    """Logits of stored and unstored rows: modules against kernels, launched and replayed."""
    network = load_model(folder, dtype=dtype, device=device)
    assert isinstance(network, Backbone), f"{folder} holds no family whose kernels are ours"
    with exact_float32():
        network.kernels = False
        expected = _logits(network)
        network.kernels = True
        for name, replays in (("launched", False), ("replayed", True)):
            found = _logits(network)
            if network.runner is not None:  # on CUDA; there is one from the first forward on
                network.runner.replays = replays
                found = _logits(network)
            worst = float((found - expected).abs().max())
            same = float((found.argmax(-1) == expected.argmax(-1)).float().mean())
            detail = f"max |diff| {worst:.1e} (at most {TOLERANCE[dtype]}), top-1 agreement {same:.3f}"
            yield Check(f"{folder.name} {dtype} kernels, {name}", worst <= TOLERANCE[dtype], detail)


def _logits(network: Backbone) -> Tensor:
    """Three forwards of rows with stores, the second and third of blocks, one of rows without."""
    generator = torch.Generator().manual_seed(5)
    ids = [torch.randint(0, 200, (length,), generator=generator) for length in (90, 41, 17)]
    stores = [network.new_kv(len(row)) for row in ids]
    whole = [torch.arange(len(row)) for row in ids]
    rows = [RowInput(row, at, at, kv) for row, at, kv in zip(ids, whole, stores, strict=True)]
    found = network.forward_rows(rows)
    for start in (1, 9):
        block = torch.arange(start, start + 8)
        rows = [RowInput(row.roll(1)[block], block, block[1:], kv) for row, kv in zip(ids, stores, strict=True)]
        found += network.forward_rows(rows)
    found += network.forward_rows([RowInput(row, at, at) for row, at in zip(ids, whole, strict=True)])
    return torch.cat(found)


def confidence(device: torch.device) -> Iterator[Check]:
    """Ids must equal those of float64 arithmetic, ties included; values agree within what is stated."""
    for width in VOCABULARIES:
        for dtype in (torch.float32, torch.bfloat16):
            yield _confidence(device, width, dtype)


def _confidence(device: torch.device, width: int, dtype: torch.dtype) -> Check:
    generator = torch.Generator(device).manual_seed(width)
    logits = (torch.randn(48, width, generator=generator, device=device) * 4).to(dtype)
    logits[:8] = logits[:8].round()
    logits[8:16, width // 2] = 60.0  # sure: what the others have is lost beside 1 in float32
    banned = torch.rand(width, generator=generator, device=device) < 0.01
    found = peaks(logits, banned, entropy=True)
    wide = logits.double()
    allowed = wide.masked_fill(banned, -torch.inf)
    best = allowed.max(-1, keepdim=True).values
    lowest = torch.where(allowed == best, torch.arange(width, device=device), width).amin(-1)
    normaliser = wide.logsumexp(-1)
    excess = (wide - wide.amax(-1, keepdim=True)).exp().scatter(1, wide.argmax(-1, keepdim=True), 0.0).sum(-1).log1p()
    sure = float(((found.excess - excess).abs() / excess.clamp_min(1e-300)).max())
    log_p = wide - normaliser[:, None]
    entropy = -(log_p.exp() * log_p).sum(-1)
    off = max(float((found.normaliser - normaliser).abs().max()), 0.0)
    spread = float((found.entropy - entropy).abs().max())
    ids = torch.equal(found.token_ids, lowest) and torch.equal(found.best.double(), best[:, 0])
    detail = f"ids {'equal' if ids else 'DIFFER'}, normaliser off by {off:.1e}, entropy by {spread:.1e}"
    detail += f", 1 - p by {sure:.1e} of itself"
    return Check(f"confidence {width} {str(dtype)[6:]}", ids and off < 1e-4 and spread < 1e-3 and sure < 1e-4, detail)
