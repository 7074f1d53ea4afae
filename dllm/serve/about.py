"""What the server tells of itself: models, options, health, version, metrics, and the page."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from dllm.cache import caches
from dllm.grammars.frontends.builtin import builtin_names
from dllm.params import SamplingParams
from dllm.registry import Registry
from dllm.schedulers import schedulers
from dllm.serve.errors import RETRY, Refusal
from dllm.serve.page import served_page
from dllm.serve.service import Json, Service
from dllm.version import __version__


def router(service: Service) -> APIRouter:
    routes = APIRouter()

    @routes.get("/v1/models")
    async def models() -> Response:
        """The models that are served."""
        return Json({"object": "list", "data": [_card(service, name) for name in service.names]})

    @routes.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        """One of them."""
        return Json(_card(service, service.named(name)))

    @routes.get("/v1/options")
    async def options() -> Response:
        """What may be written in the fields `scheduler`, `cache`, `grammar` and `model`, and the defaults."""
        return Json(_options(service))

    @routes.get("/health")
    async def health() -> Response:
        """Whether the process lives and its engine with it."""
        if not service.engine.open:
            raise Refusal("the engine takes no more requests", 503, code="closing", headers=RETRY)
        return Json({"status": "ok"})

    @routes.get("/ready")
    async def ready() -> Response:
        """Whether a request would be taken now."""
        engine = service.engine
        if engine.full or not engine.open:
            raise Refusal("full" if engine.full else "the engine takes no more requests", 503, headers=RETRY)
        return Json({"status": "ready", "running": engine.running, "waiting": engine.waiting})

    @routes.get("/version")
    async def version() -> Response:
        return Json({"version": __version__})

    @routes.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(service.engine), media_type="text/plain; version=0.0.4; charset=utf-8")

    @routes.get("/", include_in_schema=False)
    async def root() -> Response:
        """The page on which the denoising is seen."""
        return HTMLResponse(served_page())

    return routes


def _card(service: Service, name: str) -> dict[str, Any]:
    model = service.llm.model
    told = {"id": name, "object": "model", "created": service.created, "owned_by": "dllm"}
    return {**told, "max_model_len": model.max_length, "vocab_size": model.vocab_size}


def _options(service: Service) -> dict[str, Any]:
    params = service.llm.engine.settled(SamplingParams())
    shown = params.to_dict()
    return {
        "schedulers": _listed(schedulers),
        "caches": [{"name": "auto", "signature": "auto", "summary": "what suits the model"}, *_listed(caches)],
        "grammars": list(builtin_names()),
        "models": list(service.names),
        "defaults": {one.name: shown[one.name] for one in fields(SamplingParams)},
        "mask_token_id": service.llm.engine.mask_token_id,
        "version": __version__,
    }


def _listed(registry: Registry[Any]) -> list[dict[str, str]]:
    return [_entry(name, registry.get(name)) for name in registry.names()]


def _entry(name: str, cls: type) -> dict[str, str]:
    """Its name, its arguments as they are written in a spec, and the first sentences of its docs."""
    arguments = [
        key if one.default is inspect.Parameter.empty else f"{key}={one.default}"
        for key, one in inspect.signature(cls).parameters.items()
    ]
    told = inspect.getdoc(cls) or inspect.getdoc(sys.modules[cls.__module__]) or ""
    written = f"{name}({', '.join(arguments)})" if arguments else name
    return {"name": name, "signature": written, "summary": told.partition("\n\n")[0].replace("\n", " ")}
