"""What is done about errors in a round: whose they are, and whether fewer rows would help."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Sequence

import torch

from dllm.engine.forward import Question, answer, ask
from dllm.engine.row import Row
from dllm.errors import DllmError, MemoryLimitError, StepError
from dllm.models.base import RowDenoiser
from dllm.views import StepView

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "could not create a primitive")
"""What torch's allocators and libraries say in a RuntimeError, in lower case; the last is oneDNN, short of memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def asked(
    rows: Sequence[Row], model: RowDenoiser, max_refreshes: int | None
) -> tuple[list[Question], list[tuple[Row, Exception]]]:
    """The questions of a round, of which at most so many refresh, and the rows that raised while they asked.

    A row that sits out keeps its question, so that it asks once a step whatever happens to the round.
    """
    questions, failed, refreshing = list[Question](), list[tuple[Row, Exception]](), 0
    for row in rows:
        try:
            question = row.question = row.question or ask(row, model)
        except Exception as error:
            failed.append((row, error))
            continue
        refreshing += question.feed.refresh
        if not question.feed.refresh or max_refreshes is None or refreshing <= max_refreshes:
            questions.append(question)
    return questions, failed


def answered(questions: Sequence[Question], model: RowDenoiser) -> list[StepView | Exception]:
    """`answer`; where it raises, each question is answered alone, and those that still raise come with their error.

    Raises:
        Exception: memory ran out; no row has changed.
    """
    if not questions:
        return []
    try:
        return [*answer(questions, model)]
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if len(questions) == 1:
            return [error]
        said = f"{type(error).__name__}: {error}"
    found = [_alone(question, model) for question in questions]
    if not any(isinstance(one, Exception) for one in found):
        warnings.warn(
            f"a forward over {len(questions)} rows raised ({said}), but over each of them alone it did not; this round "
            "went on one by one, which is slow: mend the model, or give max_batch_size=1",
            RuntimeWarning,
            stacklevel=2,
        )
    return found


def _alone(question: Question, model: RowDenoiser) -> StepView | Exception:
    try:
        return answer([question], model)[0]
    except Exception as error:
        return error


def explained(error: Exception, row: Row | None) -> DllmError:
    """The error of a request, as a DllmError: itself, or one that says at which step it came.

    Args:
        row: where it came; None while the request was being put on a canvas.
    """
    if isinstance(error, DllmError):
        return error
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    where = "before its first step" if row is None else f"at step {row.step} of a row of {len(row.canvas)} tokens"
    if is_out_of_memory(error):
        found: DllmError = MemoryLimitError(
            f"out of memory {where}, for which fewer rows at once would not help ({said}); make the prompt or "
            "max_new_tokens shorter, or use a smaller dtype or cache='none'"
        )
    else:
        parts = "" if row is None else f" (scheduler {row.scheduler}, cache {row.cache})"
        found = StepError(f"{where} the request raised {said}; see its __cause__{parts}")
    found.__cause__ = error
    return found


def original(error: DllmError) -> Exception:
    """What was raised, of an explained error."""
    return error.__cause__ if isinstance(error, StepError) and isinstance(error.__cause__, Exception) else error


def let_go(error: BaseException) -> None:
    """Clear the frames of an error that is kept: they hold canvases, K/V and logits of the whole round."""
    chain: BaseException | None = error
    while chain is not None:
        traceback.clear_frames(chain.__traceback__)
        chain = chain.__cause__ or chain.__context__
