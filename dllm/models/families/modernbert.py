"""ModernBERT turned into a chat denoiser (ModernBERT-base/-large-chat-v0.1); the network is arXiv 2412.13663.

An encoder of full and of sliding-window attention layers, whose masked-language head predicts position i in row i. Its
published checkpoints spell turns as text. Where the tokenizer has no token of its own for `[/Answer]`, an answer ends
with that text and then the config's end of sequence: `stop="[/Answer]"` cuts it off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dllm.models.families.config import DEEPEST, LONGEST, ConfigReader
from dllm.models.families.family import BorrowedFamily

_FULL, _SLIDING = "full_attention", "sliding_attention"
_WIDTHS = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "local_attention")
_FLAGS = ("attention_bias", "mlp_bias", "norm_bias", "decoder_bias", "classifier_bias", "tie_word_embeddings")
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "cls_token_id", "sep_token_id")
_SPELLINGS = ("layer_types", "global_attn_every_n_layers", "rope_parameters", "global_rope_theta", "local_rope_theta")
"""Keys of which transformers 4 reads some and transformers 5 the others."""


def _values(config: ConfigReader) -> Mapping[str, Any]:
    """What makes the network, with what transformers 4 and 5 write differently in both ways.

    Either reads its own spelling only, and takes a default of its class for what it does not find.
    """
    widths = {key: config.integer(key) for key in _WIDTHS}
    activations = {key: config.get(key) for key in ("hidden_activation", "classifier_activation")}
    flags = {key: config.flag(key) for key in _FLAGS if key in config.values}
    config.refuse_scaling()
    every, (full, sliding) = _every(config), _thetas(config)
    config.pass_over(*_SPELLINGS)
    return {
        **widths,
        **activations,
        **flags,
        **dict.fromkeys(_IDS),  # no layer reads one, and the class complains of those outside the vocabulary
        "norm_eps": config.positive("norm_eps"),
        "num_hidden_layers": config.integer("num_hidden_layers", most=DEEPEST),
        "max_position_embeddings": config.integer("max_position_embeddings", most=LONGEST),
        "layer_types": _kinds(config.integer("num_hidden_layers", most=DEEPEST), every),
        "global_attn_every_n_layers": every,
        "rope_parameters": {
            _FULL: {"rope_type": "default", "rope_theta": full},
            _SLIDING: {"rope_type": "default", "rope_theta": sliding},
        },
        "global_rope_theta": full,
        "local_rope_theta": sliding,
        # transformers 4 compiles the feed-forward layers on CUDA where it may: seconds for every new length
        "reference_compile": False,
    }


def _kinds(layers: int, every: int) -> list[str]:
    return [_SLIDING if layer % every else _FULL for layer in range(layers)]


def _every(config: ConfigReader) -> int:
    """Every which layer attends to the whole canvas, the first included."""
    named = config.optional("layer_types")
    if named is None:
        return config.integer("global_attn_every_n_layers")
    layers = config.integer("num_hidden_layers", most=DEEPEST)
    every = named.index(_FULL, 1) if isinstance(named, list) and _FULL in named[1:] else layers
    legal = f"{_FULL!r} for layer 0 and every n-th, else {_SLIDING!r}"
    config.require("layer_types", named == _kinds(layers, every), legal)
    return every


def _thetas(config: ConfigReader) -> tuple[float, float]:
    """Bases of the rotary frequencies, of the full layers and of the sliding ones."""
    if config.optional("rope_parameters") is None:
        return config.positive("global_rope_theta"), config.positive("local_rope_theta")
    parameters = config.inside("rope_parameters")
    full, sliding = (parameters.inside(kind) for kind in (_FULL, _SLIDING))
    for kind in (full, sliding):
        kind.only_if_present("rope_type", "default")
    thetas = full.positive("rope_theta"), sliding.positive("rope_theta")
    for reader in (full, sliding, parameters):
        reader.refuse_unknown()
    return thetas


MODERNBERT = BorrowedFamily(
    name="ModernBERT",
    architectures=("ModernBertForMaskedLM",),
    values=_values,
    length_key="max_position_embeddings",
    mask_token_id=50284,
    eos_token_id=50282,
    mask_tokens=("[MASK]",),
    turn_end_tokens=("[/Answer]",),
    chat_template=(
        "{% for message in messages %}"
        "{% if message['role'] == 'system' %}"
        "{{ '[SYS]\n' + message['content'] | trim + '\n[/SYS]\n\n' }}"
        "{% elif message['role'] == 'user' %}"
        "{{ '[Question]\n' + message['content'] | trim + '\n[/Question]\n\n' }}"
        "{% else %}"
        "{{ '[Answer]\n' + message['content'] | trim + '\n[/Answer]\n\n' }}"
        "{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '[Answer]\n' }}{% endif %}"
    ),
    harmless=(
        *("classifier_pooling", "initializer_cutoff_factor", "reference_compile", "deterministic_flash_attn"),
        *("sparse_prediction", "sparse_pred_ignore_index", "repad_logits_with_grad"),
        *("layer_norm_eps", "position_embedding_type"),  # of the class it grew out of, and read by nobody
    ),
    second_hand=(
        "no folder of it was seen, only the code that trains and prompts it; whether [/Answer] is one token of its "
        "tokenizer is not known"
    ),
)
