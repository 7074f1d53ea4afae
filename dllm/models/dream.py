"""Dream: Dream-v0-Base and -Instruct, Dream-Coder, DiffuCoder (arXiv 2508.15487, 2506.20639).

Qwen2.5's tensors under full bidirectional attention. The raw row i predicts position i + 1, so position p is read from
the row of p - 1 and the first position from its own. Rotary tables are cast to the activations' dtype.
"""

from __future__ import annotations

from dllm.models.family import Family, Settings
from dllm.models.spec import BackboneSpec

_TOP = {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
_BLOCK = {
    "attention_norm": "input_layernorm",
    "attention.q": "self_attn.q_proj",
    "attention.k": "self_attn.k_proj",
    "attention.v": "self_attn.v_proj",
    "attention.o": "self_attn.o_proj",
    "mlp_norm": "post_attention_layernorm",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
}

_CHAT = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _spec(settings: Settings) -> BackboneSpec:
    settings.only("hidden_act", "silu")
    settings.only("rope_scaling", None)
    settings.only("use_sliding_window", False)
    settings.only_if_present("use_mrope", False)
    head_dim = settings.head_dim("hidden_size", "num_attention_heads")
    settings.only_if_present("head_dim", None, head_dim)
    return BackboneSpec(
        columns=settings.integer("vocab_size"),
        hidden_size=settings.integer("hidden_size"),
        intermediate_size=settings.integer("intermediate_size"),
        layers=settings.integer("num_hidden_layers"),
        heads=settings.integer("num_attention_heads"),
        kv_heads=settings.kv_heads("num_key_value_heads", "num_attention_heads"),
        head_dim=head_dim,
        norm_eps=settings.positive("rms_norm_eps"),
        rope_theta=settings.positive("rope_theta"),
        rope_full_precision=False,
        qkv_bias=True,
        tied_head=settings.flag("tie_word_embeddings"),
        lookback=1,
    )


def _tensor_name(parameter: str, settings: Settings) -> str:
    stem, leaf = parameter.rsplit(".", 1)
    if stem in _TOP:
        return f"{_TOP[stem]}.{leaf}"
    _, layer, part = stem.split(".", 2)
    return f"model.layers.{layer}.{_BLOCK[part]}.{leaf}"


DREAM = Family(
    name="Dream",
    architectures=("DreamModel",),
    spec=_spec,
    tensor_name=_tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=151666,
    eos_token_id=151643,
    mask_tokens=("<|mask|>",),
    # DiffuCoder fills the rest of the canvas with a pad of its own
    turn_end_tokens=("<|im_end|>", "<|dlm_pad|>"),
    chat_template=_CHAT,
)
