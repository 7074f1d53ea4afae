"""Exact match on held-out prompts with a small batched decoder.

``decode`` is the only place that fills masks; the score functions around it take any function of that shape, so the
engine can stand in for it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.eval.metrics import wilson
from dllm.eval.tiny import tasks
from dllm.eval.tiny.example import Example
from tools.train_tiny.data import Encoder, TinySequence, collate
from tools.train_tiny.model import TinyModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How many and which masks to commit at a step.

    Attributes:
        k: tokens a step; 0 means all at once.
        threshold: commit everything more probable than this (at least one token) instead of ``k``.
        order: ``confidence`` or ``random``.
        block: finish each span of this many positions before the next; 0 means the whole region at once.
    """

    k: int = 1
    threshold: float | None = None
    order: str = "confidence"
    block: int = 0

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"threshold {self.threshold}"
        return ("all" if self.k == 0 else f"k={self.k}") + (" random" if self.order == "random" else "")


@dataclass(frozen=True, slots=True)
class Filled:
    """One decoded row: its ids and the number of steps it took part in."""

    ids: list[int]
    steps: int


def decode(model: TinyModel, rows: list[TinySequence], mask: int, end: int, rule: Rule, seed: int = 0) -> list[Filled]:
    """Fill every region greedily under ``rule``; the tokens already there are ignored. Rows leave when they are done.

    As in the engine, an END committed in an answer closes everything after it; a document's holes take no END.
    """
    generator = torch.Generator().manual_seed(seed)
    batch = collate(rows, end)
    ids, valid = batch.ids.masked_fill(batch.region, mask), batch.valid
    lengths = valid.sum(1)
    document = torch.tensor([row.document for row in rows])
    todo = batch.region.clone()
    place = todo.cumsum(1) - 1
    steps = torch.zeros(len(rows), dtype=torch.long)
    live = todo.any(1).nonzero()[:, 0]
    while len(live):
        width = int(lengths[live].max())
        canvas, open_ = ids[live, :width], todo[live, :width]
        if rule.block:
            span = torch.where(open_, place[live, :width] // rule.block, 1 << 30)
            open_ = open_ & (span == span.amin(1, keepdim=True))
        with torch.inference_mode():
            logits = model(canvas, valid[live, :width], open_)
            owner = open_.nonzero()[:, 0]
            logits[document[live][owner], end] = -math.inf
            scores = logits.log_softmax(-1)
            scores[:, mask] = -math.inf
            best, token = scores.max(-1)
        if rule.order == "random":
            best = torch.rand(len(best), generator=generator)
        chosen = _choose(open_, best, rule)
        proposal = torch.zeros_like(canvas)
        proposal[open_] = token
        canvas = torch.where(chosen, proposal, canvas)
        left = todo[live, :width] & ~chosen
        ended = (batch.region[live, :width] & (canvas == end) & ~left).cumsum(1) > 0
        ended &= ~document[live, None]
        ids[live, :width] = torch.where(ended & left, end, canvas)
        todo[live, :width] = left & ~ended
        steps[live] += 1
        live = live[todo[live].any(1)]
    return [Filled(ids[i, : int(lengths[i])].tolist(), int(steps[i])) for i in range(len(rows))]


def _choose(open_: Tensor, best: Tensor, rule: Rule) -> Tensor:
    """The open positions to commit, [B, L] bool; ``best`` [n] scores them in reading order."""
    if rule.k == 0 and rule.threshold is None:
        return open_
    score = torch.full(open_.shape, -math.inf)
    score[open_] = best
    if rule.threshold is not None:
        return (score > math.log(rule.threshold)).scatter(1, score.argmax(1, keepdim=True), True)
    top = score.topk(min(rule.k, score.shape[1]), 1).indices
    return torch.zeros_like(open_).scatter(1, top, True) & open_


Decoder = Callable[[list[TinySequence], Rule], list[Filled]]


@dataclass(frozen=True, slots=True)
class Score:
    """Exact matches of one task under one rule."""

    right: int
    total: int
    tokens_per_step: float

    @property
    def rate(self) -> float:
        """Share of exact matches."""
        return self.right / self.total

    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval."""
        return wilson(self.rate, self.total)


@dataclass(frozen=True, slots=True)
class HeldOutItem:
    """A held-out example with its sequence."""

    example: Example
    row: TinySequence


def held_out_items(encoder: Encoder, task: str, count: int, seed: int, region: int = 0) -> list[HeldOutItem]:
    """``count`` held-out items; prompts bare and in the chat template in turn.

    ``region`` is the canvas of an answer; 0 draws the answer's length and 1..16 more, as most of training has.
    """
    rng = random.Random(f"test/{seed}/{task}")
    items: list[HeldOutItem] = []
    while len(items) < count:
        example = tasks.sample(task, rng, test=True)
        if example.parts:
            row = encoder.document(example)
        else:
            answer = encoder.ids(example.answer)
            length = region or min(128, len(answer) + rng.randint(1, 16))
            if len(answer) >= length:
                continue
            row = encoder.answer(encoder.prompt(example, "bare" if len(items) % 2 else "chat"), answer, length)
        if row.region:
            items.append(HeldOutItem(example, row))
    return items


def text_of(encoder: Encoder, item: HeldOutItem, ids: list[int]) -> str:
    """What the checker reads: the answer up to END, or the whole document."""
    if item.example.parts:
        if encoder.end in ids:
            return ""
        text: str = encoder.tokenizer.decode(ids, skip_special_tokens=False)
        return text
    answer = ids[item.row.region[0] :]
    if encoder.end in answer:
        answer = answer[: answer.index(encoder.end)]
    text = encoder.tokenizer.decode(answer, skip_special_tokens=False)
    return text


def score(decoder: Decoder, encoder: Encoder, items: list[HeldOutItem], rule: Rule, batch: int = 64) -> Score:
    """Exact match and tokens a step (all positions of the region count, the END fill too)."""
    order = sorted(range(len(items)), key=lambda i: len(items[i].row.ids))
    right = tokens = steps = 0
    for at in range(0, len(order), batch):
        group = [items[i] for i in order[at : at + batch]]
        for item, filled in zip(group, decoder([item.row for item in group], rule), strict=True):
            right += tasks.is_right(item.example, text_of(encoder, item, filled.ids))
            tokens += len(item.row.region)
            steps += filled.steps
    return Score(right, len(items), tokens / max(1, steps))


def decoder_of(model: TinyModel, encoder: Encoder) -> Decoder:
    """``decode`` with the model filled in."""

    def run(rows: list[TinySequence], rule: Rule) -> list[Filled]:
        return decode(model, rows, encoder.mask, encoder.end, rule)

    return run


def quick_rates(model: TinyModel, encoder: Encoder, names: tuple[str, ...], count: int) -> dict[str, float]:
    """Exact match of a few held-out items a task at one token a step, for a look during training."""
    return {
        name: score(decoder_of(model, encoder), encoder, held_out_items(encoder, name, count, 1), Rule()).rate
        for name in names
    }
