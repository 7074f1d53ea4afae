"""What an error in a round means: whether fewer rows would help, and what the request is told."""

from __future__ import annotations

import traceback

import torch

from dllm.engine.row import Row
from dllm.errors import DllmError, MemoryLimitError, StepError

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "could not create a primitive")
"""What torch's allocators and libraries say in a RuntimeError, in lower case; the last is oneDNN, short of memory."""

LINES = -16
"""Calls of a traceback that are kept as a note: the innermost ones."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def explained(error: Exception, row: Row | None) -> DllmError:
    """The error of a request, as a DllmError: itself, or one that says at which step it came.

    Args:
        row: where it came; None while the request was being put on a canvas.
    """
    if isinstance(error, DllmError):
        return error
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    where = "before its first step" if row is None else f"at step {row.view.step} of a row of {len(row.canvas)} tokens"
    if is_out_of_memory(error):
        found: DllmError = MemoryLimitError(
            f"out of memory {where}, for which fewer rows at once would not help ({said}); make the prompt or "
            "max_new_tokens shorter, or use a smaller dtype or cache='none'"
        )
    else:
        parts = "" if row is None else f" (scheduler {row.spec.scheduler}, cache {row.spec.cache})"
        found = StepError(f"{where} the request raised {said}; see its __cause__{parts}")
    found.__cause__ = error
    return found


def original(error: DllmError) -> Exception:
    """What was raised, of an explained error."""
    return error.__cause__ if isinstance(error, StepError) and isinstance(error.__cause__, Exception) else error


def let_go(error: BaseException) -> None:
    """Take the frames from an error that is kept, and from all that it came of, and leave the lines as a note.

    Frames, and those that called them, hold canvases, K/V and logits of the whole round, other requests' too.
    """
    seen, left = set[int](), [error]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.__traceback__ is not None:
            lines = "".join(traceback.format_tb(one.__traceback__, LINES))
            traceback.clear_frames(one.__traceback__)
            one.__traceback__ = None
            one.add_note(f"raised at (most recent call last):\n{lines}")
        inside = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        left += [other for other in (one.__cause__, one.__context__, *inside) if other is not None]
