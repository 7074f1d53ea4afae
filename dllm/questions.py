"""From rows to predictions: what each row asks of a round's forward, and the step views that answer it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.cache import Feed
from dllm.models.base import RowDenoiser, RowInput, RowKV
from dllm.row import Row
from dllm.sampling import guide, propose
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Question:
    """What one row asks of this round's forward: its view, what it feeds, and the positions it wants predicted."""

    row: Row
    view: CanvasView
    feed: Feed
    wanted: Tensor


def ask(row: Row, model: RowDenoiser) -> Question:
    """Open a block where none is live, let the cache choose what to feed and the scheduler what else to predict."""
    row.open_block()
    view = row.view()
    feed = row.cache.feed(view, model.lookback)
    wanted = row.masked[row.start : row.end].nonzero().squeeze(-1) + row.start
    more = row.scheduler.wants(view, row.state) if row.scheduler.supplies("wants") else None
    if more is not None:
        sources = (more - model.lookback).clamp_min(0)
        wanted = torch.cat([wanted, more[(sources >= feed.start) & (more < feed.stop)]]).unique()
    return Question(row, view, feed, wanted)


def answer(questions: Sequence[Question], model: RowDenoiser) -> list[StepView]:
    """One forward for all; a step view each, its tensors on the CPU after one transfer, its logits where they were."""
    outputs = iter(model.forward_rows([lane for question in questions for lane in _lanes(question, model)]))
    logits = [_guided(question.row, outputs) for question in questions]
    found = [_proposals(question, raw) for question, raw in zip(questions, logits, strict=True)]
    flat = torch.cat([one.reshape(-1) for one in found]).cpu()
    pieces = torch.split(flat, [one.numel() for one in found])
    return [
        _step_view(question, raw, piece.view(one.shape))
        for question, raw, piece, one in zip(questions, logits, pieces, found, strict=True)
    ]


def _lanes(question: Question, model: RowDenoiser) -> list[RowInput]:
    """The row's own input and, with CFG, that of its unconditional copy; each lane has its own K/V."""
    row, feed = question.row, question.feed
    canvases = [row.canvas, row.hidden()] if row.cfg_scale > 0 else [row.canvas]
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


def _proposals(question: Question, raw: Tensor) -> Tensor:
    row, logits = question.row, raw
    if row.scheduler.supplies("transform"):
        logits, row.state = row.scheduler.transform(question.view, question.wanted, raw, row.state)
    return propose(
        logits,
        row.banned,
        row.shape,
        measures=_measures(row),
        seed=row.seed,
        step=row.step,
        positions=question.wanted,
        held=row.canvas[question.wanted],
        raw=raw,
    )


def _measures(row: Row) -> tuple[str, ...]:
    """What to measure beside the confidence, which is always there."""
    return tuple(sorted(set(row.scheduler.measures) - {"confidence"}))


def _step_view(question: Question, logits: Tensor, found: Tensor) -> StepView:
    before, wanted = question.view, question.wanted
    names = ("confidence", *_measures(question.row))
    return StepView(
        **{name: getattr(before, name) for name in CanvasView.__slots__},
        positions=wanted,
        active=before.masked[wanted] & (wanted >= before.start) & (wanted < before.end),
        token_ids=found[0].long(),
        measures=dict(zip(names, found[1:], strict=True)),
        logits=logits,
    )
