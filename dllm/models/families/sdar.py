"""SDAR and TraDo, dense and mixture (arXiv 2510.06303): Qwen3's tensors, block-causal.

A position sees its own block, of 4 to 64 positions counted from the canvas's first, and the blocks before. Row i
predicts position i.
"""

from __future__ import annotations

from dllm.models.families.config import DEEPEST, ConfigReader
from dllm.models.families.family import BlockCausal, Family
from dllm.models.families.qwen import CHATML, dimensions, tensor_name
from dllm.models.network.spec import BackboneSpec, MoESpec


def qwen3(config: ConfigReader) -> BackboneSpec:
    """Qwen3's decoder; with experts if the config has some."""
    biases = config.flag("attention_bias")
    moe = _mixture(config) if config.optional_integer("num_experts", 0, least=0, most=DEEPEST) else None
    if moe is None:
        config.pass_over(*_MIXED)
    return BackboneSpec(
        **dimensions(config),
        qkv_bias=biases,
        out_bias=biases,
        head_norm=True,
        moe=moe,
        dense_layers=frozenset() if moe is None else _dense_layers(config),
    )


_MIXED = ("num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers")
"""Keys that say nothing where there are no experts."""


def _mixture(config: ConfigReader) -> MoESpec:
    return MoESpec(
        experts=config.integer("num_experts", most=DEEPEST),
        per_token=config.at_most("num_experts_per_tok", "num_experts"),
        width=config.integer("moe_intermediate_size"),
        score="softmax",
        normalised=config.flag("norm_topk_prob"),
    )


def _dense_layers(config: ConfigReader) -> frozenset[int]:
    """Those named, and all but every n-th."""
    step = config.optional_integer("decoder_sparse_step", 1)
    layers = range(config.integer("num_hidden_layers", most=DEEPEST))
    named = config.optional("mlp_only_layers")
    named = [] if named is None else named
    config.require(
        "mlp_only_layers",
        isinstance(named, list) and all(type(layer) is int and layer in layers for layer in named),
        f"a list of layers, 0 to {layers[-1]}",
    )
    return frozenset(named) | {layer for layer in layers if (layer + 1) % step}


SDAR = Family(
    name="SDAR",
    architectures=("SDARForCausalLM", "SDARMoeForCausalLM"),
    spec=qwen3,
    tensor_name=tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=151669,
    eos_token_id=151643,
    mask_tokens=("<|MASK|>", "<MASK>"),
    turn_end_tokens=("<|im_end|>",),
    chat_template=CHATML,
    blocks=BlockCausal(key="block_size", length=4),
    scheduler="threshold(0.85)",
    # switches of its training code
    harmless=("debug", "ep_size", "fuse_cross_entropy", "micro_forward", "skip_checkpoint", "use_deepep"),
)
