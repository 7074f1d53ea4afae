"""Models: from a checkpoint's folder to what the engine talks to. The names below are public.

- `base`: what the engine asks of a model (`Denoiser`, `RowDenoiser`), and what a model may tell besides.
- `adapters`: `as_denoiser` makes a model of any object with `logits`, and of any torch module.
- `loading`: `load_model` makes one of a folder or a Hub id. `checkpoint` reads the tensors, `ids` finds out which ids
  are the mask and the ends, `building` makes the network, still empty.
- `families`: one file each, and how to add one.
- `network`: what they share; `borrowed`: a network that is transformers' own.
- `tiny`: the embedded model's files.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dllm.models.base import KV, POSITIONS, SHADOWS, Blocks, Denoiser, RowDenoiser, RowInput, RowKV, Usual

if TYPE_CHECKING:
    from dllm.models.adapters import as_denoiser
    from dllm.models.loading import load_model

# loading pulls in accelerate and the networks, which those who only name a type need not wait for
_HOMES = {"as_denoiser": "adapters", "load_model": "loading"}

__all__ = [
    "KV",
    "POSITIONS",
    "SHADOWS",
    "Blocks",
    "Denoiser",
    "RowDenoiser",
    "RowInput",
    "RowKV",
    "Usual",
    "as_denoiser",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dllm.models' has no attribute {name!r}")
    value = getattr(import_module(f"dllm.models.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
