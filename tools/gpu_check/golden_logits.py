"""Logits of the golden checkpoints on a device, against those of the reference implementations (stored, from a CPU)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from dllm.models.loading import load_model
from tools.gpu_check.checks import Check
from tools.gpu_check.precision import exact_float32

FOLDERS = ("llada", "llada_gqa_bias_tied", "dream")
ATOL, RTOL = 5e-5, 1e-4
BF16_SLACK = 2.0
"""Our bfloat16 may be this much further from float32, on average, than the reference's own bfloat16."""


def checks(folder: Path, device: torch.device) -> Iterator[Check]:
    """Float32 within tolerance, padding included; bfloat16 about as close to float32 as the reference's."""
    golden = load_file(folder / "golden.safetensors")
    with exact_float32():
        model = load_model(folder, dtype="float32", device=device)
        for suffix in ("", "_left", "_right"):
            if f"input_ids{suffix}" in golden:
                ids, mask = golden[f"input_ids{suffix}"], golden.get(f"attention_mask{suffix}")
                found = model.logits(ids, mask).cpu()
                yield _close(f"{folder.name} logits{suffix} float32", found, *_expected(golden, suffix))
    half = load_model(folder, dtype="bfloat16", device=device).logits(golden["input_ids"]).cpu()
    full = _expected(golden, "")[0]
    yield _as_close(f"{folder.name} logits bfloat16", half, full, _reference_bf16(golden))


def _expected(golden: dict[str, Tensor], suffix: str) -> tuple[Tensor, Tensor]:
    """`[B, L, V]` reference logits, row i for position i, and `[B, L]` bool, the positions they are good for."""
    mask = golden.get(f"attention_mask{suffix}", torch.ones_like(golden[f"input_ids{suffix}"])).bool()
    if f"logits{suffix}" in golden:
        return golden[f"logits{suffix}"], mask
    # Shifted family: the first real position would be read off a padded one, which means nothing.
    first = mask & (mask.cumsum(1) == 1)
    return _shifted(golden[f"logits_raw{suffix}"]), mask & ~first if suffix else mask


def _reference_bf16(golden: dict[str, Tensor]) -> Tensor:
    return golden["logits_bf16"] if "logits_bf16" in golden else _shifted(golden["logits_raw_bf16"])


def _shifted(raw: Tensor) -> Tensor:
    """Raw row i predicts position i + 1; position 0 is read off its own row."""
    return torch.cat([raw[:, :1], raw[:, :-1]], dim=1)


def _close(name: str, found: Tensor, expected: Tensor, real: Tensor) -> Check:
    ours, theirs = found[real], expected[real]
    worst = (ours - theirs).abs().max().item()
    return Check(name, torch.allclose(ours, theirs, atol=ATOL, rtol=RTOL), f"max |diff| {worst:.1e} (atol {ATOL:g})")


def _as_close(name: str, ours: Tensor, full: Tensor, reference: Tensor) -> Check:
    mean, reference_mean = ((x - full).abs().mean().item() for x in (ours, reference))
    detail = (
        f"mean |diff| to float32 {mean:.1e} (reference's bfloat16: {reference_mean:.1e}), top-1 agreement with float32 "
        f"{_agreement(ours, full):.3f}, with the reference's bfloat16 {_agreement(ours, reference):.3f}"
    )
    return Check(name, mean <= BF16_SLACK * reference_mean, detail)


def _agreement(a: Tensor, b: Tensor) -> float:
    return (a.argmax(-1) == b.argmax(-1)).double().mean().item()
