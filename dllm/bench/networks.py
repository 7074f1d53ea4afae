"""Networks with random weights: a decoder small enough for a CPU, in two vocabularies."""

from __future__ import annotations

from dataclasses import replace

import torch

from dllm import SamplingParams
from dllm.models.families.llada import LLADA
from dllm.models.network.native import Backbone
from dllm.models.network.spec import BackboneSpec
from dllm.testing.networks import draw, llada_8b

VOCABULARY, LARGE_VOCABULARY = 32_000, 126_464
SEED = 0


def shape_a(vocabulary: int = VOCABULARY) -> BackboneSpec:
    """LLaDA's layout at width 512: 8 layers, 8 heads, feed-forward 1536."""
    return replace(
        llada_8b(8), columns=vocabulary, hidden_size=512, intermediate_size=1536, heads=8, kv_heads=8, head_dim=64
    )


def random_network(spec: BackboneSpec, dtype: torch.dtype) -> Backbone:
    """The same weights at every call, not yet packed. The mask id is the last, and never predicted: its row is zero."""
    network = Backbone(spec, LLADA)
    draw(network, torch.Generator().manual_seed(SEED))
    network.head.weight.data[-1] = 0.0
    network.mask_token_id = spec.columns - 1
    return network.to(dtype).requires_grad_(False).eval()


def one_a_forward(new: int, block: int, scheduler: str = "topk(1)") -> SamplingParams:
    """Greedy under the dual cache, to the last of `new` tokens."""
    return SamplingParams(max_new_tokens=new, block_length=block, scheduler=scheduler, cache="dual", ignore_eos=True)


def random_prompt(length: int, seed: int) -> list[int]:
    """Ids of an imaginary vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 30_000, (length,), generator=generator).tolist()
