"""/v1/infill: documents with holes, ours. What a page needs to mask a token again and go on is here too: a canvas as
parts of ids, with a hole of 1 where the token was."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dllm.engine.document import Hole
from dllm.engine.infill import DocumentDraft
from dllm.outputs import RequestOutput
from dllm.serve.answers import completion_logprobs, usage_of
from dllm.serve.async_llm import Following
from dllm.serve.bodies import DocumentPart, InfillBody, Width
from dllm.serve.errors import Refusal
from dllm.serve.fields import params_of_body
from dllm.serve.grammars import form_of
from dllm.serve.service import Json, Service, new_id
from dllm.serve.streams import Events, header_of, merged, noisy_text, released, step_of


def router(service: Service) -> APIRouter:
    routes = APIRouter()

    @routes.post("/v1/infill")
    async def infill(body: InfillBody, request: Request) -> Response:
        """Fill the holes of a document."""
        model = service.named(body.model)
        document = body.document if isinstance(body.document, str) else [_part(part) for part in body.document]
        if body.n not in (None, 1) and body.stream:
            raise Refusal("n: a stream follows one document; use n=1", param="n")
        grammar = await service.grammars.get(form_of(body))
        params = params_of_body(body, grammar=grammar, logprobs=body.logprobs)
        head = {"id": new_id("infill"), "object": "infill", "created": int(time.time()), "model": model}
        if body.stream:
            following = await service.begin(request, DocumentDraft.of, document, params)
            chunks = _chunks(service, head, following, bool(body.diffusing))
            return Events(service, chunks, released([following]))
        output = await service.answer(request, DocumentDraft.of, document, params)
        more = [_filled(service, sample) for sample in output.more]
        found = {**head, **_filled(service, output), "usage": usage_of([output], service.llm.engine.mask_token_id)}
        return Json({**found, **({"more": more} if more else {})})

    return routes


def _part(part: str | DocumentPart) -> str | list[int] | Hole:
    if isinstance(part, str):
        return part
    if (part.ids is None) == (part.hole is None):
        raise Refusal("document: a part is a text, {'ids': [...]} or {'hole': ...}", param="document")
    if part.ids is not None:
        return part.ids
    return Hole(min=part.hole.min, max=part.hole.max) if isinstance(part.hole, Width) else Hole(part.hole)


def _filled(service: Service, sample: RequestOutput) -> dict[str, Any]:
    logprobs = sample.logprobs
    return {
        "text": sample.text,
        "holes": sample.holes,
        "token_ids": sample.token_ids,
        "finish_reason": sample.finish_reason,
        "seed": sample.seed,
        "stats": sample.stats.to_dict(),
        **({} if logprobs is None else {"logprobs": completion_logprobs(service, logprobs)}),
    }


async def _chunks(
    service: Service, head: dict[str, Any], following: Following, diffusing: bool
) -> AsyncIterator[dict[str, Any]]:
    """One event a forward, behind one of what they began from."""
    async for _, number, event in merged(service, [following]):
        if number == 0:
            yield {**head, "diffusion": header_of(following.header)}
        chunk = {**head, "diffusion": step_of(service, event, number, following.header)}
        if diffusing:
            chunk["text"] = noisy_text(service, event, following.header)
        if event.output is not None:
            chunk |= _filled(service, event.output)
            chunk["usage"] = usage_of([event.output], service.llm.engine.mask_token_id)
        yield chunk
