"""/v1/completions, and /v1/fim/completions: prompts are continued; between a prompt and a suffix a hole is filled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dllm.engine.answer import AnswerDraft
from dllm.engine.batcher import Checked
from dllm.engine.document import Hole
from dllm.engine.infill import DocumentDraft
from dllm.grammars.grammar import Grammar
from dllm.outputs import RequestOutput, StepEvent
from dllm.params import SamplingParams
from dllm.serve.answers import completion_logprobs, cut, finish_of, usage_of
from dllm.serve.async_llm import Following
from dllm.serve.bodies import CompletionBody
from dllm.serve.chat import followed
from dllm.serve.errors import Refusal
from dllm.serve.fields import params_of_body, stops_of
from dllm.serve.grammars import form_of
from dllm.serve.service import Json, Service, new_id
from dllm.serve.streams import Events, Prose, Settling, header_of, merged, noisy_text, released, step_of

FILLED = 16
"""Tokens between a prompt and a suffix at most, where nobody says: OpenAI's default."""
MOST_PROMPTS = 256


def router(service: Service) -> APIRouter:
    routes = APIRouter()

    @routes.post("/v1/completions")
    @routes.post("/v1/fim/completions")
    async def completions(body: CompletionBody, request: Request) -> Response:
        """Continue prompts, or fill in what stands between a prompt and a suffix."""
        _refuse(body)
        model, prompts = service.named(body.model), _prompts(body)
        grammar = await service.grammars.get(form_of(body))
        head = {"id": new_id("cmpl"), "object": "text_completion", "created": int(time.time()), "model": model}
        if body.suffix:
            outputs = await _filled(service, request, body, prompts, grammar)
            if body.stream:
                return Events(service, _told_at_once(service, body, head, prompts, outputs), released(()))
            return Json({**head, **_whole(service, body, prompts, outputs)})
        params = params_of_body(body, grammar=grammar, logprobs=body.logprobs)
        if body.stream:
            followings = await followed(service, request, AnswerDraft.of, prompts, params)
            return Events(service, _chunks(service, body, params, head, prompts, followings), released(followings))
        outputs = await _all(service, request, [(AnswerDraft.of, prompt) for prompt in prompts], params)
        return Json({**head, **_whole(service, body, prompts, outputs)})

    return routes


def _refuse(body: CompletionBody) -> None:
    if body.echo and body.logprobs is not None:
        raise Refusal(
            "echo with logprobs: a diffusion model has no log-probabilities of a prompt's tokens (dllm eval lm bounds "
            "the likelihood of texts)",
            param="echo",
        )
    if body.suffix and body.diffusing:
        raise Refusal(
            "diffusing does not go with suffix, where several widths are tried; use /v1/infill", param="suffix"
        )


def _prompts(body: CompletionBody) -> list[str | list[int]]:
    """One or several prompts, each a text or ids."""
    given = body.prompt
    found: list[Any] = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else [*given]
    if not found or len(found) > MOST_PROMPTS:
        raise Refusal(f"prompt must be 1...{MOST_PROMPTS} texts or lists of ids, not {len(found)}", param="prompt")
    return found


async def _all(
    service: Service, request: Request, asked: Sequence[tuple[Checked, Any]], params: SamplingParams
) -> list[RequestOutput]:
    """The outputs of several requests, or the first of their errors, which ends the others."""

    async def together() -> list[RequestOutput]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(service.engine.ask(checked, item, params)) for checked, item in asked]
        return [task.result() for task in tasks]

    try:
        return await service.waited(request, together())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _filled(
    service: Service, request: Request, body: CompletionBody, prompts: Sequence[Any], grammar: Grammar | None
) -> list[RequestOutput]:
    """Prompts with their suffix, and a hole between them of up to so many tokens as are asked for."""
    asked = body.model_copy(update={"stop": None, "min_tokens": None})
    params = params_of_body(asked, grammar=grammar, logprobs=body.logprobs, max_new_tokens=FILLED)
    hole = Hole(min=min(max(1, body.min_tokens or 1), params.max_new_tokens), max=params.max_new_tokens)
    documents = [(DocumentDraft.of, [prompt, hole, body.suffix]) for prompt in prompts]
    return await _all(service, request, documents, params)


def _whole(
    service: Service, body: CompletionBody, prompts: Sequence[Any], outputs: Sequence[RequestOutput]
) -> dict[str, Any]:
    samples = [(prompt, sample) for prompt, out in zip(prompts, outputs, strict=True) for sample in out.samples]
    choices = [_choice(service, body, index, prompt, sample) for index, (prompt, sample) in enumerate(samples)]
    return {"choices": choices, "usage": usage_of(outputs, service.llm.engine.mask_token_id)}


def _choice(
    service: Service, body: CompletionBody, index: int, prompt: str | list[int], sample: RequestOutput
) -> dict[str, Any]:
    whole = sample.holes[0] if sample.holes else sample.text
    stops, front = stops_of(body), _echo(service, body, prompt)
    logprobs = sample.logprobs
    return {
        "index": index,
        "text": front + cut(whole, stops),
        "logprobs": None if logprobs is None else completion_logprobs(service, logprobs, len(front)),
        "finish_reason": finish_of(sample, whole, stops, structured=bool(form_of(body))),
        "diffusion": {"stats": sample.stats.to_dict(), "seed": sample.seed},
    }


def _echo(service: Service, body: CompletionBody, prompt: str | list[int]) -> str:
    """What stands in front of the answer."""
    if not body.echo:
        return ""
    return prompt if isinstance(prompt, str) else service.llm.engine.decode(prompt, skip_special=False)


async def _told_at_once(
    service: Service,
    body: CompletionBody,
    head: dict[str, Any],
    prompts: Sequence[Any],
    outputs: Sequence[RequestOutput],
) -> AsyncIterator[dict[str, Any]]:
    """A stream of what is known already: which of several widths is kept is known at the end only."""
    whole = _whole(service, body, prompts, outputs)
    for choice in whole["choices"]:
        yield {**head, "choices": [choice]}
    if body.stream_options and body.stream_options.include_usage:
        yield {**head, "choices": [], "usage": whole["usage"]}


async def _chunks(
    service: Service,
    body: CompletionBody,
    params: SamplingParams,
    head: dict[str, Any],
    prompts: Sequence[Any],
    followings: Sequence[Following],
) -> AsyncIterator[dict[str, Any]]:
    each = len(followings) // len(prompts)
    writers = [
        _Writer(service, body, params, index, _echo(service, body, prompts[index // each]), following)
        for index, following in enumerate(followings)
    ]
    finished: dict[int, RequestOutput] = {}
    async for index, number, event in merged(service, followings):
        if event.output is not None:
            finished[index] = event.output
        for choice in writers[index].said(event, number):
            yield {**head, "choices": [choice]}
    if body.stream_options and body.stream_options.include_usage:
        outputs = [finished[i] for i in sorted(finished)]
        yield {**head, "choices": [], "usage": usage_of(outputs, service.llm.engine.mask_token_id, each)}


class _Writer:
    """One choice of a stream."""

    def __init__(
        self,
        service: Service,
        body: CompletionBody,
        params: SamplingParams,
        index: int,
        front: str,
        following: Following,
    ) -> None:
        self._service, self._body, self._params, self._index = service, body, params, index
        self._front, self._following = front, following
        self._prose, self._settling, self._written = Prose(stops_of(body)), Settling(), len(front)

    def said(self, event: StepEvent, number: int) -> list[dict[str, Any]]:
        header, ended = self._following.header, event.output is not None
        found = list[dict[str, Any]]()
        if number == 0 and (self._body.diffusing or self._front):
            found.append(self._told("" if self._body.diffusing else self._front, header_of(header)))
        if self._body.diffusing:
            text = self._front + cut(noisy_text(self._service, event, header), stops_of(self._body))
        else:
            text = self._prose.grown(event.firm, ended=ended)
        diffusion, finish = step_of(self._service, event, number, header), None
        if event.output is not None:
            structured = self._params.grammar is not None
            finish = finish_of(event.output, event.text, stops_of(self._body), structured=structured)
            diffusion |= {"stats": event.output.stats.to_dict(), "seed": event.output.seed}
        if text or self._body.diffusing or ended:
            found.append(self._told(text, diffusion, event, finish))
        return found

    def _told(
        self, text: str, diffusion: dict[str, Any], event: StepEvent | None = None, finish: str | None = None
    ) -> dict[str, Any]:
        logprobs = None
        if event is not None and self._params.logprobs is not None:
            new = self._settling.grown(event, self._following.header)
            logprobs = completion_logprobs(self._service, new, self._written)
            self._written += sum(map(len, logprobs["tokens"]))
        found = {"index": self._index, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return {**found, "diffusion": diffusion}
