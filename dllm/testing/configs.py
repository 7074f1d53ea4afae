"""A `config.json` of every family, in its own keys: published values where we know them, and what makes one small.

A value that is not public to us is that of the model which the checkpoint grew out of (docs/models.md says where).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExampleConfig:
    """One checkpoint's config.

    Attributes:
        published: the config of the published size.
        small: what a test changes of it.
        named: what the name of the folder must hold, where families are told apart by that.
    """

    published: Config
    small: Config
    named: str = ""


_LLADA: Config = {
    "architectures": ["LLaDAModelLM"],
    "model_type": "llada",
    "activation_type": "silu",
    "alibi": False,
    "attention_layer_norm": False,
    "bias_for_layer_norm": False,
    "block_group_size": 1,
    "block_type": "llama",
    "d_model": 4096,
    "embedding_size": 126464,
    "eos_token_id": 126081,
    "include_bias": False,
    "include_qkv_bias": False,
    "input_emb_norm": False,
    "layer_norm_type": "rms",
    "mask_token_id": 126336,
    "max_sequence_length": 4096,
    "mlp_hidden_size": 12288,
    "mlp_ratio": 4,
    "multi_query_attention": None,
    "n_heads": 32,
    "n_kv_heads": 32,
    "n_layers": 32,
    "pad_token_id": 126081,
    "rms_norm_eps": 1e-5,
    "rope": True,
    "rope_full_precision": True,
    "rope_theta": 500000.0,
    "scale_logits": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 126464,
    "weight_tying": False,
}
_LLADA_SMALL: Config = {
    "d_model": 64,
    "embedding_size": 512,
    "eos_token_id": 257,
    "mask_token_id": 256,
    "mlp_hidden_size": 128,
    "n_heads": 4,
    "n_kv_heads": 4,
    "n_layers": 2,
    "pad_token_id": 257,
    "torch_dtype": "float32",
    "vocab_size": 512,
}
_LLADA_MOE: Config = {
    "architectures": ["LLaDAMoEModelLM"],
    "model_type": "llada",
    "attention_bias": False,
    "clip_qkv": None,
    "dense_intermediate_size": 8192,
    "eos_token_id": 156892,
    "expert_intermediate_size": 1024,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "max_position_embeddings": 8192,
    "moe_layer_freq": [1] * 16,
    "moe_router_enable_expert_bias": False,
    "moe_router_score_function": "softmax",
    "norm_topk_prob": None,
    "num_attention_heads": 16,
    "num_experts": 64,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 16,
    "num_key_value_heads": 16,
    "pad_token_id": 156892,
    "partial_rotary_factor": 1,
    "qk_layernorm": True,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 50000,
    "routed_scaling_factor": 1,
    "router_num_group": None,
    "router_topk_group": None,
    "shared_expert_intermediate_size": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 157184,
}
_LLADA2: Config = {
    "architectures": ["LLaDA2MoeModelLM"],
    "model_type": "llada2_moe",
    "eos_token_id": 156892,
    "first_k_dense_replace": 1,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 5120,
    "max_position_embeddings": 32768,
    "moe_intermediate_size": 512,
    "moe_router_enable_expert_bias": True,
    "n_group": 8,
    "norm_head": False,
    "norm_topk_prob": True,
    "num_attention_heads": 16,
    "num_experts": 256,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 20,
    "num_key_value_heads": 4,
    "num_shared_experts": 1,
    "pad_token_id": 156892,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 600000,
    "routed_scaling_factor": 2.5,
    "router_dtype": "fp32",
    "score_function": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 4,
    "torch_dtype": "bfloat16",
    "use_bias": False,
    "use_qk_norm": True,
    "use_qkv_bias": False,
    "vocab_size": 157184,
}
_QWEN2: Config = {
    "eos_token_id": 151643,
    "hidden_act": "silu",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "max_position_embeddings": 131072,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "pad_token_id": 151643,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": 152064,
}
_QWEN3: Config = {
    **_QWEN2,
    "attention_bias": False,
    "head_dim": 128,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "vocab_size": 151936,
}
_SDAR: Config = {
    **_QWEN3,
    "architectures": ["SDARForCausalLM"],
    "model_type": "sdar",
    "block_size": 4,
    "mask_token_id": 151669,
}
_SDAR_MOE: Config = {
    **_SDAR,
    "architectures": ["SDARMoeForCausalLM"],
    "model_type": "sdar_moe",
    "decoder_sparse_step": 1,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "mlp_only_layers": [],
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
}
_DREAM: Config = {**_QWEN2, "architectures": ["DreamModel"], "model_type": "Dream", "mask_token_id": 151666}
_FAST_DLLM_V2: Config = {
    **_QWEN2,
    "architectures": ["Fast_dLLM_QwenForCausalLM"],
    "model_type": "Fast_dLLM_Qwen",
    "bd_size": 32,
    "eos_token_id": 151645,
}
_A2D_QWEN3: Config = {
    **_QWEN3,
    "architectures": ["A2DQwen3LMHeadModel"],
    "model_type": "a2d-qwen3",
    "eos_token_id": 151645,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "tie_word_embeddings": True,
}
_A2D_QWEN2: Config = {
    **_QWEN2,
    "architectures": ["A2DQwen2LMHeadModel"],
    "model_type": "a2d-qwen2",
    "eos_token_id": 151645,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}
_A2D_LLAMA: Config = {
    **_A2D_QWEN2,
    "architectures": ["A2DLlamaLMHeadModel"],
    "model_type": "a2d-llama",
    "attention_bias": False,
    "mlp_bias": False,
}
_DREAM_REASONER: Config = {
    **_QWEN3,
    "architectures": ["DreamForCausalLM"],
    "model_type": "Dream",
    "block_size": 32,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "mask_token_id": 151669,
}
# iLLaDA: hearsay but for the intermediate size, the base of the rotary frequencies and the epsilon, LLaDA's
_ILLADA: Config = {
    "architectures": ["ILLaDAForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "layer_norm_eps": None,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pad_token_id": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 155136,
}
_MODERNBERT: Config = {
    "architectures": ["ModernBertForMaskedLM"],
    "model_type": "modernbert",
    "attention_bias": False,
    "bos_token_id": 50281,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "cls_token_id": 50281,
    "decoder_bias": True,
    "eos_token_id": 50282,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "hidden_size": 768,
    "intermediate_size": 1152,
    "local_attention": 128,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "norm_bias": False,
    "norm_eps": 1e-5,
    "num_attention_heads": 12,
    "num_hidden_layers": 22,
    "pad_token_id": 50283,
    "sep_token_id": 50282,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "vocab_size": 50368,
}
_MODERNBERT_SMALL: Config = {
    "bos_token_id": 257,
    "cls_token_id": 257,
    "local_attention": 8,
    "num_hidden_layers": 4,
    "sep_token_id": 257,
}
_SMALL: Config = {
    "eos_token_id": 257,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 257,
    "torch_dtype": "float32",
    "vocab_size": 512,
}
_DENSE: Config = {**_SMALL, "intermediate_size": 128}
_ENCODER: Config = {key: value for key, value in _DENSE.items() if key in _MODERNBERT}
_MIXED: Config = {**_SMALL, "num_experts": 8, "num_experts_per_tok": 2}

EXAMPLES: dict[str, ExampleConfig] = {
    "llada": ExampleConfig(_LLADA, _LLADA_SMALL),
    "llada-moe": ExampleConfig(
        _LLADA_MOE,
        {**_MIXED, "dense_intermediate_size": 128, "expert_intermediate_size": 32, "moe_layer_freq": [1, 1]},
    ),
    "llada2": ExampleConfig(
        _LLADA2,
        {
            **_MIXED,
            "head_dim": 16,
            "intermediate_size": 128,
            "moe_intermediate_size": 32,
            "n_group": 4,
            "num_attention_heads": 6,
            "num_hidden_layers": 3,
            "topk_group": 2,
        },
    ),
    "dream": ExampleConfig(_DREAM, {**_DENSE, "mask_token_id": 256}),
    "sdar": ExampleConfig(_SDAR, {**_DENSE, "head_dim": 32, "mask_token_id": 256}),
    "sdar-moe": ExampleConfig(
        _SDAR_MOE,
        {**_MIXED, "head_dim": 32, "intermediate_size": 128, "mask_token_id": 256, "moe_intermediate_size": 32},
    ),
    "fast-dllm-v2": ExampleConfig(_FAST_DLLM_V2, _DENSE),
    "a2d-qwen3": ExampleConfig(_A2D_QWEN3, {**_DENSE, "head_dim": 32}),
    "a2d-qwen3-bd3lm": ExampleConfig(_A2D_QWEN3, {**_DENSE, "head_dim": 32}, named="bd3lm"),
    "a2d-qwen2": ExampleConfig(_A2D_QWEN2, _DENSE),
    "a2d-llama": ExampleConfig(_A2D_LLAMA, _DENSE),
    "illada": ExampleConfig(_ILLADA, _DENSE),
    "dream-reasoner": ExampleConfig(_DREAM_REASONER, {**_DENSE, "block_size": 8, "head_dim": 32, "mask_token_id": 256}),
    "modernbert": ExampleConfig(_MODERNBERT, {**_ENCODER, **_MODERNBERT_SMALL}),
}
"""Name of an example, as `scripts/make_checkpoint.py` takes it -> its configs."""
