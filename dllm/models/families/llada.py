"""LLaDA dense: LLaDA-8B-Base and -Instruct, LLaDA-1.5, MMaDA's text half (arXiv 2502.09992, 2505.19223).

Full bidirectional attention, row i of the logits predicts position i, rotary positions in float32.
"""

from __future__ import annotations

from dllm.models.families.family import Family, Settings
from dllm.models.network.spec import BackboneSpec

_TOP = {"embed": "wte", "norm": "ln_f", "head": "ff_out"}
_BLOCK = {
    "attention_norm": "attn_norm",
    "attention.q": "q_proj",
    "attention.k": "k_proj",
    "attention.v": "v_proj",
    "attention.o": "attn_out",
    "attention.q_norm": "q_norm",
    "attention.k_norm": "k_norm",
    "mlp_norm": "ff_norm",
    # ff_proj is the half that goes through SiLU; ff_out inside a block is the way down, outside it the head.
    "mlp.gate": "ff_proj",
    "mlp.up": "up_proj",
    "mlp.down": "ff_out",
}

_CHAT = (
    "{{ '<|startoftext|>' }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def _spec(settings: Settings) -> BackboneSpec:
    settings.only("block_type", "llama")
    settings.only("activation_type", "silu")
    settings.only("layer_norm_type", "rms")
    settings.only("rope", True)
    settings.only("alibi", False)
    for key in ("layer_norm_with_affine", "attention_layer_norm_with_affine"):
        settings.only_if_present(key, True)
    settings.only_if_present("clip_qkv", None)
    biases = settings.flag("include_bias")
    # Null means "as include_bias", which would give the norms biases.
    settings.only("bias_for_layer_norm", *((False,) if biases else (False, None)))
    hidden, head_dim = settings.integer("d_model"), settings.head_dim("d_model", "n_heads")
    return BackboneSpec(
        columns=_columns(settings),
        hidden_size=hidden,
        intermediate_size=_mlp_width(settings, hidden),
        layers=settings.integer("n_layers"),
        heads=settings.integer("n_heads"),
        kv_heads=_kv_heads(settings),
        head_dim=head_dim,
        norm_eps=settings.positive("rms_norm_eps"),
        rope_theta=settings.theta(),
        rope_full_precision=settings.flag("rope_full_precision"),
        qkv_bias=settings.flag("include_qkv_bias"),
        linear_bias=biases,
        projection_norm=settings.flag("attention_layer_norm"),
        tied_head=settings.flag("weight_tying"),
        embedding_scale=hidden**0.5 if settings.flag("input_emb_norm") else 1.0,
        logits_scale=hidden**-0.5 if settings.flag("scale_logits") else 1.0,
        gaps_keep_distance=True,
    )


def _kv_heads(settings: Settings) -> int:
    """`n_kv_heads`; null means one head for multi-query attention and as many as query heads otherwise."""
    if settings.get("n_kv_heads") is None:
        return 1 if settings.get("multi_query_attention") else settings.integer("n_heads")
    kv_heads = settings.kv_heads("n_kv_heads", "n_heads")
    if kv_heads != 1:
        settings.only("multi_query_attention", None, False)
    return kv_heads


def _mlp_width(settings: Settings, hidden: int) -> int:
    """`mlp_hidden_size`, or `mlp_ratio` times the width where that is null."""
    if settings.get("mlp_hidden_size") is None:
        return settings.integer("mlp_ratio") * hidden
    return settings.integer("mlp_hidden_size")


def _columns(settings: Settings) -> int:
    """Rows of the embedding: padded beyond the vocabulary where `embedding_size` says so."""
    vocabulary = settings.integer("vocab_size")
    if settings.get("embedding_size") is None:
        return vocabulary
    return settings.integer("embedding_size", least=vocabulary)


def _tensor_name(parameter: str, settings: Settings) -> str:
    stem, leaf = parameter.rsplit(".", 1)
    if stem in _TOP:
        return f"model.transformer.{_TOP[stem]}.{leaf}"
    _, layer, part = stem.split(".", 2)
    group_size = settings.integer("block_group_size")
    group, member = divmod(int(layer), group_size)
    block = f"blocks.{layer}" if group_size == 1 else f"block_groups.{group}.{member}"
    return f"model.transformer.{block}.{_BLOCK[part]}.{leaf}"


LLADA = Family(
    name="LLaDA",
    architectures=("LLaDAModelLM",),
    spec=_spec,
    tensor_name=_tensor_name,
    length_key="max_sequence_length",
    mask_token_id=126336,
    eos_token_id=126081,
    mask_tokens=("<|mdm_mask|>",),
    turn_end_tokens=("<|eot_id|>",),
    chat_template=_CHAT,
)
