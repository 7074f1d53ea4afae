"""Generations of the golden checkpoints on a device, token for token in float32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dllm import LLM, RequestOutput, SamplingParams
from tools.gpu_check.checks import Check
from tools.gpu_check.margins import first_wrong
from tools.gpu_check.precision import exact_float32

NEW, PROMPT = 16, 10
TIE = 1e-5
"""A wrong token whose probability was this close to the right one's is a tie: logits agree to about as much."""


def checks(folder: Path, device: torch.device) -> Iterator[Check]:
    """Every stored generation, its rows in one batch."""
    llm = LLM(folder, dtype="float32", device=device)
    golden = load_file(folder / "golden.safetensors")
    cached = folder / "golden_cache.safetensors"
    if cached.is_file():
        golden |= load_file(cached)
    with exact_float32():
        for key, prompts, options in _cases(golden):
            params = SamplingParams(max_new_tokens=NEW, ignore_eos=True, **options)
            outputs = llm.generate([row.tolist() for row in prompts], params)
            yield _compared(f"{folder.name} {key}", llm, outputs, golden[key][:, -NEW:])


def _cases(golden: dict[str, Tensor]) -> Iterator[tuple[str, list[Tensor], dict[str, Any]]]:
    """(name of the stored ids, prompts, how they were made)."""
    plain = list(golden["input_ids"][:, :PROMPT])
    for key in sorted(golden):
        if not key.startswith("gen_") or key in ("gen_prompt", "gen_left_prompt", "gen_left_attention_mask"):
            continue
        words = key.removeprefix("gen_").split("_")
        if words[0] in ("none", "prefix", "dual"):
            yield key, plain, _cached_loop(words[0], words[-1])
        elif words[0] in ("entropy", "maskgit", "topk"):
            left = "left" in words
            yield (
                key,
                _unpadded(golden, "input_ids_left", "attention_mask_left") if left else list(golden["gen_prompt"]),
                (_dream(key)),
            )
        else:
            left = words[0] == "left"
            yield key, _unpadded(golden, "gen_left_prompt", "gen_left_attention_mask") if left else plain, _llada(words)


def _llada(words: list[str]) -> dict[str, Any]:
    """`[left | full | cfg1, ] block8, s8`: blocks and steps of the published sampler."""
    block = 8 if "block8" in words else NEW
    cfg = 1.0 if "cfg1" in words else 0.0
    return {"scheduler": "llada", "cache": "none", "block_length": block, "steps": int(words[-1][1:]), "cfg_scale": cfg}


def _cached_loop(cache: str, rule: str) -> dict[str, Any]:
    """`s16` (one token a step) or `thr0.5`, in blocks of 8."""
    if rule == "s16":
        return {"scheduler": "llada", "cache": cache, "block_length": 8, "steps": NEW}
    return {"scheduler": f"threshold({rule.removeprefix('thr')})", "cache": cache, "block_length": 8}


def _dream(key: str) -> dict[str, Any]:
    alg, steps = key.removeprefix("gen_").replace("_left", "").rsplit("_s", 1)
    return {"scheduler": f"dream({alg})", "cache": "none", "block_length": NEW, "steps": int(steps)}


def _unpadded(golden: dict[str, Tensor], ids: str, mask: str) -> list[Tensor]:
    real = golden[mask][:, :PROMPT].bool()
    return [row[keep] for row, keep in zip(golden[ids][:, :PROMPT], real, strict=True)]


def _compared(name: str, llm: LLM, outputs: list[RequestOutput], expected: Tensor) -> Check:
    found = torch.tensor([output.token_ids for output in outputs])
    agree = int((found == expected).sum())
    detail = f"{agree}/{expected.numel()} tokens"
    wrong = [first_wrong(llm.model, o, ids.tolist()) for o, ids in zip(outputs, expected, strict=True)]
    margins = [margin for margin in wrong if margin is not None]
    if margins:
        detail += f"; margin at the first wrong one of each row: {', '.join(f'{margin:.1e}' for margin in margins)}"
    return Check(name, all(margin < TIE for margin in margins), detail)
