"""/tokenize and /detokenize, spelled as vLLM has them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from dllm.serve.bodies import DetokenizeBody, TokenizeBody
from dllm.serve.chat import prompt_of
from dllm.serve.errors import Refusal
from dllm.serve.service import Json, Service


def router(service: Service) -> APIRouter:
    routes = APIRouter()
    engine = service.llm.engine

    @routes.post("/tokenize")
    async def tokenize(body: TokenizeBody) -> Response:
        """Ids of a text, or of a conversation."""
        service.named(body.model)
        if (body.prompt is None) == (body.messages is None):
            raise Refusal("give a prompt or messages, one of the two", param="prompt")

        def ids() -> list[int]:
            opening = body.add_generation_prompt is not False
            text = body.prompt if body.messages is None else prompt_of(engine, body.messages, {}, opening)
            return engine.encode(text or "")

        tokens = await service.engine.call(ids)
        named = [service.spelled(token) for token in tokens] if body.return_token_strs else None
        told = {"count": len(tokens), "max_model_len": service.llm.model.max_length}
        return Json({**told, "tokens": tokens, "token_strs": named})

    @routes.post("/detokenize")
    async def detokenize(body: DetokenizeBody) -> Response:
        """The text of ids."""
        service.named(body.model)
        if any(not 0 <= token < service.llm.model.vocab_size for token in body.tokens):
            raise Refusal(f"tokens must be in 0...{service.llm.model.vocab_size - 1}", param="tokens")
        return Json({"prompt": await service.engine.call(lambda: engine.decode(body.tokens, skip_special=False))})

    return routes
