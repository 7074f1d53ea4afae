"""Networks of a given shape with random weights, made where they are needed: timing does not ask what they say."""

from __future__ import annotations

from dataclasses import replace

import torch

from dllm.models.families.dream import DREAM
from dllm.models.families.family import Family, Settings
from dllm.models.families.llada import LLADA
from dllm.models.network.native import Backbone
from dllm.models.network.spec import BackboneSpec
from dllm.testing.configs import EXAMPLES

MASK = 1
"""Any id would do."""


def llada_8b(layers: int = 32) -> BackboneSpec:
    """LLaDA-8B (arXiv 2502.09992), or its first `layers` layers."""
    return replace(LLADA.spec(_settings("llada")), layers=layers)


def dream_7b(layers: int = 28) -> BackboneSpec:
    """Dream-7B (arXiv 2508.15487), or its first `layers` layers."""
    return replace(DREAM.spec(_settings("dream")), layers=layers)


def smoke() -> BackboneSpec:
    """Small enough for a CPU in a test."""
    return LLADA.spec(_settings("llada", small=True))


def _settings(example: str, small: bool = False) -> Settings:
    chosen = EXAMPLES[example]
    return Settings({**chosen.published, **(chosen.small if small else {})}, f"the shape of {example}")


def random_network(spec: BackboneSpec, device: torch.device, family: Family = LLADA) -> Backbone:
    """bfloat16 weights drawn on the device itself, so that host memory never holds them."""
    with torch.device("meta"):
        network = Backbone(spec, family)
    network = network.to(torch.bfloat16).to_empty(device=device)
    network.tie_weights()
    draw(network)
    network.mask_token_id = MASK
    network.pack()
    return network.requires_grad_(False).eval()


@torch.no_grad()
def draw(network: Backbone, generator: torch.Generator | None = None) -> None:
    """Fill a network in place: norms with ones, matrices from a normal distribution of width 0.02."""
    for parameter in network.parameters():
        parameter.fill_(1.0) if parameter.dim() == 1 else parameter.normal_(std=0.02, generator=generator)
