"""Networks of a given shape with random weights, made where they are needed: timing does not ask what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from dllm.models.backbone import Backbone
from dllm.models.dream import DREAM
from dllm.models.family import Family, Settings
from dllm.models.llada import LLADA
from dllm.models.spec import BackboneSpec

_LLADA_8B: dict[str, Any] = {
    "activation_type": "silu",
    "alibi": False,
    "attention_layer_norm": False,
    "bias_for_layer_norm": False,
    "block_type": "llama",
    "d_model": 4096,
    "embedding_size": 126464,
    "include_bias": False,
    "include_qkv_bias": False,
    "input_emb_norm": False,
    "layer_norm_type": "rms",
    "mlp_hidden_size": 12288,
    "multi_query_attention": None,
    "n_heads": 32,
    "n_kv_heads": 32,
    "n_layers": 32,
    "rms_norm_eps": 1e-5,
    "rope": True,
    "rope_full_precision": True,
    "rope_theta": 500000.0,
    "scale_logits": False,
    "vocab_size": 126464,
    "weight_tying": False,
}
_DREAM_7B: dict[str, Any] = {
    "hidden_act": "silu",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 152064,
}
MASK = 1
"""Any id would do."""


def llada_8b(layers: int = 32) -> BackboneSpec:
    """LLaDA-8B (arXiv 2502.09992), or its first `layers` layers."""
    return replace(LLADA.spec(Settings(_LLADA_8B, "LLaDA-8B's shape")), layers=layers)


def dream_7b(layers: int = 28) -> BackboneSpec:
    """Dream-7B (arXiv 2508.15487), or its first `layers` layers."""
    return replace(DREAM.spec(Settings(_DREAM_7B, "Dream-7B's shape")), layers=layers)


def smoke() -> BackboneSpec:
    """Small enough for a CPU in a test."""
    small = {"d_model": 64, "mlp_hidden_size": 128, "n_heads": 4, "n_kv_heads": 4, "n_layers": 2, "vocab_size": 512}
    small["embedding_size"] = small["vocab_size"]
    return LLADA.spec(Settings(_LLADA_8B | small, "the smoke test's shape"))


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
