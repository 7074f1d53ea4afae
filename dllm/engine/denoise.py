"""The loop: the only place that steps a canvas.

One round = one forward over a ragged set of rows, each at its own block and step. In the order of the code below:

    ask      `forward.ask_all`: what the cache feeds, what the scheduler wants predicted
    forward  `forward.predict_all`: one call of the network for all rows; predictions and proposals
    choose   the block's end settled, then the scheduler's selection and its stop rule
    admit    of what was chosen, what the constraint lets stand
    commit   masks filled and tokens replaced, up to an EOS; then what the scheduler takes back
    cut      the canvas's end dropped where nothing will stand

The loop knows no model family, no scheduler and no cache by name, and nothing of text.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dllm.engine.admission import admit
from dllm.engine.commit import cut, edit, revoke
from dllm.engine.forward import ask_all, predict_all
from dllm.engine.row import Row
from dllm.errors import ConfigError, ModelError
from dllm.models.base import RowDenoiser
from dllm.sampling.alternatives import alternatives
from dllm.trace import Alternatives, TraceStep
from dllm.views import StepView, block_end


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
    asking, failed = ask_all(rows, model, max_refreshes)
    views = predict_all(asking, model)
    changes = [_changed(row, view) for row, view in zip(asking, views, strict=True)]
    seconds = time.perf_counter() - began
    done = [(row, _record(row, change, seconds)) for row, change in zip(asking, changes, strict=True)]
    return [*failed, *done]


def _changed(row: Row, view: StepView | Exception) -> TraceStep | Exception:
    """What the step does to the row, or why there is none."""
    row.question = None
    if isinstance(view, Exception):
        return view
    try:
        return _advance(row, view)
    except Exception as error:
        return error


def _advance(row: Row, view: StepView) -> TraceStep:
    """The second half of a step: choose, admit, commit, revoke, cut, and close the row when it is done."""
    if not bool(view.confidence.isfinite().all()):
        raise ModelError(
            f"the model returned NaN or infinite logits at step {view.step}; check the weights, or load in float32"
        )
    if view.block_step == 0:
        view = _settle_block(row, view)
    view, last = _choice(row, view)
    asked = view.chosen
    assert asked is not None, "it has been chosen"
    view, chosen = admit(row, view, asked)
    last = last and bool((chosen == asked).all())
    replaced = edit(row, view)
    positions, token_ids, confidences = _until_eos(view, chosen | replaced)
    filled = row.commit(positions, token_ids, confidences)
    if len(token_ids) and int(token_ids[-1]) in view.eos_token_ids:
        row.cut(int(positions[-1]) + 1)
    revoked = view.positions[:0] if last else revoke(row, view, chosen, positions)
    stays = ~torch.isin(positions, revoked)  # what is taken back at once is as if it had not been committed
    revoked = revoked[~torch.isin(revoked, positions)]
    if filled < len(positions):  # a replaced token is taken back and committed in one step
        revoked = torch.cat([positions[torch.isin(positions, view.positions[replaced])], revoked])
    positions, token_ids, confidences = positions[stays], token_ids[stays], confidences[stays]
    logprobs = _logprobs(row, view, positions, token_ids)
    cut(row, view, chosen)
    _close(row)
    return TraceStep(
        positions=tuple(positions.tolist()),
        token_ids=tuple(token_ids.tolist()),
        confidences=tuple(confidences.tolist()),
        revoked=tuple(revoked.tolist()),
        length=len(row.canvas),
        logprobs=logprobs,
    )


def _settle_block(row: Row, view: StepView) -> StepView:
    """The end of the block that has just been opened, by its first predictions."""
    scheduler = row.spec.scheduler
    if scheduler.supplies("block_end"):
        end, least, length = scheduler.block_end(view, row.state), view.settled, len(view.canvas)
        if not isinstance(end, int) or not least < end <= length:
            raise ConfigError(f"scheduler {scheduler}: block_end must be in {least + 1}...{length}, not {end!r}")
        end = min(end, block_end(view.start, length, view.rule, length))
        row.view, view = row.view.until(end), view.until(end)
    row.state = scheduler.open_block(view, row.state)
    return view


def _choice(row: Row, view: StepView) -> tuple[StepView, bool]:
    """The view with what to commit, `chosen`, at least one position; and whether the scheduler is done with the row."""
    scheduler, left = row.spec.scheduler, view.masked[view.positions]
    # where the row lingers on a block without masks, there is nothing to choose among
    chosen = _selected(row, view) if bool(view.active.any()) else view.active
    view = replace(view, chosen=chosen)
    if scheduler.supplies("finishes") and int(left.sum()) == int(view.masked.sum()):
        done, row.state = scheduler.finishes(view, row.state)
        if done:
            return replace(view, chosen=left), True
    return view, False


def _selected(row: Row, view: StepView) -> Tensor:
    """`[m]` bool: what the scheduler selects, or the most confident position if that is none."""
    scheduler = row.spec.scheduler
    if scheduler.supplies("limit"):
        only = scheduler.limit(view, row.state)
        held = view.active & _mask(only, view, f"scheduler {scheduler}: limit must return", only)
        view = replace(view, active=held) if held.any() else view
    answer = scheduler.select(view, row.state)
    mask = answer[0] if isinstance(answer, tuple) and len(answer) == 2 else None
    chosen = (
        _mask(mask, view, f"scheduler {scheduler}: select must return (mask, state), the mask", answer) & view.active
    )
    row.state = answer[1]
    return chosen if chosen.any() else view.best(view.confidence, 1)


def _mask(mask: Any, view: StepView, what: str, answer: Any) -> Tensor:
    """`[m]` bool, `mask`: a scheduler may come from outside, and a 0/1 mask would index, not choose."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != view.active.shape:
        raise ConfigError(
            f"{what} a bool tensor of shape {list(view.active.shape)} on the CPU; it returned {str(answer)[:80]}"
        )
    return mask


def _until_eos(view: StepView, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Chosen positions, ids and confidences up to and with the first EOS: what stands behind it leaves the canvas."""
    positions, ids, confidences = view.positions[chosen], view.token_ids[chosen], view.confidence[chosen]
    first = next((i + 1 for i, token in enumerate(ids.tolist()) if token in view.eos_token_ids), len(ids))
    return positions[:first], ids[:first], confidences[:first]


def _logprobs(row: Row, view: StepView, positions: Tensor, token_ids: Tensor) -> tuple[Alternatives, ...]:
    """The alternatives to each committed token, where they are asked for; of what proposals were drawn from."""
    if row.spec.logprobs is None or not len(positions):
        return ()
    at = torch.searchsorted(view.positions, positions).to(view.scores.device)
    return tuple(alternatives(view.scores[at], row.spec.banned, token_ids, row.spec.logprobs))


def _record(row: Row, change: TraceStep | Exception, seconds: float) -> TraceStep | Exception:
    """Count the round, and keep what it changed."""
    if isinstance(change, TraceStep):
        change = replace(change, seconds=seconds)
        row.next_step(seconds)
        row.trace.steps.append(change)
    return change


def _close(row: Row) -> None:
    """Set `finish_reason` if nothing is left to do."""
    spec, view = row.spec, row.view
    if spec.stop_check is not None:
        keep = spec.stop_check(view.canvas[view.prompt_length : min(view.settled, view.asked)].tolist())
        if keep is not None:
            row.cut(view.prompt_length + keep)
            row.finish_reason = "stop"
    if row.finish_reason is None and row.full:
        # an end has cut the canvas, committed or foreseen by the scheduler, or stands at the very last position
        length = len(view.canvas)
        ended = length < view.asked or (length == view.asked and int(view.canvas[-1]) in view.eos_token_ids)
        row.finish_reason = "stop" if ended else spec.when_full
    if row.finish_reason is not None:
        row.lanes = []
