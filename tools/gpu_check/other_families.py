"""The families without kernels of their own, on a device: logits of their goldens, and the exact store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from dllm import LLM, SamplingParams
from dllm.models.loading import load_model
from tools.gpu_check.checks import Check
from tools.gpu_check.golden_logits import ATOL, RTOL
from tools.gpu_check.precision import exact_float32

FOLDERS = {"llada_moe": None, "llada2_moe": 8, "sdar": 4, "a2d_qwen3": None}
"""Golden -> the block that attention goes by."""
MASK = 246


def checks(folder: Path, device: torch.device) -> Iterator[Check]:
    """Float32 within tolerance; on block-causal models the tokens of `exact` are those of `none`."""
    golden, block = load_file(folder / "golden.safetensors"), FOLDERS[folder.name]
    with exact_float32():
        model = load_model(folder, dtype="float32", device=device, block_length=block, mask_token_id=MASK)
        expected = golden["logits" if block is None else f"logits_block{block}"]
        found = model.logits(golden["input_ids"]).cpu()
        worst = (found - expected).abs().max().item()
        right = torch.allclose(found, expected, atol=ATOL, rtol=RTOL)
        yield Check(f"{folder.name} logits float32", right, f"max |diff| {worst:.1e} (atol {ATOL:g})")
        if block is not None:
            prompts = [row[: 5 + 6 * i].tolist() for i, row in enumerate(golden["input_ids"])]
            tokens = [_tokens(LLM(model), prompts, cache) for cache in ("none", "exact")]
            yield Check(f"{folder.name} exact store", tokens[0] == tokens[1], "tokens of none and exact")


def _tokens(llm: LLM, prompts: list[list[int]], cache: str) -> list[list[int]]:
    params = SamplingParams(max_new_tokens=20, scheduler="topk", cache=cache, ignore_eos=True)
    return [out.token_ids for out in llm.generate(prompts, params)]
