"""DreamReasoner-8B (arXiv 2606.19257): Qwen3's tensors, block-causal in blocks of 32; row i predicts position i.

It shares its `model_type` with Dream, and neither Dream's shift nor its full attention.
"""

from __future__ import annotations

from dllm.models.families.family import BlockCausal, Family
from dllm.models.families.qwen import CHATML, tensor_name
from dllm.models.families.sdar import qwen3

DREAM_REASONER = Family(
    name="DreamReasoner",
    architectures=("DreamForCausalLM",),
    spec=qwen3,
    tensor_name=tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=151669,
    eos_token_id=151643,
    mask_tokens=("<|mask|>", "<|MASK|>"),
    turn_end_tokens=("<|im_end|>",),
    chat_template=CHATML,
    blocks=BlockCausal(key="block_size", length=32),
    second_hand=(
        "no config.json, tokenizer or code of it was seen; mask id, block and unshifted logits are reported by others, "
        "network and chat template are taken to be Qwen3's, and other tensors do not load"
    ),
)
