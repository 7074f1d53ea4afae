"""Fast-dLLM v2 (arXiv 2509.26328): Qwen2.5's tensors, block-causal, shifted.

The raw row i predicts position i + 1. So the first token of a block is predicted from the block before, which does not
see the block: the published sampler takes it alone, and then denoises eight positions at a time.
"""

from __future__ import annotations

from dllm.models.families.config import ConfigReader
from dllm.models.families.family import BlockCausal, Family
from dllm.models.families.qwen import CHATML, SYSTEM, UNREAD, dimensions, tensor_name
from dllm.models.network.spec import BackboneSpec


def _spec(config: ConfigReader) -> BackboneSpec:
    return BackboneSpec(**dimensions(config), qkv_bias=True, lookback=1)


FAST_DLLM_V2 = Family(
    name="Fast-dLLM v2",
    architectures=("Fast_dLLM_QwenForCausalLM",),
    spec=_spec,
    tensor_name=tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=151665,
    eos_token_id=151645,
    mask_tokens=("|<MASK>|",),
    turn_end_tokens=("<|im_end|>",),
    chat_template=SYSTEM + CHATML,
    harmless=UNREAD,
    blocks=BlockCausal(key="bd_size", length=32, denoised=8, lead=True),
)
