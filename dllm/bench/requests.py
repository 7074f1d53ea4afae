"""What the benchmarks ask of a network with random weights: prompts of any ids, answered one token a forward."""

from __future__ import annotations

import torch

from dllm import SamplingParams


def one_a_forward(new: int, block: int, scheduler: str = "topk(1)") -> SamplingParams:
    """Greedy under the dual cache, to the last of `new` tokens."""
    return SamplingParams(max_new_tokens=new, block_length=block, scheduler=scheduler, cache="dual", ignore_eos=True)


def random_prompt(length: int, seed: int) -> list[int]:
    """Ids of an imaginary vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 30_000, (length,), generator=generator).tolist()
