"""iLLaDA-8B-Base and -Instruct (arXiv 2606.25331): LLaDA retrained from scratch, with a Llama's names and shapes.

Full attention, grouped keys, no biases, no norm of queries and keys; row i predicts position i. The head is tied; a
checkpoint that stores it as well must store the embedding.
"""

from __future__ import annotations

from dllm.models.families.config import ConfigReader
from dllm.models.families.family import Family
from dllm.models.families.qwen import dimensions, plain_heads, tensor_name
from dllm.models.network.spec import BackboneSpec


def _spec(config: ConfigReader) -> BackboneSpec:
    config.only_if_present("attention_bias", False)
    config.only_if_present("mlp_bias", False)
    config.only_if_present("layer_norm_eps", None)  # a number turns the norms into LayerNorm
    plain_heads(config)
    return BackboneSpec(**dimensions(config))


ILLADA = Family(
    name="iLLaDA",
    architectures=("ILLaDAForCausalLM",),
    spec=_spec,
    tensor_name=tensor_name,
    length_key="max_position_embeddings",
    mask_token_id=5,
    eos_token_id=2,
    mask_tokens=("<[MASK]>",),
    turn_end_tokens=(),
    chat_template=None,
    second_hand=(
        "no config.json, tokenizer or chat template of it was seen, only copies of its code and its ids in the code "
        "of others; it loads if its keys and tensors are Llama's, and chats if its tokenizer brings a template"
    ),
)
