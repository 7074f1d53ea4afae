"""Many requests at once: `AsyncLLM` for asyncio, and `app`, an OpenAI-compatible server around it.

`AsyncLLM` needs nothing beside dllm; `app` needs the extra `serve` (fastapi, uvicorn, sse-starlette,
prometheus-client), so both are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dllm.serve.application import app
    from dllm.serve.async_llm import AsyncLLM

_HOMES = {"AsyncLLM": "async_llm", "app": "application"}

__all__ = ["AsyncLLM", "app"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dllm.serve' has no attribute {name!r}")
    return getattr(import_module(f"dllm.serve.{_HOMES[name]}"), name)
