"""Errors a user can act on: each names the field, the value, what is legal, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class DllmError(Exception):
    """Base of every error dllm raises on purpose; catching it catches them all."""


class ConfigError(DllmError, ValueError):
    """A parameter, spec or combination of them that cannot work."""


class ArgumentError(ConfigError, TypeError):
    """An argument that a call does not have: also the TypeError that Python would raise."""


class PromptError(DllmError, ValueError):
    """A prompt, document or conversation that cannot be put on a canvas."""


class ModelError(DllmError, ValueError):
    """A folder, checkpoint, tokenizer or plugged-in object that cannot serve as a model."""


class GrammarError(DllmError, ValueError):
    """A grammar that cannot be read, or a text or canvas that it does not allow."""


class CapabilityError(DllmError, TypeError):
    """A scheduler or cache that needs something this model does not offer."""


class StepError(DllmError, RuntimeError):
    """A request whose own part of a round raised something else than a `DllmError`, which is its `__cause__`."""


class MemoryLimitError(DllmError, MemoryError):
    """A request for which the memory was too small although it ran alone."""


class BusyError(DllmError, RuntimeError):
    """More requests wait than may; ask again later."""


class ClosedError(DllmError, RuntimeError):
    """An engine that takes no more requests, or was closed before this one was done."""


def nearest(name: str, legal: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the legal name closest to `name`, or an empty string."""
    match = difflib.get_close_matches(name, list(legal), n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""


def quoted(value: Any, most: int = 100) -> str:
    """A value for a message: the first characters of what Python writes for it."""
    try:
        text = repr(value)
    except Exception:  # somebody else's code; or an int of thousands of digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else f"{text[:most]}..."
