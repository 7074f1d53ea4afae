"""LLaDA2.0-mini and -flash, LLaDA2.1 (arXiv 2512.15745): a block-causal mixture of experts in Ling's layout.

Blocks of 32 positions are counted from the canvas's first, prompt included. Row i predicts position i. The published
configs name neither the mask's id nor the length of a block.
"""

from __future__ import annotations

from dllm.models.families.config import DEEPEST, ConfigReader
from dllm.models.families.family import BlockCausal, Family
from dllm.models.families.llada_moe import ROLES
from dllm.models.families.qwen import dimensions, expert_name
from dllm.models.network.spec import BackboneSpec, MoESpec

_TOP = {"embed": "model.word_embeddings", "norm": "model.norm", "head": "lm_head"}
_BLOCK = {
    "attention_norm": "input_layernorm",
    # one tensor: the query heads, then the key heads, then the value heads
    "attention.q": "attention.query_key_value",
    "attention.k": "attention.query_key_value",
    "attention.v": "attention.query_key_value",
    "attention.o": "attention.dense",
    "attention.q_norm": "attention.query_layernorm",
    "attention.k_norm": "attention.key_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "mlp.router": "mlp.gate",
}


def _spec(config: ConfigReader) -> BackboneSpec:
    config.only("norm_head", False)
    for key in ("norm_softmax", "using_split_qkv_in_self_attention"):
        config.only_if_present(key, False)
    config.only("score_function", "sigmoid")
    config.only_if_present("router_dtype", "fp32")
    config.only_if_present("use_rmsnorm", True)
    rotary_dim = config.rotary_dim(config.even("head_dim"))
    config.only_if_present("rotary_dim", rotary_dim)
    dense = config.integer("first_k_dense_replace", least=0, most=DEEPEST)
    return BackboneSpec(
        **dimensions(config),
        rotary_dim=rotary_dim,
        qkv_bias=config.flag("use_qkv_bias"),
        out_bias=config.flag("use_bias"),
        head_norm=config.flag("use_qk_norm", default=True),
        moe=_mixture(config),
        dense_layers=frozenset(range(dense)),
    )


def _mixture(config: ConfigReader) -> MoESpec:
    width = config.integer("moe_intermediate_size")
    groups = config.optional_integer("n_group", 1)
    experts = config.integer("num_experts", most=DEEPEST)
    config.require("n_group", experts % groups == 0 and experts // groups > 1, f"a divisor of num_experts {experts}")
    kept = 1 if groups == 1 else config.at_most("topk_group", "n_group")
    config.pass_over("topk_group")
    config.only_if_present("moe_shared_expert_intermediate_size", width)
    per_token = config.integer("num_experts_per_tok")
    allowed = kept * experts // groups
    config.require("num_experts_per_tok", per_token <= allowed, f"at most {allowed}, the experts of {kept} groups")
    return MoESpec(
        experts=experts,
        per_token=per_token,
        width=width,
        shared_width=width * config.optional_integer("num_shared_experts", 0, least=0),
        score="sigmoid",
        bias=config.flag("moe_router_enable_expert_bias"),
        groups=groups,
        kept_groups=kept,
        normalised=config.flag("norm_topk_prob"),
        scale=config.positive("routed_scaling_factor"),
        full_precision=True,
    )


def _tensor_name(parameter: str, config: ConfigReader) -> str:
    stem, leaf = parameter.rsplit(".", 1)
    if stem in _TOP:
        return f"{_TOP[stem]}.{leaf}"
    _, layer, part = stem.split(".", 2)
    if part == "mlp" and leaf == "bias":
        return f"model.layers.{layer}.mlp.gate.expert_bias"
    part = _BLOCK.get(part) or expert_name(part).replace("mlp.shared.", "mlp.shared_experts.")
    return f"model.layers.{layer}.{part}.{leaf}"


LLADA2 = Family(
    name="LLaDA2",
    architectures=("LLaDA2MoeModelLM",),
    spec=_spec,
    tensor_name=_tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=156895,
    eos_token_id=156892,
    mask_tokens=("<|mask|>",),
    turn_end_tokens=("<|role_end|>",),
    chat_template=ROLES,
    blocks=BlockCausal(length=32),
    scheduler="llada2",
    harmless=("mtp_loss_scaling_factor",),
    schedulers_by_name={"LLaDA2.1": "llada2(0.7)+edit(0.5)"},
)
