"""`dllm.serve.app`: the server as one FastAPI application, for uvicorn, for Ray Serve, or inside another."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from dllm.arguments import in_range, whole
from dllm.errors import ConfigError, DllmError
from dllm.llm import LLM
from dllm.models.base import folder_of, name_of
from dllm.serve import about, chat, completions, infill, ollama, tokens
from dllm.serve.async_llm import AsyncLLM
from dllm.serve.errors import Refusal, refusal_of
from dllm.serve.guard import Guard
from dllm.serve.metrics import Metrics
from dllm.serve.service import Json, Service, path_of
from dllm.version import __version__

MAX_BODY = 4 << 20
"""Bytes of a body."""


def app(
    llm: LLM,
    *,
    name: str | Sequence[str] | None = None,
    api_key: str | Sequence[str] | None = None,
    max_batch_size: int | None = None,
    max_waiting: int | None = 256,
    timeout: float | None = 600.0,
    drain: float = 30.0,
    max_body: int = MAX_BODY,
    grammar_limit: int | None = None,
    cors: Sequence[str] = (),
) -> FastAPI:
    """An OpenAI-compatible server of one model; docs/serving.md has its endpoints and fields.

    Args:
        llm: used by nobody else from now on.
        name: what clients call the model, the first of several names is what answers are signed with; None: its own.
        api_key: what clients must show, or several of which each will do; None: nothing.
        max_batch_size: as of `Batcher`.
        max_waiting: requests that may wait for their first forward; more are told 503. None: any number.
        timeout: seconds a request may take; None: any time.
        drain: seconds that requests under way have when the server is to stop.
        max_body: bytes of a request's body.
        grammar_limit: as of `AsyncLLM`.
        cors: origins whose pages may ask, `"*"` for all.

    Raises:
        ConfigError: an argument that is out of range.
    """
    if not isinstance(llm, LLM):
        raise ConfigError(f"app takes an LLM, not {llm!r:.60}; write app(LLM({llm!r:.40}))")
    names = (_usual_name(llm),) if name is None else _listed("name", name)
    keys = () if api_key is None else _listed("api_key", api_key)
    origins = _listed("cors", cors) if cors else ()
    in_range("timeout", timeout, 0.0, optional=True, above=True)
    metrics = Metrics(names[0])
    engine = AsyncLLM(
        llm,
        max_batch_size=max_batch_size,
        max_waiting=max_waiting,
        grammar_limit=grammar_limit,
        observer=metrics,
    )
    service = Service(engine, names, metrics, timeout, in_range("drain", drain, 0.0))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.drain(drain)
        await engine.close()

    made = FastAPI(title="dllm", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    made.state.service = service
    for part in (about, chat, completions, infill, tokens, ollama):
        made.include_router(part.router(service))
    made.add_exception_handler(RequestValidationError, _told)
    for kind in (HTTPException, DllmError, Refusal):
        made.add_exception_handler(kind, _told)
    # what is added last stands in front: a browser's preflight shows no key
    made.add_middleware(Guard, keys=keys, max_body=whole("max_body", max_body, 1))
    if origins:
        exposed, every = ["X-Request-Id", "Retry-After"], ["*"]
        made.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=every, allow_headers=every, expose_headers=exposed
        )
    return made


def _usual_name(llm: LLM) -> str:
    """The folder's, unless that is a snapshot of the Hub's, named by its hash; else the model's own."""
    folder = folder_of(llm.model)
    return name_of(llm.model) if folder is None or re.fullmatch("[0-9a-f]{40}", folder.name) else folder.name


def _listed(field: str, given: str | Sequence[str]) -> tuple[str, ...]:
    found = (given,) if isinstance(given, str) else tuple(given)
    if not found or not all(isinstance(one, str) and one for one in found):
        raise ConfigError(f"{field} must be a string that is not empty, or a list of them")
    return found


async def _told(request: Request, error: Exception) -> Response:
    """Every error in OpenAI's body; on Ollama's paths in Ollama's."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"] if one != "body")
        refusal = Refusal(f"{place or 'the body'}: {first['msg']}"[:400], param=place.split(".")[0] or None)
    elif isinstance(error, HTTPException):
        refusal = Refusal(str(error.detail), error.status_code, headers=dict(error.headers or {}))
    else:
        refusal = refusal_of(error)
    return Json(refusal.body(path_of(request.scope)), refusal.status, headers=refusal.headers)
