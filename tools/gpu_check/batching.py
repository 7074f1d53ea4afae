"""Does a row depend on its batch mates?

At equal shapes it may not, on any device. Between a batch and a single row a GPU takes other kernels, so there
agreement and margins are reported; a CPU in float32 must agree to the bit there too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from dllm import LLM, RequestOutput, SamplingParams
from dllm.models.base import RowInput
from tools.gpu_check.checks import Check
from tools.gpu_check.margins import parting
from tools.gpu_check.precision import exact_float32

ROWS, PROMPT, NEW = 4, 10, 16


def checks(folder: Path, device: torch.device, dtype: str) -> Iterator[Check]:
    """Logits and generations of four different rows together, of each four times over, and of each alone."""
    llm = LLM(folder, dtype=dtype, device=device)
    ids = load_file(folder / "golden.safetensors")["input_ids"].flatten()
    ids = ids[ids != llm.model.mask_token_id]
    prompts = [ids[7 * row : 7 * row + PROMPT].tolist() for row in range(ROWS)]
    strict = device.type == "cpu" and dtype == "float32"
    with exact_float32():
        yield from _logits(f"{folder.name} {dtype}", llm, prompts, strict)
        yield from _tokens(f"{folder.name} {dtype}", llm, prompts, strict)


def _logits(name: str, llm: LLM, prompts: Sequence[list[int]], strict: bool) -> Iterator[Check]:
    rows = [_row(llm, prompt) for prompt in prompts]
    together = llm.model.forward_rows(rows)
    copies = [llm.model.forward_rows([row] * ROWS)[0] for row in rows]
    alone = [llm.model.forward_rows([row])[0] for row in rows]
    same = max(float((a - b).abs().max()) for a, b in zip(together, copies, strict=True))
    single = max(float((a - b).abs().max()) for a, b in zip(together, alone, strict=True))
    agree = sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in zip(together, alone, strict=True))
    total = sum(len(a) for a in together)
    yield Check(f"{name} logits, other mates", same == 0, f"max |diff| {same:.1e}, must be 0")
    detail = f"max |diff| {single:.1e}, top-1 agreement {agree}/{total}"
    yield Check(f"{name} logits, batch against single", single == 0 if strict else None, detail)


def _tokens(name: str, llm: LLM, prompts: Sequence[list[int]], strict: bool) -> Iterator[Check]:
    # a fixed quota and no EOS: all rows stay in step, so that the shapes of the three runs are equal throughout
    params = SamplingParams(
        max_new_tokens=NEW, block_length=8, steps=8, scheduler="llada", cache="none", ignore_eos=True
    )
    together = llm.generate(list(prompts), params)
    copies = [llm.generate([prompt] * ROWS, params)[0] for prompt in prompts]
    alone = [llm.generate(prompt, params) for prompt in prompts]
    yield _pairs(f"{name} tokens, other mates", llm, together, copies, required=True)
    yield _pairs(f"{name} tokens, batch against single", llm, together, alone, required=strict)


def _pairs(
    name: str, llm: LLM, ours: Sequence[RequestOutput], others: Sequence[RequestOutput], *, required: bool
) -> Check:
    margins = [parting(llm.model, a, b) for a, b in zip(ours, others, strict=True)]
    parted = [margin for margin in margins if margin is not None]
    detail = f"{len(margins) - len(parted)}/{len(margins)} rows equal"
    if parted:
        detail += f"; margins where they part: {', '.join(f'{margin:.1e}' for margin in parted)}"
    return Check(name, not parted if required else None, detail)


def _row(llm: LLM, prompt: list[int]) -> RowInput:
    mask = llm.model.mask_token_id
    assert mask is not None, "LLM refuses models without a mask id"
    ids = torch.tensor(prompt + [mask] * NEW)
    positions = torch.arange(len(ids))
    return RowInput(ids, positions, positions[len(prompt) :])
