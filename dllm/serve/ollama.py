"""Ollama's /api/chat, /api/generate and /api/tags, so that front ends for local models work. Streams are lines of JSON.

A body of theirs becomes one of ours, so that every field means the same on both sides.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Receive, Scope, Send

from dllm.engine.answer import AnswerDraft
from dllm.engine.batcher import Checked
from dllm.engine.document import Hole
from dllm.engine.infill import DocumentDraft
from dllm.outputs import RequestOutput
from dllm.serve.answers import cut
from dllm.serve.async_llm import Following
from dllm.serve.bodies import ChatBody
from dllm.serve.chat import ChatRequest, message_of, read
from dllm.serve.completions import FILLED
from dllm.serve.errors import Refusal
from dllm.serve.fields import stops_of
from dllm.serve.service import Service, written
from dllm.serve.streams import Prose, failed, merged
from dllm.version import __version__

_OPTIONS = ("temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty")
_OURS = ("scheduler", "cache", "block_length", "steps", "grammar")
_LATEST = ":latest"


class OllamaBody(BaseModel):
    """What both kinds of request may hold."""

    model: str | None = None
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = Field(None, description="num_predict, temperature, ...; and ours: scheduler, ...")


class OllamaChat(OllamaBody):
    """Of /api/chat."""

    messages: list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None


class OllamaGenerate(OllamaBody):
    """Of /api/generate."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: bool | None = None


def router(service: Service) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/tags")
    async def tags() -> Response:
        """The models that are served."""
        return _lines_of({"models": [_tag(service, name) for name in service.names]})

    @routes.get("/api/version")
    async def version() -> Response:
        return _lines_of({"version": __version__})

    @routes.post("/api/chat")
    async def chat(body: OllamaChat, request: Request) -> Response:
        """Answer a conversation."""
        _named(service, body.model)
        if not body.messages:
            return _lines_of({**_head(service, body), **_loaded("message", {"role": "assistant", "content": ""})})
        messages = [_plain(message) for message in body.messages]
        asked = await read(service, _chat_body(service, body, messages, body.tools))
        return await _answered(service, request, body, asked, asked.checked, messages, "message")

    @routes.post("/api/generate")
    async def generate(body: OllamaGenerate, request: Request) -> Response:
        """Continue a prompt, through the chat template unless it is raw."""
        _named(service, body.model)
        if not body.prompt:
            return _lines_of({**_head(service, body), **_loaded("response", "")})
        if body.template:
            raise Refusal("template is not served: a template is the operator's choice", param="template")
        messages = [{"role": "system", "content": body.system}] if body.system else []
        messages.append({"role": "user", "content": body.prompt})
        asked = await read(service, _chat_body(service, body, messages, None))
        if body.suffix:
            return await _between(service, request, body, asked)
        checked: Checked = AnswerDraft.of if body.raw else asked.checked
        item = body.prompt if body.raw else messages
        return await _answered(service, request, body, asked, checked, item, "response")

    return routes


def _chat_body(
    service: Service, body: OllamaBody, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None
) -> ChatBody:
    """The same request in our own words. Raises a Refusal for options of another type."""
    options = body.options or {}
    found = {name: options[name] for name in (*_OPTIONS, *_OURS) if options.get(name) is not None}
    most = options.get("num_predict")
    if most is not None and most not in (-1, -2):  # Ollama's words for "no limit"
        found["max_tokens"] = most
    if body.format == "json":
        found["response_format"] = {"type": "json_object"}
    elif isinstance(body.format, dict):
        found["json_schema"] = body.format
    elif body.format:
        raise Refusal(f"format={body.format[:60]!r} must be 'json' or a JSON schema", param="format")
    found |= {"model": _named(service, body.model), "tools": tools or None}
    try:
        return ChatBody.model_validate({**found, "messages": messages})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"])
        raise Refusal(f"options: {place}: {first['msg']}"[:400], param="options") from None


def _named(service: Service, model: str | None) -> str:
    """The name of a model; Ollama's clients may add a tag to it."""
    bare = None if model is None or model in service.names else model.removesuffix(_LATEST)
    return service.named(model if bare is None else bare)


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message of theirs as one of ours: images cannot be read, other keys of theirs say nothing."""
    if message.get("images"):
        raise Refusal("images cannot be read by this model", param="messages")
    kept = {key: message[key] for key in ("role", "content", "tool_calls", "thinking") if message.get(key)}
    return {"content": "", **kept}


async def _answered(
    service: Service,
    request: Request,
    body: OllamaBody,
    asked: ChatRequest,
    checked: Checked,
    item: Any,
    part: str,
) -> Response:
    began = time.monotonic_ns()
    if body.stream is False:
        output = await service.answer(request, checked, item, asked.params)
        return _lines_of({**_head(service, body), **_said(asked, output, part), **_costs(output, began)})
    following = await service.begin(request, checked, item, asked.params)
    return _Lines(_told(service, body, asked, following, part, began), following)


async def _told(
    service: Service, body: OllamaBody, asked: ChatRequest, following: Following, part: str, began: int
) -> AsyncIterator[str]:
    prose = Prose(asked.stops)
    try:
        async for _, _, event in merged(service, [following]):
            ended = event.output is not None
            held = asked.offer.is_call(event.firm) or (asked.offer.free and not event.firm.strip())
            piece = "" if held else prose.grown(event.firm, ended=ended)
            if piece:
                yield _line({**_head(service, body), **_as(part, piece), "done": False})
            if event.output is not None:
                said = _said(asked, event.output, part)
                if asked.offer.is_call(event.output.text):
                    yield _line({**_head(service, body), part: said[part], "done": False})
                last = {**_head(service, body), **_as(part, ""), "done": True, "done_reason": said["done_reason"]}
                yield _line({**last, **_costs(event.output, began)})
    except Exception as error:
        yield _line({"error": failed(error).message})


async def _between(service: Service, request: Request, body: OllamaGenerate, asked: ChatRequest) -> Response:
    """What stands between a prompt and a suffix; several widths are tried, so it comes at once."""
    began, width = time.monotonic_ns(), asked.params.max_new_tokens if asked.body.max_tokens else FILLED
    free = asked.body.model_copy(update={"max_tokens": width, "stop": None})
    params = (await read(service, free)).params
    document = [body.prompt, Hole(min=1, max=width), body.suffix]
    output = await service.answer(request, DocumentDraft.of, document, params)
    text = cut(output.holes[0], stops_of(asked.body))
    return _lines_of(
        {**_head(service, body), "response": text, "done": True, "done_reason": "stop"} | _costs(output, began)
    )


def _said(asked: ChatRequest, output: RequestOutput, part: str) -> dict[str, Any]:
    message, reason = message_of(asked, output)
    content = message["content"] or ""
    found: dict[str, Any] = _as(part, content)
    if message.get("tool_calls") and part == "message":
        functions = [call["function"] for call in message["tool_calls"]]
        called = [{"function": {**one, "arguments": json.loads(one["arguments"])}} for one in functions]
        found = {"message": {"role": "assistant", "content": "", "tool_calls": called}}
    return {**found, "done": True, "done_reason": "length" if reason == "length" else "stop"}


def _as(part: str, text: str) -> dict[str, Any]:
    return {part: {"role": "assistant", "content": text} if part == "message" else text}


def _head(service: Service, body: OllamaBody) -> dict[str, Any]:
    return {"model": body.model or service.names[0], "created_at": _now()}


def _loaded(part: str, nothing: Any) -> dict[str, Any]:
    """The answer to who asks for nothing, which loads a model in Ollama."""
    return {part: nothing, "done": True, "done_reason": "load"}


def _costs(output: RequestOutput, began: int) -> dict[str, Any]:
    """Nanoseconds and tokens."""
    seconds = sum(sample.stats.seconds for sample in output.samples)
    tokens = sum(sample.stats.tokens for sample in output.samples)
    took = {"total_duration": time.monotonic_ns() - began, "load_duration": 0, "prompt_eval_duration": 0}
    return {
        **took,
        "prompt_eval_count": len(output.prompt_token_ids),
        "eval_count": tokens,
        "eval_duration": int(seconds * 1e9),
    }


def _tag(service: Service, name: str) -> dict[str, Any]:
    details = {"format": "safetensors", "family": "diffusion", "families": ["diffusion"]}
    details |= {"parameter_size": "", "quantization_level": "", "parent_model": ""}
    when = datetime.fromtimestamp(service.created, UTC).isoformat()
    return {"name": name, "model": name, "modified_at": when, "size": 0, "digest": "", "details": details}


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _line(content: dict[str, Any]) -> str:
    return written(content) + "\n"


def _lines_of(content: dict[str, Any]) -> Response:
    return Response(_line(content).encode("utf-8", "replace"), media_type="application/json")


class _Lines(StreamingResponse):
    """Lines of JSON; the request is given up with the response, even if that has never begun."""

    def __init__(self, lines: AsyncIterator[str], following: Following) -> None:
        super().__init__(lines, media_type="application/x-ndjson")
        self._following = following

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._following.close()
