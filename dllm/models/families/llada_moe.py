"""LLaDA-MoE-7B-A1B (arXiv 2509.24389): a mixture of experts under full bidirectional attention.

Row i predicts position i. The published config names neither the mask nor its id.
"""

from __future__ import annotations

from typing import Any

from dllm.models.families.config import DEEPEST, ConfigReader
from dllm.models.families.family import Family
from dllm.models.families.qwen import dimensions, plain_heads, tensor_name
from dllm.models.network.spec import BackboneSpec, MoESpec

ROLES = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<role>SYSTEM</role>detailed thinking off<|role_end|>' }}"
    "{% endif %}"
    "{% for message in messages %}"
    "{% set role = {'user': 'HUMAN'}.get(message['role'], message['role'] | upper) %}"
    "{{ '<role>' + role + '</role>' + message['content'] + '<|role_end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<role>ASSISTANT</role>' }}{% endif %}"
)


def _spec(config: ConfigReader) -> BackboneSpec:
    config.only("moe_router_score_function", "softmax")
    for key in ("router_num_group", "router_topk_group"):
        config.only_if_present(key, None, 1)
    config.only_if_present("routed_scaling_factor", None, 1)
    biases, dense = config.flag("attention_bias"), _dense_layers(config)
    config.pass_over("dense_intermediate_size")
    return BackboneSpec(
        **dimensions(config, config.integer("dense_intermediate_size") if dense else 1),
        rotary_dim=config.rotary_dim(plain_heads(config)),
        qkv_bias=biases,
        out_bias=biases,
        head_norm=config.flag("qk_layernorm"),
        clip=None if config.get("clip_qkv") is None else config.positive("clip_qkv"),
        gaps_keep_distance=True,
        moe=MoESpec(
            experts=config.integer("num_experts", most=DEEPEST),
            per_token=config.at_most("num_experts_per_tok", "num_experts"),
            width=config.integer("expert_intermediate_size"),
            shared_width=config.optional_integer("shared_expert_intermediate_size", 0),
            score="softmax",
            bias=config.flag("moe_router_enable_expert_bias"),
            bias_counts=True,
            normalised=False,  # as published, whatever norm_topk_prob says
        ),
        dense_layers=dense,
    )


def _dense_layers(config: ConfigReader) -> frozenset[int]:
    """Those whose entry of `moe_layer_freq` is 0; a number stands for one entry a layer."""
    layers = config.integer("num_hidden_layers", most=DEEPEST)
    pattern: Any = config.get("moe_layer_freq")
    pattern = [pattern] * layers if type(pattern) is int else pattern
    config.require(
        "moe_layer_freq",
        isinstance(pattern, list)
        and len(pattern) == layers
        and all(type(entry) is int and entry in (0, 1) for entry in pattern),
        f"a list of {layers} entries, 1 for experts and 0 for a dense layer",
    )
    return frozenset(layer for layer, experts in enumerate(pattern) if not experts)


def _tensor_name(parameter: str, config: ConfigReader) -> str:
    return tensor_name(parameter, config).replace(".mlp.shared.", ".shared_expert.")


LLADA_MOE = Family(
    name="LLaDA-MoE",
    architectures=("LLaDAMoEModelLM", "LLaDAMoEModel"),
    spec=_spec,
    tensor_name=_tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=156895,
    eos_token_id=156892,
    mask_tokens=("<|mask|>",),
    turn_end_tokens=("<|role_end|>",),
    chat_template=ROLES,
    harmless=("norm_topk_prob",),  # its code does not read it
)
