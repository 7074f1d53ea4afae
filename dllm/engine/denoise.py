"""The loop: the only place that steps a canvas.

One round = one forward over a ragged set of rows, each at its own block and step:

    ask (cache: what is fed, scheduler: what is predicted) -> forward, proposals -> settle the block's end
    -> finish or select -> admit (constraint) -> commit and edit -> cut at EOS -> revoke -> cut

The loop knows no model family, no scheduler and no cache by name, and nothing of text.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.engine.commit import admit
from dllm.engine.failures import answered, asked
from dllm.engine.forward import Question
from dllm.engine.revise import cut, edited, revoke
from dllm.engine.row import Row
from dllm.errors import ConfigError, ModelError
from dllm.models.base import RowDenoiser
from dllm.trace import TraceStep
from dllm.views import StepView, block_end


@dataclass(frozen=True, slots=True)
class Change:
    """What a step did to a row: committed positions, ids and confidences `[k]` each, positions masked again `[r]`."""

    positions: Tensor
    token_ids: Tensor
    confidences: Tensor
    revoked: Tensor


@torch.inference_mode()
def step(
    model: RowDenoiser, rows: Sequence[Row], max_refreshes: int | None = None
) -> list[tuple[Row, TraceStep | Exception]]:
    """One round: one forward, at least one commit for every row that takes part. None of the rows may be finished.

    Args:
        max_refreshes: of the rows that would refresh, the first so many do; the others sit this round out.

    Returns:
        each row that took part with what changed; a row's last step leaves its `finish_reason` set. A row of which its
        own part raised comes with that error; it is of no more use.

    Raises:
        Exception: memory ran out (`failures.is_out_of_memory`). No row has changed: step again with fewer of them.
    """
    began = time.perf_counter()
    questions, failed = asked(rows, model, max_refreshes)
    found: list[tuple[Row, TraceStep | Exception]] = [*failed]
    views = answered(questions, model)
    changes = [_changed(question.row, view) for question, view in zip(questions, views, strict=True)]
    seconds = time.perf_counter() - began
    for question, change in zip(questions, changes, strict=True):
        found.append((question.row, _record(question, change, seconds) if isinstance(change, Change) else change))
    return found


def _changed(row: Row, view: StepView | Exception) -> Change | Exception:
    """What the step does to the row, or why there is none."""
    row.question = None
    if isinstance(view, Exception):
        return view
    try:
        return _advance(row, view)
    except Exception as error:
        return error


def _advance(row: Row, view: StepView) -> Change:
    """Let the scheduler choose, commit, cut at EOS, revoke, and close the row when it is done."""
    if not bool(view.confidence.isfinite().all()):
        raise ModelError(
            f"the model returned NaN or infinite logits at step {row.step}; check the weights, or load in float32"
        )
    if row.block_step == 0:
        view = _settle_block(row, view)
    chosen, last = _choice(row, view)
    view, stands = admit(row, view, chosen)
    last = last and bool((stands == chosen).all())
    chosen = stands
    replaced = edited(row, view)
    positions, token_ids, confidences = _until_eos(row, view, chosen | replaced)
    filled = row.commit(positions, token_ids)
    if len(token_ids) and int(token_ids[-1]) in row.eos_token_ids:
        row.cut(int(positions[-1]) + 1)
    revoked = view.positions[:0] if last else revoke(row, view, chosen, positions, filled)
    if filled < len(positions):  # a replaced token is taken back and committed in one step
        revoked = torch.cat([positions[torch.isin(positions, view.positions[replaced])], revoked])
    cut(row, view, chosen)
    _close(row)
    return Change(positions, token_ids, confidences, revoked)


def _settle_block(row: Row, view: StepView) -> StepView:
    """The end of the block that has just been opened, by its first predictions."""
    scheduler = row.scheduler
    if scheduler.supplies("block_end"):
        end = scheduler.block_end(view, row.state)
        if not isinstance(end, int) or not row.settled < end <= len(row.canvas):
            raise ConfigError(
                f"scheduler {scheduler}: block_end must be in {row.settled + 1}...{len(row.canvas)}, not {end!r}"
            )
        end = min(end, block_end(row.start, len(row.canvas), row.rule, len(row.canvas)))
        row.end, view = end, view.until(end)
        row.block_masked = view.block_masked
    row.state = scheduler.open_block(view, row.state)
    return view


def _choice(row: Row, view: StepView) -> tuple[Tensor, bool]:
    """`[m]` bool: what to commit, at least one position; and whether the scheduler is done with the row."""
    if row.scheduler.supplies("finishes"):
        left = view.masked[view.positions]
        if int(left.sum()) == int(row.masked.sum()):
            done, row.state = row.scheduler.finishes(view, row.state)
            if done:
                return left, True
    answer = row.scheduler.select(view, row.state)
    mask = answer[0] if isinstance(answer, tuple) and len(answer) == 2 else None
    # a scheduler may come from outside, and a 0/1 mask would index, not choose
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != view.active.shape:
        raise ConfigError(
            f"scheduler {row.scheduler}: select must return (mask, state), the mask a bool tensor of shape "
            f"{list(view.active.shape)} on the CPU; it returned {str(answer)[:80]}"
        )
    row.state = answer[1]
    chosen = mask & view.active
    return chosen if chosen.any() else view.best(view.confidence, 1), False


def _until_eos(row: Row, view: StepView, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Chosen positions, ids and confidences up to and with the first EOS: what stands behind it leaves the canvas."""
    positions, ids, confidences = view.positions[chosen], view.token_ids[chosen], view.confidence[chosen]
    first = next((i + 1 for i, token in enumerate(ids.tolist()) if token in row.eos_token_ids), len(ids))
    return positions[:first], ids[:first], confidences[:first]


def _record(question: Question, change: Change, seconds: float) -> TraceStep:
    """Count the round's costs and keep what it changed."""
    row = question.row
    row.seconds += seconds
    row.refreshes += question.feed.refresh
    row.step += 1
    row.block_step += 1
    columns = (change.positions, change.token_ids, change.confidences, change.revoked)
    positions, token_ids, confidences, revoked = (tuple(column.tolist()) for column in columns)
    step = TraceStep(positions, token_ids, confidences, revoked, seconds=seconds, length=len(row.canvas))
    row.trace.steps.append(step)
    return step


def _close(row: Row) -> None:
    """Set `finish_reason` if nothing is left to do."""
    if row.stop_check is not None:
        keep = row.stop_check(row.canvas[: row.keep][row.prompt_length : row.settled].tolist())
        if keep is not None:
            row.cut(row.prompt_length + keep)
            row.finish_reason = "stop"
    if row.finish_reason is None and row.full:
        asked = row.canvas[: row.keep]
        ended = len(asked) == len(row.canvas) and int(asked[-1]) in row.eos_token_ids
        row.finish_reason = "stop" if ended else row.when_full
    if row.finish_reason is not None:
        row.lanes = []
