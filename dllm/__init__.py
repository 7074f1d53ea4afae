"""dllm: inference for masked-diffusion language models.

    from dllm import LLM, SamplingParams
    print(LLM("tiny").generate('["Mary", "Linda", "Susan"]\\nReverse the list.\\n').text)

Names are loaded on first use, so that `import dllm` (and `dllm --help`) does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dllm.version import __version__ as __version__

if TYPE_CHECKING:
    from dllm.engine.batcher import Batcher
    from dllm.engine.document import Hole
    from dllm.engine.tickets import Event, Ticket
    from dllm.errors import (
        BusyError,
        CapabilityError,
        ClosedError,
        ConfigError,
        DllmError,
        GrammarError,
        MemoryLimitError,
        ModelError,
        PromptError,
        StepError,
    )
    from dllm.grammars.grammar import Grammar
    from dllm.llm import LLM
    from dllm.models.loading import load_model
    from dllm.outputs import Interrupted, RequestOutput, Stats, StepEvent
    from dllm.params import SamplingParams
    from dllm.serve.async_llm import AsyncLLM
    from dllm.trace import Trace, TraceStep

_HOMES = {
    "LLM": "llm",
    "AsyncLLM": "serve.async_llm",
    "load_model": "models.loading",
    "Grammar": "grammars.grammar",
    "SamplingParams": "params",
    **dict.fromkeys(("Interrupted", "RequestOutput", "Stats", "StepEvent"), "outputs"),
    **dict.fromkeys(("Trace", "TraceStep"), "trace"),
    **dict.fromkeys(("CapabilityError", "ConfigError", "DllmError", "GrammarError"), "errors"),
    **dict.fromkeys(("MemoryLimitError", "ModelError", "PromptError", "StepError"), "errors"),
    **dict.fromkeys(("BusyError", "ClosedError"), "errors"),
    "Batcher": "engine.batcher",
    "Hole": "engine.document",
    **dict.fromkeys(("Event", "Ticket"), "engine.tickets"),
}

__all__ = [
    "LLM",
    "AsyncLLM",
    "Batcher",
    "BusyError",
    "CapabilityError",
    "ClosedError",
    "ConfigError",
    "DllmError",
    "Event",
    "Grammar",
    "GrammarError",
    "Hole",
    "Interrupted",
    "MemoryLimitError",
    "ModelError",
    "PromptError",
    "RequestOutput",
    "SamplingParams",
    "Stats",
    "StepError",
    "StepEvent",
    "Ticket",
    "Trace",
    "TraceStep",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dllm' has no attribute {name!r}")
    value = getattr(import_module(f"dllm.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
