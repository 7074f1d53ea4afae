"""From rows to predictions: what each row asks of a round's forward, and the step views that answer it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dllm.cache import Feed
from dllm.engine.commit import allow
from dllm.engine.row import Row
from dllm.errors import ConfigError
from dllm.models.base import RowDenoiser, RowInput, RowKV
from dllm.sampling.proposals import guide, probability, propose
from dllm.schedulers.base import State
from dllm.views import CanvasView, Measures, StepView, live, seen_end


@dataclass(frozen=True, slots=True)
class Question:
    """What one row asks of this round's forward: its view, what it feeds, what it wants predicted, and shadowed."""

    row: Row
    view: CanvasView
    feed: Feed
    wanted: Tensor
    shadows: Tensor


def ask(row: Row, model: RowDenoiser) -> Question:
    """Open a block where none is live, let the cache choose what to feed and the scheduler what else to predict."""
    row.open_block()
    view = row.view()
    feed = _checked(row.cache.feed(view, model.lookback), row)
    wanted = row.masked[row.start : row.end].nonzero().squeeze(-1) + row.start
    scheduler, shadows = row.scheduler, wanted[:0]
    if scheduler.supplies("wants"):
        wanted = torch.unique(torch.cat([wanted, _fed(scheduler.wants(view, row.state), feed, model, view)]))
    if scheduler.supplies("shadows"):
        shadows = _fed(scheduler.shadows(view, row.state), feed, model, view)
        shadows = shadows[~row.masked[shadows]]
    return Question(row, view, feed, wanted, shadows)


def _checked(feed: Feed, row: Row) -> Feed:
    """A cache may come from outside: what it feeds lies on the canvas, and attention reads no slot that is empty."""
    length, cache = len(row.canvas), row.cache
    if not isinstance(feed, Feed) or not 0 <= feed.start < feed.stop <= _visible(feed, row) <= length:
        raise ConfigError(
            f"cache {cache}: feed must return a Feed inside the visible part of 0...{length}; it returned "
            f"{str(feed)[:120]}"
        )
    only = feed.only
    if only is not None and not _ascending(only, feed):
        raise ConfigError(
            f"cache {cache}: a feed's `only` must be an ascending 1-D long tensor from start={feed.start} to "
            f"stop={feed.stop} - 1; it is {str(only)[:80]}: make it with Feed.at(positions)"
        )
    unfed = _unfed(feed, row) if cache.stores else None
    if unfed is not None:
        raise ConfigError(
            f"cache {cache}: attention would see position {unfed}, which was never fed; a row's first feed must be all "
            f"that is visible, here 0...{_visible(feed, row)}, not {str(feed)[:120]}"
        )
    return feed


def _ascending(only: Tensor, feed: Feed) -> bool:
    if only.dim() != 1 or only.dtype != torch.long or not len(only):
        return False
    return (int(only[0]), int(only[-1])) == (feed.start, feed.stop - 1) and bool((only.diff() > 0).all())


def _unfed(feed: Feed, row: Row) -> int | None:
    """The first visible position that neither has been fed nor is now, if any."""
    empty = row.stored[: _visible(feed, row)] < 0
    if not bool(empty.any()):
        return None
    empty[feed.part] = False
    left = empty.nonzero()
    return int(left[0]) if len(left) else None


def _visible(feed: Feed, row: Row) -> int:
    """Slots that the forward's attention sees."""
    return len(row.canvas) if feed.visible is None else feed.visible


def _fed(positions: Tensor | None, feed: Feed, model: RowDenoiser, view: CanvasView) -> Tensor:
    """Of the positions that a scheduler asked for, those that are fed together with what predicts them.

    On a block-causal model only those of the live block of attention, and that it predicts: what is behind is to be
    filled with the live one finished, and what is before need not be fed.
    """
    if positions is None:
        return torch.arange(0)
    if view.rule is not None:
        own = view.start // view.rule.length * view.rule.length
        first = own + model.lookback if own else 0
        positions = positions[(positions >= first) & (positions < seen_end(view.end, view.rule, len(view.canvas)))]
    return positions[feed.holds((positions - model.lookback).clamp_min(0)) & feed.holds(positions)]


def answer(questions: Sequence[Question], model: RowDenoiser) -> list[StepView]:
    """One forward for all; a step view each, its tensors on the CPU after one transfer, its logits where they were.

    What this raises leaves the rows as they were, so that the same can be asked again.
    """
    outputs = iter(model.forward_rows([lane for question in questions for lane in _lanes(question, model)]))
    logits = [_guided(question.row, outputs) for question in questions]
    asked = [raw[: len(question.wanted)] for question, raw in zip(questions, logits, strict=True)]
    scored, states = zip(*(_scores(question, raw) for question, raw in zip(questions, asked, strict=True)), strict=True)
    checks = [_upheld(question, raw[len(question.wanted) :]) for question, raw in zip(questions, logits, strict=True)]
    groups = _alike(questions, asked, scored)
    found = [_proposals([questions[i] for i in g], [asked[i] for i in g], [scored[i] for i in g]) for g in groups]
    moved = _on_cpu([*found, *checks])
    proposals = _apart(groups, moved[: len(groups)], [len(question.wanted) for question in questions])
    memos = [_memo(question) for question in questions]
    for question, state, memo in zip(questions, states, memos, strict=True):
        _note(question, state, memo)
    rows = zip(questions, asked, scored, proposals, moved[len(groups) :], strict=True)
    return [_step_view(*row) for row in rows]


def _alike(questions: Sequence[Question], asked: Sequence[Tensor], scored: Sequence[Tensor]) -> list[list[int]]:
    """Rows whose proposals are taken together: greedy ones of unchanged logits, alike in bans and measures."""
    groups: dict[object, list[int]] = {}
    for index, (question, raw, scores) in enumerate(zip(questions, asked, scored, strict=True)):
        row = question.row
        plain = row.shape.greedy and scores is raw
        groups.setdefault((id(row.banned), row.shape, _measures(row)) if plain else index, []).append(index)
    return list(groups.values())


def _apart(groups: Sequence[Sequence[int]], found: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
    """Each row's proposals, out of those of its group."""
    pieces: dict[int, Tensor] = {}
    for group, proposals in zip(groups, found, strict=True):
        pieces.update(zip(group, torch.split(proposals, [counts[i] for i in group], dim=1), strict=True))
    return [pieces[index] for index in range(len(counts))]


def _on_cpu(tensors: Sequence[Tensor]) -> list[Tensor]:
    """All of them after one transfer."""
    flat = torch.cat([one.reshape(-1) for one in tensors]).cpu()
    pieces = torch.split(flat, [one.numel() for one in tensors])
    return [piece.view(one.shape) for piece, one in zip(pieces, tensors, strict=True)]


def _upheld(question: Question, logits: Tensor) -> Tensor:
    """`[s]` float64: the probability, as if masked, of each token that has a shadow."""
    if not len(question.shadows):  # the usual case, at every step of every row
        return logits.new_empty(0, dtype=torch.float64)
    held = question.row.canvas[question.shadows].to(logits.device)
    return probability(logits, held)


def _lanes(question: Question, model: RowDenoiser) -> list[RowInput]:
    """The row's own input and, with CFG, that of its unconditional copy; each lane has its own K/V."""
    row, feed = question.row, question.feed
    canvases = [row.canvas, row.hidden()] if row.cfg_scale > 0 else [row.canvas]
    if row.cache.stores and not row.lanes:
        row.lanes = [model.new_kv(len(row.canvas)) for _ in canvases]
    for lane in row.lanes:
        lane.length = _visible(feed, row)
    positions, shadows = feed.positions, question.shadows if len(question.shadows) else None
    stores: Sequence[RowKV | None] = row.lanes or [None] * len(canvases)
    return [
        RowInput(canvas[feed.part], positions, question.wanted, store, shadows)
        for canvas, store in zip(canvases, stores, strict=True)
    ]


def _memo(question: Question) -> Any:
    """What the row's cache remembers of the forward."""
    row = question.row
    return row.cache.remember(question.view, question.feed, row.lanes) if row.cache.stores else None


def _note(question: Question, state: State, memo: Any) -> None:
    """Keep what the round has changed, now that nothing of it can fail any more."""
    row, feed = question.row, question.feed
    row.state, row.memo = state, memo
    row.fed += len(feed)
    if row.cache.stores:
        row.stored[feed.part] = row.canvas[feed.part]


def _guided(row: Row, outputs: Iterator[Tensor]) -> Tensor:
    conditional = next(outputs)
    return guide(conditional, next(outputs), row.cfg_scale) if row.cfg_scale > 0 else conditional


def _scores(question: Question, raw: Tensor) -> tuple[Tensor, State]:
    """`[m, V]`, what to draw from: without what the constraint rules out, then as the scheduler transforms it."""
    row = question.row
    scores = allow(row, question.wanted, raw)
    if row.scheduler.supplies("transform"):
        scores, state = row.scheduler.transform(question.view, question.wanted, scores, row.state)
        return scores, state
    return scores, row.state


def _proposals(questions: Sequence[Question], asked: Sequence[Tensor], scored: Sequence[Tensor]) -> Tensor:
    """`[k, m]` of `propose` for rows that are alike, m positions in all."""
    first = questions[0].row
    scores = together(scored)
    return propose(
        scores,
        first.banned,
        first.shape,
        measures=_measures(first),
        seed=first.seed,
        step=first.step,
        positions=torch.cat([question.wanted for question in questions]),
        held=torch.cat([question.row.canvas[question.wanted] for question in questions]),
        raw=scores if scored[0] is asked[0] else together(asked),
    )


def together(pieces: Sequence[Tensor]) -> Tensor:
    """`[m_i, V]` tensors one below the other; without a copy where that is how they lie in memory already."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    rows, step = sum(len(piece) for piece in pieces), first.stride(0)
    at = first.storage_offset()
    for piece in pieces:
        beside = piece.storage_offset() == at and piece.stride() == first.stride()
        if not beside or piece.untyped_storage().data_ptr() != first.untyped_storage().data_ptr():
            return torch.cat(list(pieces))
        at += len(piece) * step
    return first.as_strided((rows, first.shape[1]), first.stride())


def _measures(row: Row) -> tuple[str, ...]:
    """What to measure beside the confidence, which is always there."""
    return tuple(sorted(set(row.scheduler.measures) - {"confidence"}))


def _step_view(question: Question, logits: Tensor, scores: Tensor, found: Tensor, upheld: Tensor) -> StepView:
    before, wanted = question.view, question.wanted
    names = ("confidence", *_measures(question.row))
    return StepView(
        **{name: getattr(before, name) for name in CanvasView.__slots__},
        positions=wanted,
        active=live(before, wanted, before.end),
        token_ids=found[0].long(),
        measures=Measures(zip(names, found[1:], strict=True)),
        logits=logits,
        scores=scores,
        shadows=question.shadows,
        upheld=upheld,
    )
