"""Networks of a given shape with random weights, made where they are needed: timing does not ask what they say."""

from __future__ import annotations

from dataclasses import replace

import torch

from dllm.models.families.config import ConfigReader
from dllm.models.families.dream import DREAM
from dllm.models.families.family import Family
from dllm.models.families.llada import LLADA
from dllm.models.network.native import Backbone
from dllm.models.network.spec import BackboneSpec
from dllm.testing.configs import EXAMPLES

MASK = 1
"""Mask id of `random_network`; any would do."""
VOCABULARY, LARGE_VOCABULARY = 32_000, 126_464
SEED = 0


def llada_8b(layers: int = 32) -> BackboneSpec:
    """LLaDA-8B (arXiv 2502.09992), or its first `layers` layers."""
    return replace(LLADA.spec(_config("llada")), layers=layers)


def dream_7b(layers: int = 28) -> BackboneSpec:
    """Dream-7B (arXiv 2508.15487), or its first `layers` layers."""
    return replace(DREAM.spec(_config("dream")), layers=layers)


def shape_a(vocabulary: int = VOCABULARY) -> BackboneSpec:
    """Shape A of docs/performance.md: LLaDA's layout at width 512, 8 layers, 8 heads, feed-forward 1536."""
    return replace(
        llada_8b(8), columns=vocabulary, hidden_size=512, intermediate_size=1536, heads=8, kv_heads=8, head_dim=64
    )


def smoke() -> BackboneSpec:
    """Small enough for a CPU in a test."""
    return LLADA.spec(_config("llada", small=True))


def _config(example: str, small: bool = False) -> ConfigReader:
    chosen = EXAMPLES[example]
    return ConfigReader({**chosen.published, **(chosen.small if small else {})}, f"the shape of {example}")


def random_network(spec: BackboneSpec, device: torch.device, family: Family = LLADA) -> Backbone:
    """bfloat16 weights drawn on the device itself, so that host memory never holds them; packed. Other ones each time.

    Its mask id is `MASK`.
    """
    with torch.device("meta"):
        network = Backbone(spec, family)
    network = network.to(torch.bfloat16).to_empty(device=device)
    network.tie_weights()
    _fill(network)
    network.mask_token_id = MASK
    network.pack()
    return network.requires_grad_(False).eval()


def seeded_network(spec: BackboneSpec, dtype: torch.dtype) -> Backbone:
    """On the CPU, the same weights at every call: drawn in float32, then cast; not yet packed.

    The mask id is the last, and never predicted: its row of the head is zero.
    """
    network = Backbone(spec, LLADA)
    _fill(network, torch.Generator().manual_seed(SEED))
    network.head.weight.data[-1] = 0.0
    network.mask_token_id = spec.columns - 1
    return network.to(dtype).requires_grad_(False).eval()


@torch.no_grad()
def _fill(network: Backbone, generator: torch.Generator | None = None) -> None:
    """In place: norms with ones, matrices from a normal distribution of width 0.02."""
    for parameter in network.parameters():
        parameter.fill_(1.0) if parameter.dim() == 1 else parameter.normal_(std=0.02, generator=generator)
