"""The loop: the only place that steps a canvas.

One round = one forward over a ragged set of rows, each at its own block and step:

    feed (cache) -> forward (model) -> CFG -> proposals (sampling) -> select (scheduler) -> commit -> cut at EOS

The loop knows no model family, no scheduler and no cache by name, and nothing of text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.cache import Feed
from dllm.errors import ConfigError, ModelError
from dllm.models.base import RowDenoiser, RowInput, RowKV
from dllm.row import Row
from dllm.sampling import guide, propose
from dllm.schedulers.base import State
from dllm.trace import TraceStep
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Question:
    """What one row asks of this round's forward: its view, what it feeds, and the positions it wants predicted."""

    row: Row
    view: CanvasView
    feed: Feed
    wanted: Tensor


Change = tuple[Tensor, Tensor, Tensor]
"""Committed positions, their token ids, their confidences: `[k]` each."""


def denoise(model: RowDenoiser, rows: Sequence[Row], max_rows: int) -> Iterator[tuple[Row, TraceStep]]:
    """Denoise all rows, at most `max_rows` at a time; a waiting row enters as soon as another finishes.

    Yields:
        each row that a round changed, with what changed; a row's last event leaves its `finish_reason` set.
    """
    waiting, live = list(reversed(rows)), list[Row]()
    while waiting or live:
        while waiting and len(live) < max_rows:
            live.append(waiting.pop())
        yield from step(model, live)
        live = [row for row in live if row.finish_reason is None]


@torch.inference_mode()
def step(model: RowDenoiser, rows: Sequence[Row]) -> list[tuple[Row, TraceStep]]:
    """One round: one forward, at least one commit for every row. None of the rows may be finished."""
    began = time.perf_counter()
    questions = [_ask(row, model) for row in rows]
    inputs = [lane for question in questions for lane in _lanes(question, model)]
    outputs = iter(model.forward_rows(inputs))
    logits = [_guided(question.row, outputs) for question in questions]
    answers = _proposals(questions, logits)
    changes = [_advance(*one) for one in zip(questions, logits, answers, strict=True)]
    seconds = time.perf_counter() - began
    return [
        (question.row, _record(question, change, seconds)) for question, change in zip(questions, changes, strict=True)
    ]


def _ask(row: Row, model: RowDenoiser) -> Question:
    row.open_block()
    view = row.view()
    wanted = row.masked[row.start : row.end].nonzero().squeeze(-1) + row.start
    return Question(row, view, row.cache.feed(view, model.lookback), wanted)


def _lanes(question: Question, model: RowDenoiser) -> list[RowInput]:
    """The row's own input and, with CFG, that of its unconditional copy; each lane has its own K/V."""
    row, feed = question.row, question.feed
    mask_token_id = model.mask_token_id
    assert mask_token_id is not None, "LLM refuses models without a mask id"
    canvases = [row.canvas, row.hidden(mask_token_id)] if row.cfg_scale > 0 else [row.canvas]
    if row.cache.stores and not row.lanes:
        row.lanes = [model.new_kv(len(row.canvas)) for _ in canvases]
    positions = torch.arange(feed.start, feed.stop)
    stores: Sequence[RowKV | None] = row.lanes or [None] * len(canvases)
    return [
        RowInput(canvas[feed.start : feed.stop], positions, question.wanted, store)
        for canvas, store in zip(canvases, stores, strict=True)
    ]


def _guided(row: Row, outputs: Iterator[Tensor]) -> Tensor:
    conditional = next(outputs)
    return guide(conditional, next(outputs), row.cfg_scale) if row.cfg_scale > 0 else conditional


def _proposals(questions: Sequence[Question], logits: Sequence[Tensor]) -> list[Tensor]:
    """Proposals and measures of all rows, on the CPU after one transfer."""
    found = [
        propose(
            raw,
            question.row.banned,
            question.row.shape,
            measures=_measures(question.row),
            seed=question.row.seed,
            step=question.row.step,
            positions=question.wanted,
        )
        for question, raw in zip(questions, logits, strict=True)
    ]
    flat = torch.cat([one.reshape(-1) for one in found]).cpu()
    pieces = torch.split(flat, [one.numel() for one in found])
    return [piece.view(one.shape) for piece, one in zip(pieces, found, strict=True)]


def _measures(row: Row) -> tuple[str, ...]:
    """What to measure beside the confidence, which is always there."""
    return tuple(sorted(set(row.scheduler.measures) - {"confidence"}))


def _advance(question: Question, logits: Tensor, answer: Tensor) -> Change:
    """Let the scheduler choose, commit, cut at EOS, and close the row when it is done."""
    row, view = question.row, _step_view(question, logits, answer)
    if not bool(view.confidence.isfinite().all()):
        raise ModelError(
            f"the model returned NaN or infinite logits at step {row.step}; check the weights, or load in float32"
        )
    chosen, row.state = _choice(row, view)
    if not chosen.any():
        chosen = view.best(view.confidence, 1)
    positions, token_ids, confidences = _until_eos(row, view, chosen)
    row.commit(positions, token_ids)
    if len(token_ids) and int(token_ids[-1]) in row.eos_token_ids:
        row.cut(int(positions[-1]) + 1)
    _close(row)
    return positions, token_ids, confidences


def _choice(row: Row, view: StepView) -> tuple[Tensor, State]:
    """The scheduler's choice, checked: a scheduler may come from outside, and a 0/1 mask would index, not choose."""
    answer = row.scheduler.select(view, row.state)
    mask = answer[0] if isinstance(answer, tuple) and len(answer) == 2 else None
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != view.active.shape:
        raise ConfigError(
            f"scheduler {row.scheduler}: select must return (mask, state), the mask a bool tensor of shape "
            f"{list(view.active.shape)} on the CPU; it returned {str(answer)[:80]}"
        )
    return mask & view.active, answer[1]


def _step_view(question: Question, logits: Tensor, answer: Tensor) -> StepView:
    before = question.view
    names = ("confidence", *_measures(question.row))
    return StepView(
        **{name: getattr(before, name) for name in CanvasView.__slots__},
        positions=question.wanted,
        active=torch.ones(len(question.wanted), dtype=torch.bool),
        token_ids=answer[0].long(),
        measures=dict(zip(names, answer[1:], strict=True)),
        logits=logits,
    )


def _until_eos(row: Row, view: StepView, chosen: Tensor) -> Change:
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
    positions, token_ids, confidences = (tuple(column.tolist()) for column in change)
    step = TraceStep(positions, token_ids, confidences, seconds=seconds)
    row.trace.steps.append(step)
    return step


def _close(row: Row) -> None:
    """Set `finish_reason` if nothing is left to do."""
    if row.stop_check is not None:
        keep = row.stop_check(row.canvas[row.prompt_length : row.settled].tolist())
        if keep is not None:
            row.cut(row.prompt_length + keep)
            row.finish_reason = "stop"
    if row.finish_reason is None and not row.masked.any():
        ended = int(row.canvas[-1]) in row.eos_token_ids
        row.finish_reason = "stop" if ended else row.when_full
    if row.finish_reason is not None:
        row.lanes = []
