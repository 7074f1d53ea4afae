"""What clients may send. Unknown fields are ignored, since clients send many; None counts as not there.

Only types are checked here. What a value means is checked where it is read (`fields`, `grammars`), and every range
where Python users meet it too: in `SamplingParams`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class StreamOptions(BaseModel):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = None


class RequestBody(BaseModel):
    """What every kind of request may hold."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    model: str | None = Field(None, description="a name of /v1/models; without it the first of them")
    max_tokens: int | None = Field(None, description="masks to fill; by default 128")
    max_completion_tokens: int | None = None
    max_new_tokens: int | None = None
    temperature: float | None = Field(None, description="by default 0, the most probable token")
    top_p: float | None = None
    top_k: int | None = Field(None, description="-1 or 0: all")
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    n: int | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None
    logit_bias: dict[str, float] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    # what others have and a diffusion model has not: accepted where it changes nothing
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    min_p: float | None = None
    best_of: int | None = None
    # structured output, as OpenAI, vLLM (new and old) and SGLang spell it
    response_format: dict[str, Any] | None = None
    structured_outputs: dict[str, Any] | None = None
    json_schema: dict[str, Any] | str | None = None
    regex: str | None = None
    ebnf: str | None = None
    guided_json: dict[str, Any] | str | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    # ours
    grammar: str | None = Field(None, description="the name of a built-in grammar")
    scheduler: str | None = Field(None, description="a spec, as in /v1/options")
    cache: str | None = None
    block_length: int | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    diffusing: bool | None = Field(None, description="in a stream, every event's text is the whole text up to now")


class ChatBody(RequestBody):
    """Of /v1/chat/completions."""

    messages: list[dict[str, Any]]
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Any] | None = None
    function_call: Any = None
    modalities: list[str] | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None


class CompletionBody(RequestBody):
    """Of /v1/completions and /v1/fim/completions."""

    prompt: str | list[int] | list[str] | list[list[int]]
    suffix: str | None = Field(None, description="fill in the middle: what stands behind the answer")
    echo: bool | None = None
    logprobs: int | None = None


class Width(BaseModel):
    """Of a hole that leaves its width open."""

    min: int
    max: int


class DocumentPart(BaseModel):
    """Ids, or a hole."""

    ids: list[int] | None = None
    hole: int | Width | None = None


class InfillBody(RequestBody):
    """Of /v1/infill."""

    document: str | list[str | DocumentPart] = Field(
        description="text with <mask:12> or <mask:3-12> holes, or parts: text, ids, holes"
    )
    logprobs: int | None = None


class TokenizeBody(BaseModel):
    """Of /tokenize."""

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    add_generation_prompt: bool | None = None
    return_token_strs: bool | None = None


class DetokenizeBody(BaseModel):
    """Of /detokenize."""

    model: str | None = None
    tokens: list[int]
