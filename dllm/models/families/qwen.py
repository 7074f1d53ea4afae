"""What the families that grew out of Qwen have in common: the names of tensors, the keys of config.json, ChatML."""

from __future__ import annotations

from typing import Any

from dllm.models.families.config import DEEPEST, ConfigReader

_TOP = {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
_BLOCK = {
    "attention_norm": "input_layernorm",
    "attention.q": "self_attn.q_proj",
    "attention.k": "self_attn.k_proj",
    "attention.v": "self_attn.v_proj",
    "attention.o": "self_attn.o_proj",
    "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
    "mlp_norm": "post_attention_layernorm",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
    "mlp.router": "mlp.gate",
}

SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}"
)
"""In front of ChatML where a conversation brings no system message: Qwen2.5's habit, not Qwen3's."""
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
UNREAD = ("attention_bias",)
"""Keys that Qwen2's code does not read: queries, keys and values have their biases, and `o_proj` none."""
NO_THINKING = "{% if add_generation_prompt %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
"""Behind ChatML: Qwen3's way of answering at once."""


def dimensions(config: ConfigReader, intermediate_size: int | None = None) -> dict[str, Any]:
    """The fields of a `BackboneSpec` that all of these families, and the mixtures, read alike.

    `head_dim` may differ from `hidden_size` over the heads, and is that where the config does not name it.

    Args:
        intermediate_size: None: read as the others are.
    """
    config.only("hidden_act", "silu")
    config.only_if_present("use_mrope", False)
    _all_full(config)
    heads = "num_attention_heads"
    head_dim = config.optional("head_dim")
    return {
        "columns": config.integer("vocab_size"),
        "hidden_size": config.integer("hidden_size"),
        "intermediate_size": intermediate_size or config.integer("intermediate_size"),
        "layers": config.integer("num_hidden_layers", most=DEEPEST),
        "heads": config.integer(heads),
        "kv_heads": config.kv_heads("num_key_value_heads", heads),
        "head_dim": config.head_dim("hidden_size", heads) if head_dim is None else config.even("head_dim"),
        "norm_eps": config.positive("rms_norm_eps"),
        "rope_theta": config.theta(),
        "rope_full_precision": False,
        "tied_head": config.flag("tie_word_embeddings"),
    }


def plain_heads(config: ConfigReader) -> int:
    """Width of a head in a family whose heads divide the hidden size, whatever the config names."""
    head_dim = config.head_dim("hidden_size", "num_attention_heads")
    config.only_if_present("head_dim", None, head_dim)
    return head_dim


def _all_full(config: ConfigReader) -> None:
    """Refuse windows: a width and a layer to begin with may be named where they are switched off."""
    config.only_if_present("use_sliding_window", False)
    if "use_sliding_window" not in config.values:
        config.only_if_present("sliding_window", None)
    config.pass_over("sliding_window", "max_window_layers")
    if config.optional("layer_types") is not None:
        kinds = config.get("layer_types")
        config.require(
            "layer_types",
            isinstance(kinds, list) and all(kind == "full_attention" for kind in kinds),
            "'full_attention' only",
        )


def tensor_name(parameter: str, config: ConfigReader) -> str:
    """Qwen2's, Qwen3's and Qwen3-MoE's names; one norm a head is the only thing that tells them apart."""
    stem, leaf = parameter.rsplit(".", 1)
    if stem in _TOP:
        return f"{_TOP[stem]}.{leaf}"
    _, layer, part = stem.split(".", 2)
    if part == "mlp":  # the router's bias; only LLaDA-MoE has one
        return f"model.layers.{layer}.mlp.expert_bias"
    return f"model.layers.{layer}.{_BLOCK.get(part) or expert_name(part)}.{leaf}"


def expert_name(part: str) -> str:
    """`mlp.experts.7.gate` -> `mlp.experts.7.gate_proj`."""
    return f"{part}_proj"
