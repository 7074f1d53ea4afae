"""Keys of config.json that no family reads: those that say nothing of the network, and those that may say one thing.

What `transformers` writes into every config is here, in one place; what one family's checkpoints carry besides is in
its file (`Published.harmless`). A key that is in neither and that nobody has asked for is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RECORDS = (
    *("architectures", "model_type", "auto_map", "transformers_version", "_name_or_path", "name_or_path"),
    *("_commit_hash", "custom_pipelines", "finetuning_task", "task_specific_params", "problem_type"),
    *("id2label", "label2id", "num_labels", "tokenizer_class", "prefix", "unsloth_version", "unsloth_fixed"),
)
"""Where the checkpoint comes from and what was made of it."""
_READ_ELSEWHERE = ("torch_dtype", "dtype", "eos_token_id", "mask_token_id")
_IDS = (
    *("bos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id", "decoder_start_token_id"),
    *("forced_bos_token_id", "forced_eos_token_id"),
)
"""Ids that no canvas holds unless its text says so."""
_WAYS = (
    *("use_cache", "return_dict", "use_return_dict", "output_attentions", "output_hidden_states", "torchscript"),
    *("output_router_logits", "gradient_checkpointing", "chunk_size_feed_forward", "flash_attention"),
    *("attn_implementation", "_attn_implementation", "_attn_implementation_autoset", "_experts_implementation"),
    *("use_bfloat16", "tf_legacy_loss"),
)
"""How it is computed, which changes no number that matters."""
_TRAINING = (
    *("attention_dropout", "hidden_dropout", "embedding_dropout", "residual_dropout", "output_dropout", "mlp_dropout"),
    *("classifier_dropout", "attention_probs_dropout_prob", "hidden_dropout_prob"),
    *("initializer_range", "initializer_factor", "router_aux_loss_coef", "router_z_loss_coef"),
)
"""What is done in training only."""
_GENERATION = (
    *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty"),
    *("temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size"),
    *("encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores"),
    *("return_dict_in_generate", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens"),
    *("begin_suppress_tokens",),
)
"""Of `transformers`' own sampler; what a request asks for is in its parameters."""

BOOKKEEPING = frozenset((*_RECORDS, *_READ_ELSEWHERE, *_IDS, *_WAYS, *_TRAINING, *_GENERATION))
"""Keys that may say what they like in every family."""
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "tie_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "pruned_heads": ({}, []),
    "pretraining_tp": (1,),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "logits_scaling": (1,),
    "logit_scale": (1,),
    "num_nextn_predict_layers": (0,),
    "partial_rotary_factor": (1,),
}
"""Keys that are legal in every family where they change nothing, and what they then say; null besides, as for any."""
QUANTIZED = ("quantization_config", "quantization", "compression_config")
"""Keys of checkpoints whose weights are no plain numbers."""
