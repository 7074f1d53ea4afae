"""From rows to predictions: the first half of a round.

    ask_all:     each row opens a block, its cache chooses what to feed, its scheduler what else to predict
    predict_all: one forward for all; guidance, the constraint's bans, the scheduler's transform; proposals of rows that
                 are alike taken together; one transfer to the CPU; a step view each

Whatever a row's own part raises fails that row alone. Until all predictions are complete, no row has changed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dllm.cache import Feed
from dllm.engine.failures import is_out_of_memory
from dllm.engine.row import Question, Row
from dllm.errors import ConfigError
from dllm.models.base import RowDenoiser, RowInput, RowKV
from dllm.sampling.proposals import guide, probability, propose
from dllm.schedulers.base import State
from dllm.views import CanvasView, Measures, StepView, live, seen_end


def ask_all(
    rows: Sequence[Row], model: RowDenoiser, max_refreshes: int | None
) -> tuple[list[Row], list[tuple[Row, Exception]]]:
    """The rows of this round, each with its `question`, of which at most so many refresh; and those that raised.

    A row that sits out keeps its question, so that it asks once a step whatever happens to the round.
    """
    asking, failed, refreshing = list[Row](), list[tuple[Row, Exception]](), 0
    for row in rows:
        try:
            question = row.question = row.question or ask(row, model)
        except Exception as error:
            failed.append((row, error))
            continue
        refreshing += question.feed.refresh
        if not question.feed.refresh or max_refreshes is None or refreshing <= max_refreshes:
            asking.append(row)
    return asking, failed


def predict_all(rows: Sequence[Row], model: RowDenoiser) -> list[StepView | Exception]:
    """`predict`; where it raises, each row is asked about alone, and those that still raise come with their error.

    Raises:
        Exception: memory ran out; no row has changed.
    """
    if not rows:
        return []
    try:
        return [*predict(rows, model)]
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if len(rows) == 1:
            return [error]
        said = f"{type(error).__name__}: {error}"
    found = [_alone(row, model) for row in rows]
    if not any(isinstance(one, Exception) for one in found):
        warnings.warn(
            f"a forward over {len(rows)} rows raised ({said}), but over each of them alone it did not; this round "
            "went on one by one, which is slow: mend the model, or give max_batch_size=1",
            RuntimeWarning,
            stacklevel=2,
        )
    return found


def _alone(row: Row, model: RowDenoiser) -> StepView | Exception:
    try:
        return predict([row], model)[0]
    except Exception as error:
        return error


def ask(row: Row, model: RowDenoiser) -> Question:
    """Open a block where none is live, let the cache choose what to feed and the scheduler what else to predict."""
    row.open_block()
    view, scheduler = row.view, row.spec.scheduler
    feed = row.spec.cache.feed(view, model.lookback)
    _check(view, feed, row)
    wanted = view.masked[view.start : view.end].nonzero().squeeze(-1) + view.start
    if scheduler.supplies("horizon"):
        feed = _shortened(feed, scheduler.horizon(view, row.state), row)
        wanted = wanted[wanted < feed.stop]
    shadows, company = wanted[:0], None
    if scheduler.supplies("wants"):
        wanted = torch.unique(torch.cat([wanted, _fed(scheduler.wants(view, row.state), feed, model, view)]))
    if scheduler.supplies("shadows"):
        shadows = _fed(scheduler.shadows(view, row.state), feed, model, view)
        shadows = shadows[~view.masked[shadows]]
    if len(shadows) and model.lookback == 0 and scheduler.supplies("company"):
        company = scheduler.company(view, row.state)
        if company is not None:
            company = _fed(company, feed, model, view)
            company = company[~torch.isin(company, shadows)]
    return Question(view, feed, wanted, shadows, company)


def _check(view: CanvasView, feed: Feed, row: Row) -> None:
    """A cache may come from outside: what it feeds lies on the canvas, and attention reads no slot that is empty."""
    length, cache = len(view.canvas), row.spec.cache
    if not isinstance(feed, Feed) or not 0 <= feed.start < feed.stop <= feed.sees(length) <= length:
        raise ConfigError(
            f"cache {cache}: feed must return a Feed inside the visible part of 0...{length}; it returned "
            f"{str(feed)[:120]}"
        )
    if not isinstance(feed.refresh, bool):
        raise ConfigError(f"cache {cache}: a feed's `refresh` must be True or False, not {feed.refresh!r:.40}")
    only = feed.only
    if only is not None and not _ascending(only, feed):
        raise ConfigError(
            f"cache {cache}: a feed's `only` must be an ascending 1-D long tensor from start={feed.start} to "
            f"stop={feed.stop} - 1; it is {str(only)[:80]}: make it with Feed.at(positions)"
        )
    unfed = _unfed(view, feed) if cache.stores else None
    if unfed is not None:
        raise ConfigError(
            f"cache {cache}: attention would see position {unfed}, which was never fed; a row's first feed must be all "
            f"that is visible, here 0...{feed.sees(length)}, not {str(feed)[:120]}"
        )


def _shortened(feed: Feed, length: int | None, row: Row) -> Feed:
    """The feed without what stands from `length` on."""
    view = row.view
    seen = feed.sees(len(view.canvas))
    if length is not None and not (isinstance(length, int) and length > view.settled):
        raise ConfigError(
            f"scheduler {row.spec.scheduler}: horizon must be a length of {view.settled + 1} or more, behind the first "
            f"mask, or None; not {length!r:.40}"
        )
    if length is None or length >= seen or view.rule is not None:
        return feed
    if row.spec.cache.stores and bool((view.stored[length:seen] < 0).any()):
        return feed  # what is not stored now would be missing later
    if feed.only is not None:
        return Feed.at(feed.only[feed.only < length], refresh=feed.refresh, visible=length)
    return replace(feed, stop=min(feed.stop, length), visible=length)


def _ascending(only: Tensor, feed: Feed) -> bool:
    if only.dim() != 1 or only.dtype != torch.long or not len(only):
        return False
    return (int(only[0]), int(only[-1])) == (feed.start, feed.stop - 1) and bool((only.diff() > 0).all())


def _unfed(view: CanvasView, feed: Feed) -> int | None:
    """The first visible position that neither has been fed nor is now, if any."""
    empty = view.stored[: feed.sees(len(view.canvas))] < 0
    if not bool(empty.any()):
        return None
    empty[feed.part] = False
    left = empty.nonzero()
    return int(left[0]) if len(left) else None


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


@dataclass(slots=True, eq=False)
class Prediction:
    """What one row gets from a round's forward, on its way to a step view.

    Attributes:
        logits: `[m, V]` float, the model's own at the wanted positions, after guidance.
        scores: `[m, V]` float, what to draw from: `logits` itself where nothing changed them.
        state: the scheduler's, after its transform.
        upheld: `[s]` float64, the probability, as if masked, of each token that has a shadow.
        proposals: what `propose` gives, `[2 + measures, m]`.
    """

    row: Row
    question: Question
    logits: Tensor
    scores: Tensor
    state: State
    upheld: Tensor
    proposals: Tensor = field(init=False)

    @property
    def measures(self) -> tuple[str, ...]:
        """What to measure beside the confidence, which is always there."""
        return tuple(sorted(set(self.row.spec.scheduler.measures) - {"confidence"}))

    def view(self) -> StepView:
        """The row after its forward, its small tensors on the CPU."""
        wanted, before = self.question.wanted, self.question.view
        return StepView.of(
            before,
            positions=wanted,
            active=live(before, wanted, before.end),
            token_ids=self.proposals[0].long(),
            measures=Measures(zip(("confidence", *self.measures), self.proposals[1:], strict=True)),
            logits=self.logits,
            scores=self.scores,
            shadows=self.question.shadows,
            upheld=self.upheld,
        )


def predict(rows: Sequence[Row], model: RowDenoiser) -> list[StepView]:
    """One forward for all; a step view each, its tensors on the CPU after one transfer, its logits where they were.

    What this raises leaves the rows as they were, so that the same can be asked again.
    """
    inputs = [_inputs(row, model) for row in rows]
    outputs = iter(model.forward_rows([lane for own in inputs for lane in own]))
    predictions = [_prediction(row, [next(outputs) for _ in own]) for row, own in zip(rows, inputs, strict=True)]
    _propose(predictions)
    memos = [_memo(one) if one.row.spec.cache.stores else None for one in predictions]
    for prediction, memo in zip(predictions, memos, strict=True):
        _keep(prediction, memo)  # nothing can fail any more
    return [prediction.view() for prediction in predictions]


def _inputs(row: Row, model: RowDenoiser) -> list[RowInput]:
    """The row's own input and, with CFG, that of its unconditional copy; each lane has its own K/V."""
    question = _asked(row)
    canvases = [row.canvas, row.hidden()] if row.spec.cfg_scale > 0 else [row.canvas]
    if row.spec.cache.stores and not row.lanes:
        row.lanes = [model.new_kv(len(row.canvas)) for _ in canvases]
    for lane in row.lanes:
        lane.length = question.feed.sees(len(row.canvas))
    stores: Sequence[RowKV | None] = row.lanes or [None] * len(canvases)
    feed, shadows = question.feed, question.shadows if len(question.shadows) else None
    positions = feed.positions
    return [
        RowInput(canvas[feed.part], positions, question.wanted, store, shadows, question.company)
        for canvas, store in zip(canvases, stores, strict=True)
    ]


def _asked(row: Row) -> Question:
    assert row.question is not None, "a row asks before there is a prediction"
    return row.question


def _prediction(row: Row, lanes: Sequence[Tensor]) -> Prediction:
    """The row's logits, guided, and the scores that proposals are drawn from."""
    question = _asked(row)
    found = lanes[0] if len(lanes) == 1 else guide(lanes[0], lanes[1], row.spec.cfg_scale)
    logits, shadowed = found[: len(question.wanted)], found[len(question.wanted) :]
    scores, state = _allowed(row, question.wanted, _steered(row, question.wanted, logits)), row.state
    if row.spec.scheduler.supplies("transform"):
        scores, state = row.spec.scheduler.transform(question.view, question.wanted, scores, state)
    upheld = logits.new_empty(0, dtype=torch.float64)
    if len(question.shadows):  # seldom
        shadowed = _steered(row, question.shadows, shadowed)
        upheld = probability(shadowed, row.canvas[question.shadows].to(shadowed.device))
    return Prediction(row, question, logits, scores, state, upheld)


def _steered(row: Row, positions: Tensor, logits: Tensor) -> Tensor:
    """`[m, V]` logits with the biases asked for, and without an end of text where none may stand yet."""
    spec = row.spec
    if spec.bias is not None:
        token_ids, biases = spec.bias
        logits = logits.index_add(1, token_ids, biases.to(logits.dtype).expand(len(logits), -1))
    early = (positions < spec.first_late).nonzero().to(logits.device)
    if len(early):
        logits = logits.clone()
        logits[early, spec.late] = -torch.inf
    return logits


def _allowed(row: Row, positions: Tensor, logits: Tensor) -> Tensor:
    """`[m, V]` logits with what the row's constraint rules out at `[m]` positions at -inf.

    Where the model itself rules out all that is left, all that is left is equally likely.
    """
    if row.constraint is None:
        return logits
    began = time.perf_counter()
    allowed = row.constraint.allowed(positions)
    row.spend(grammar_seconds=time.perf_counter() - began)
    allowed = allowed.to(logits.device)
    found = logits.masked_fill(~allowed, -torch.inf)
    nothing = found.amax(-1, keepdim=True) == -torch.inf
    return found.masked_fill(nothing & allowed, 0.0)


def _propose(predictions: Sequence[Prediction]) -> None:
    """Give each its proposals and what is upheld, on the CPU: alike rows together, and one transfer for all."""
    groups = _alike(predictions)
    moved = _on_cpu([*(_proposals(group) for group in groups), *(one.upheld for one in predictions)])
    for group, proposals in zip(groups, moved[: len(groups)], strict=True):
        counts = [len(one.question.wanted) for one in group]
        for one, own in zip(group, torch.split(proposals, counts, dim=1), strict=True):
            one.proposals = own
    for one, upheld in zip(predictions, moved[len(groups) :], strict=True):
        one.upheld = upheld


def _alike(predictions: Sequence[Prediction]) -> list[list[Prediction]]:
    """Rows whose proposals are taken together: greedy ones of unchanged logits, alike in bans and measures."""
    groups: dict[object, list[Prediction]] = {}
    for one in predictions:
        spec = one.row.spec
        plain = spec.shape.greedy and one.scores is one.logits
        groups.setdefault((id(spec.banned), spec.shape, one.measures) if plain else id(one), []).append(one)
    return list(groups.values())


def _proposals(group: Sequence[Prediction]) -> Tensor:
    """`[2 + measures, m]` of `propose` for rows that are alike, m positions in all."""
    first = group[0]
    spec, view = first.row.spec, first.question.view
    scores = together([one.scores for one in group])
    return propose(
        scores,
        spec.banned,
        spec.shape,
        measures=first.measures,
        seed=view.seed,
        step=view.step,
        positions=torch.cat([one.question.wanted for one in group]),
        held=torch.cat([one.row.canvas[one.question.wanted] for one in group]),
        raw=scores if first.scores is first.logits else together([one.logits for one in group]),
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


def _on_cpu(tensors: Sequence[Tensor]) -> list[Tensor]:
    """All of them after one transfer."""
    flat = torch.cat([one.reshape(-1) for one in tensors]).cpu()
    pieces = torch.split(flat, [one.numel() for one in tensors])
    return [piece.view(one.shape) for piece, one in zip(pieces, tensors, strict=True)]


def _memo(prediction: Prediction) -> object:
    """What the row's cache remembers of the forward."""
    row, question = prediction.row, prediction.question
    return row.spec.cache.remember(question.view, question.feed, row.lanes)


def _keep(prediction: Prediction, memo: object) -> None:
    """Keep what the forward has changed."""
    row, feed = prediction.row, prediction.question.feed
    row.state, row.view = prediction.state, replace(row.view, memo=memo)
    row.spend(positions_fed=len(feed), refreshes=feed.refresh)
    if row.spec.cache.stores:
        row.view.stored[feed.part] = row.canvas[feed.part]
