"""Tiny-A2D: autoregressive Qwen2, Qwen3 and Llama turned into denoisers, full ("mdlm") or block-causal ("bd3lm").

Their configs do not say which of the two; the published folders do, by their names. Row i predicts position i.
"""

from __future__ import annotations

from dataclasses import replace

from dllm.models.families.config import ConfigReader
from dllm.models.families.family import BlockCausal, Family
from dllm.models.families.qwen import CHATML, NO_THINKING, SYSTEM, UNREAD, dimensions, tensor_name
from dllm.models.families.sdar import qwen3
from dllm.models.network.spec import BackboneSpec


def _qwen2(config: ConfigReader) -> BackboneSpec:
    return BackboneSpec(**dimensions(config), qkv_bias=True, gaps_keep_distance=True)


def _qwen3(config: ConfigReader) -> BackboneSpec:
    return replace(qwen3(config), gaps_keep_distance=True)


def _llama(config: ConfigReader) -> BackboneSpec:
    config.only_if_present("attention_bias", False)
    config.only_if_present("mlp_bias", False)
    return BackboneSpec(**dimensions(config), gaps_keep_distance=True)


A2D_QWEN3 = Family(
    name="A2D-Qwen3",
    architectures=("A2DQwen3LMHeadModel",),
    spec=_qwen3,
    tensor_name=tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=151669,
    eos_token_id=151645,
    mask_tokens=("<|mask|>",),
    turn_end_tokens=("<|im_end|>",),
    chat_template=CHATML + NO_THINKING,
    template_variables={"enable_thinking": False},
    blocks=BlockCausal(length=32, only_named="bd3lm"),
)
A2D_QWEN2 = replace(
    A2D_QWEN3,
    name="A2D-Qwen2",
    architectures=("A2DQwen2LMHeadModel",),
    spec=_qwen2,
    harmless=UNREAD,
    mask_token_id=151665,
    chat_template=SYSTEM + CHATML,
    template_variables={},
)
A2D_LLAMA = replace(
    A2D_QWEN2,
    name="A2D-Llama",
    architectures=("A2DLlamaLMHeadModel",),
    spec=_llama,
    harmless=(),
    mask_token_id=128256,
    eos_token_id=128009,
    turn_end_tokens=("<|eot_id|>",),
    second_hand="no checkpoint, id or template of it was seen; it loads if its tensors are Llama's",
)
