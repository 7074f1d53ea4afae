"""Many requests at once: `AsyncLLM` for asyncio. Loaded on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dllm.serve.async_llm import AsyncLLM

_HOMES = {"AsyncLLM": "async_llm"}

__all__ = ["AsyncLLM"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dllm.serve' has no attribute {name!r}")
    return getattr(import_module(f"dllm.serve.{_HOMES[name]}"), name)
