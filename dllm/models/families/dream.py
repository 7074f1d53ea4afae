"""Dream: Dream-v0-Base and -Instruct, Dream-Coder, DiffuCoder (arXiv 2508.15487, 2506.20639).

Qwen2.5's tensors under full bidirectional attention. The raw row i predicts position i + 1, so position p is read from
the row of p - 1 and the first position from its own. Rotary tables are cast to the activations' dtype.
"""

from __future__ import annotations

from dllm.models.families.config import ConfigReader
from dllm.models.families.family import Family
from dllm.models.families.qwen import CHATML, SYSTEM, UNREAD, dimensions, plain_heads, tensor_name
from dllm.models.network.spec import BackboneSpec


def _spec(config: ConfigReader) -> BackboneSpec:
    config.only("use_sliding_window", False)
    plain_heads(config)
    return BackboneSpec(**dimensions(config), qkv_bias=True, lookback=1)


DREAM = Family(
    name="Dream",
    architectures=("DreamModel",),
    spec=_spec,
    tensor_name=tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=151666,
    eos_token_id=151643,
    mask_tokens=("<|mask|>",),
    # DiffuCoder fills the rest of the canvas with a pad of its own
    turn_end_tokens=("<|im_end|>", "<|dlm_pad|>"),
    chat_template=SYSTEM + CHATML,
    harmless=UNREAD,
)
