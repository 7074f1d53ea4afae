"""LLaDA dense: LLaDA-8B-Base and -Instruct, LLaDA-1.5, MMaDA's text half (arXiv 2502.09992, 2505.19223).

Full bidirectional attention, row i of the logits predicts position i, rotary positions in float32.
"""

from __future__ import annotations

from dllm.models.families.config import DEEPEST, ConfigReader
from dllm.models.families.family import Family
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


def _spec(config: ConfigReader) -> BackboneSpec:
    config.only("block_type", "llama")
    config.only("activation_type", "silu")
    config.only("layer_norm_type", "rms")
    config.only("rope", True)
    config.only("alibi", False)
    for key in ("layer_norm_with_affine", "attention_layer_norm_with_affine"):
        config.only_if_present(key, True)
    config.only_if_present("clip_qkv", None)
    config.integer("block_group_size", most=DEEPEST)
    biases = config.flag("include_bias")
    # Null means "as include_bias", which would give the norms biases.
    config.only("bias_for_layer_norm", *((False,) if biases else (False, None)))
    hidden, head_dim = config.integer("d_model"), config.head_dim("d_model", "n_heads")
    return BackboneSpec(
        columns=_columns(config),
        hidden_size=hidden,
        intermediate_size=_mlp_width(config, hidden),
        layers=config.integer("n_layers", most=DEEPEST),
        heads=config.integer("n_heads"),
        kv_heads=_kv_heads(config),
        head_dim=head_dim,
        norm_eps=config.positive("rms_norm_eps"),
        rope_theta=config.theta(),
        rope_full_precision=config.flag("rope_full_precision"),
        qkv_bias=config.flag("include_qkv_bias"),
        linear_bias=biases,
        projection_norm=config.flag("attention_layer_norm"),
        tied_head=config.flag("weight_tying"),
        embedding_scale=hidden**0.5 if config.flag("input_emb_norm") else 1.0,
        logits_scale=hidden**-0.5 if config.flag("scale_logits") else 1.0,
        gaps_keep_distance=True,
    )


def _kv_heads(config: ConfigReader) -> int:
    """`n_kv_heads`; null means one head for multi-query attention and as many as query heads otherwise."""
    if config.get("n_kv_heads") is None:
        config.only("multi_query_attention", None, False, True)
        return 1 if config.get("multi_query_attention") else config.integer("n_heads")
    kv_heads = config.kv_heads("n_kv_heads", "n_heads")
    if kv_heads != 1:
        config.only("multi_query_attention", None, False)
    config.pass_over("multi_query_attention")
    return kv_heads


def _mlp_width(config: ConfigReader, hidden: int) -> int:
    """`mlp_hidden_size`, or `mlp_ratio` times the width where that is null."""
    if config.get("mlp_hidden_size") is None:
        return config.integer("mlp_ratio") * hidden
    config.pass_over("mlp_ratio")
    return config.integer("mlp_hidden_size")


def _columns(config: ConfigReader) -> int:
    """Rows of the embedding: padded beyond the vocabulary where `embedding_size` says so."""
    vocabulary = config.integer("vocab_size")
    if config.get("embedding_size") is None:
        return vocabulary
    return config.integer("embedding_size", least=vocabulary)


def _tensor_name(parameter: str, config: ConfigReader) -> str:
    stem, leaf = parameter.rsplit(".", 1)
    if stem in _TOP:
        return f"model.transformer.{_TOP[stem]}.{leaf}"
    _, layer, part = stem.split(".", 2)
    group_size = config.integer("block_group_size")
    group, member = divmod(int(layer), group_size)
    block = f"blocks.{layer}" if group_size == 1 else f"block_groups.{group}.{member}"
    return f"model.transformer.{block}.{_BLOCK[part]}.{leaf}"


_HARMLESS = (
    *("alibi_bias_max", "precision", "init_device", "init_fn", "init_std", "init_cutoff_factor"),
    "tie_word_embeddings",  # weight_tying says it
    # MMaDA's, of the images that its vocabulary has tokens for
    *("llm_vocab_size", "llm_model_path", "new_vocab_size", "num_new_special_tokens", "codebook_size", "num_vq_tokens"),
)

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
    harmless=_HARMLESS,
)
