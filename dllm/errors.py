"""Errors a user can act on: each names the field, the value, what is legal, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dllm.outputs import RequestOutput


class DllmError(Exception):
    """Base of every error dllm raises on purpose; catching it catches them all."""


class ConfigError(DllmError, ValueError):
    """A parameter, spec or combination of them that cannot work."""


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


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during `LLM.generate`, `chat` or `infill`.

    Attributes:
        outputs: an entry a prompt, in their order: its RequestOutput if it was finished, the error it ended with under
            `on_error="return"`, else None. Of several samples (`n`), those that were finished.
    """

    def __init__(self, outputs: Sequence[RequestOutput | DllmError | None]) -> None:
        finished = sum(output is not None for output in outputs)
        super().__init__(f"interrupted with {finished} of {len(outputs)} requests finished; they are in .outputs")
        self.outputs = list(outputs)

    def __reduce__(self) -> tuple[type[Interrupted], tuple[object]]:
        return Interrupted, (self.outputs,)  # from a worker process too


def nearest(name: str, legal: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the legal name closest to `name`, or an empty string."""
    match = difflib.get_close_matches(name, list(legal), n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""
