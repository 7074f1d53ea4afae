"""/v1/chat/completions."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dllm.engine.answer import AnswerDraft
from dllm.engine.batcher import Checked
from dllm.engine.text_model import TextModel
from dllm.errors import PromptError
from dllm.outputs import RequestOutput, StepEvent
from dllm.params import SamplingParams
from dllm.serve.answers import chat_logprobs, cut, finish_of, usage_of
from dllm.serve.async_llm import Following
from dllm.serve.bodies import ChatBody
from dllm.serve.errors import Refusal
from dllm.serve.fields import params_of_body, seed_of, stops_of
from dllm.serve.service import Json, Service, new_id
from dllm.serve.streams import Events, Prose, Settling, header_of, merged, noisy_text, released, step_of
from dllm.serve.tools import Calling, Offer, call_of, offer_of


@dataclass(frozen=True)
class ChatRequest:
    """A chat request, read.

    Attributes:
        checked: makes a draft of the messages.
        offer: the form of the answer.
        stops: strings before which the text ends.
    """

    body: ChatBody
    params: SamplingParams
    checked: Checked
    model: str
    offer: Offer
    stops: tuple[str, ...]
    id: str = field(default_factory=lambda: new_id("chatcmpl"))
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def diffusing(self) -> bool:
        return bool(self.body.diffusing)


def router(service: Service) -> APIRouter:
    routes = APIRouter()

    @routes.post("/v1/chat/completions")
    async def chat_completions(body: ChatBody, request: Request) -> Response:
        """Answer a conversation."""
        asked = await read(service, body)
        if body.stream:
            return await _streamed(service, asked, request)
        output = await service.answer(request, asked.checked, body.messages, asked.params)
        return Json(_whole(service, asked, output))

    return routes


async def read(service: Service, body: ChatBody) -> ChatRequest:
    """What a body asks for. Raises a Refusal or a DllmError for what cannot be honoured."""
    model = service.named(body.model)
    offer = offer_of(body)
    _refuse(body, offer)
    grammar = await service.grammars.get(offer.form)
    alternatives = (body.top_logprobs or 0) if body.logprobs else None
    if body.top_logprobs and not body.logprobs:
        raise Refusal("top_logprobs needs logprobs: true", param="top_logprobs")
    params = params_of_body(body, grammar=grammar, logprobs=alternatives)
    return ChatRequest(body, params, rendering(body, offer), model, offer, stops_of(body))


def _refuse(body: ChatBody, offer: Offer) -> None:
    if body.modalities and body.modalities != ["text"]:
        raise Refusal("modalities: this model writes text only", param="modalities")
    if body.chat_template is not None:
        raise Refusal("chat_template is not served: a template is the operator's choice", param="chat_template")
    if body.diffusing and offer.tools:
        raise Refusal("diffusing does not go with tools; leave one of them out", param="diffusing")
    last = body.messages[-1].get("role") if body.messages else None
    if body.continue_final_message and last != "assistant":
        raise Refusal("continue_final_message: the last message must be the assistant's", param="messages")
    if last == "assistant" and (body.continue_final_message is False or body.add_generation_prompt):
        raise Refusal(
            "a conversation that ends with the assistant is gone on with in that message; end it with the user's, or "
            "leave continue_final_message and add_generation_prompt out",
            param="messages",
        )


def rendering(body: ChatBody, offer: Offer) -> Checked:
    """What makes a draft of messages, with the body's own variables for the chat template."""
    variables = {**(body.chat_template_kwargs or {}), **({"tools": [*offer.tools]} if offer.tools else {})}
    opening = body.add_generation_prompt is not False or bool(body.continue_final_message)

    def checked(engine: TextModel, messages: Any, params: SamplingParams) -> AnswerDraft:
        return AnswerDraft.of(engine, prompt_of(engine, messages, variables, opening), params)

    return checked


def prompt_of(engine: TextModel, messages: Any, variables: dict[str, Any], opening: bool = True) -> str:
    """The text that the chat template makes of messages.

    Args:
        variables: what else it may ask for.
        opening: whether it ends where the assistant is to write.
    """
    tokenizer = engine.tokenizer
    if tokenizer is None:
        raise PromptError("chat needs a tokenizer with a chat template, and this model has none")
    if variables:
        tokenizer = copy.copy(tokenizer)
        tokenizer.template_variables = {**tokenizer.template_variables, **variables}
    return tokenizer.apply_chat_template([_with_objects(message) for message in messages], opening)


def _with_objects(message: dict[str, Any]) -> dict[str, Any]:
    """Arguments of calls are JSON texts in OpenAI's interface, and objects in templates."""
    given = message.get("tool_calls")
    if not isinstance(given, list):
        return message
    found = []
    for call in given:
        inner = call.get("function") if isinstance(call, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("arguments"), str):
            with suppress(ValueError, RecursionError):
                call = {**call, "function": {**inner, "arguments": json.loads(inner["arguments"])}}
        found.append(call)
    return {**message, "tool_calls": found}


def message_of(asked: ChatRequest, sample: RequestOutput) -> tuple[dict[str, Any], str]:
    """The assistant's message, and why it ends."""
    if asked.offer.is_call(sample.text):
        call = call_of(sample.text, asked.offer)
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}, "tool_calls"
    finish = finish_of(sample, sample.text, asked.stops, structured=asked.params.grammar is not None)
    return {"role": "assistant", "content": cut(sample.text, asked.stops), "refusal": None}, finish


def _whole(service: Service, asked: ChatRequest, output: RequestOutput) -> dict[str, Any]:
    choices = []
    for index, sample in enumerate(output.samples):
        message, reason = message_of(asked, sample)
        logprobs = None if sample.logprobs is None else chat_logprobs(service, sample.logprobs)
        found = {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}
        choices.append({**found, "diffusion": {"stats": sample.stats.to_dict(), "seed": sample.seed}})
    return {
        "id": asked.id,
        "object": "chat.completion",
        "created": asked.created,
        "model": asked.model,
        "choices": choices,
        "usage": usage_of([output], service.llm.engine.mask_token_id),
    }


async def followed(
    service: Service, request: Request, checked: Checked, items: Sequence[Any], params: SamplingParams
) -> list[Following]:
    """The steps of every sample of every item, one after the other, once all have been checked."""
    first = seed_of(params)
    each = [(item, replace(params, n=1, seed=first + number)) for item in items for number in range(params.n)]
    tasks = [asyncio.create_task(service.begin(request, checked, item, own)) for item, own in each]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        for begun in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(begun, Following):
                begun.close()
        raise


async def _streamed(service: Service, asked: ChatRequest, request: Request) -> Response:
    followings = await followed(service, request, asked.checked, [asked.body.messages], asked.params)
    return Events(service, _chunks(service, asked, followings), released(followings))


async def _chunks(
    service: Service, asked: ChatRequest, followings: Sequence[Following]
) -> AsyncIterator[dict[str, Any]]:
    head = {"id": asked.id, "object": "chat.completion.chunk", "created": asked.created, "model": asked.model}
    with_usage = bool(asked.body.stream_options and asked.body.stream_options.include_usage)
    speakers = [_Speaker(service, asked, index, following) for index, following in enumerate(followings)]
    if not asked.diffusing:
        for speaker in speakers:
            yield {**head, "choices": [speaker.opening()]}
    outputs, mask = list[RequestOutput](), service.llm.engine.mask_token_id
    async for index, number, event in merged(service, followings):
        outputs += [] if event.output is None else [event.output]
        for choice in speakers[index].said(event, number):
            chunk = {**head, "choices": [choice]}
            if choice["finish_reason"] is not None and asked.diffusing and not with_usage:
                chunk["usage"] = usage_of(outputs, mask, len(followings))
            yield chunk
    if with_usage:
        yield {**head, "choices": [], "usage": usage_of(outputs, mask, len(followings))}


class _Speaker:
    """One choice of a stream: steps become the choices of chunks."""

    def __init__(self, service: Service, asked: ChatRequest, index: int, following: Following) -> None:
        self._service, self._asked, self._index, self._following = service, asked, index, following
        self._prose, self._calling, self._settling = Prose(asked.stops), Calling(asked.offer), Settling()

    def opening(self, diffusion: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._choice({"role": "assistant", "content": ""}, diffusion)

    def said(self, event: StepEvent, number: int) -> list[dict[str, Any]]:
        """What a step has to say; nothing where it settled nothing."""
        header = self._following.header
        found = list[dict[str, Any]]()
        if self._asked.diffusing and number == 0:
            found.append(self.opening(header_of(header)))
        diffusion = step_of(self._service, event, number, header)
        if self._asked.diffusing:
            text = cut(noisy_text(self._service, event, header), self._asked.stops)
            found.append(self._choice({"content": text}, diffusion, event))
        else:
            found += [self._choice(delta, diffusion, event) for delta in self._deltas(event)]
        if event.output is not None:
            found.append(self._closing(event.output))
        return found

    def _deltas(self, event: StepEvent) -> list[dict[str, Any]]:
        ended = event.output is not None
        if self._asked.offer.free and not event.firm.strip() and not ended:
            return []  # it is not known yet whether this is a call
        if self._asked.offer.is_call(event.firm):
            return [{"tool_calls": [entry]} for entry in self._calling.grown(event.firm, ended=ended)]
        piece = self._prose.grown(event.firm, ended=ended)
        return [{"content": piece}] if piece else []

    def _closing(self, output: RequestOutput) -> dict[str, Any]:
        finish = message_of(self._asked, output)[1]
        return self._choice({}, {"stats": output.stats.to_dict(), "seed": output.seed}, finish=finish)

    def _choice(
        self,
        delta: dict[str, Any],
        diffusion: dict[str, Any] | None,
        event: StepEvent | None = None,
        finish: str | None = None,
    ) -> dict[str, Any]:
        logprobs = None
        if event is not None and self._asked.params.logprobs is not None:
            logprobs = chat_logprobs(self._service, self._settling.grown(event, self._following.header))
        found = {"index": self._index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return found if diffusion is None else {**found, "diffusion": diffusion}
