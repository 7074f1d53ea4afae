"""Trajectories of the oracle: which predictions of a step equal what one token a step ends up with.

Each prompt is decoded twice. First one token at a time, greedily, which gives the reference. Then by an oracle that at
every step commits all predictions that equal the reference ("extremely greedy parallel"); each of its steps gives one
record. Where the predictions of a block stay as they were, the oracle is stuck: the reference is pasted into the block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dllm.engine.text_model import TextModel
from dllm.llm import LLM
from dllm.models.base import RowDenoiser, RowInput
from dllm.params import SamplingParams
from dllm.sampling.proposals import Shape, propose

Advance = Callable[[int], None]
"""Told how many prompts are done."""


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Steps of the oracle, n of them, over blocks of b positions.

    Attributes:
        confidence: `[n, b]` float32, probability of each position's proposal; 1 behind the end of the canvas.
        final: `[n, b]` bool, whether the proposal equals the reference.
        masked: `[n, b]` bool, what could be committed.
        inside: `[n, b]` bool, what lies on the canvas.
        prompt: `[n]` long, the prompt a step belongs to.
        tokens: `[p]` long, length of each reference answer, EOS included.
        pasted: blocks that the oracle had to be helped with.
    """

    confidence: Tensor
    final: Tensor
    masked: Tensor
    inside: Tensor
    prompt: Tensor
    tokens: Tensor
    pasted: int


class Kept(Protocol):
    """Where batches are kept, by the number of their first prompt and their prompts."""

    def get(self, start: int, batch: Sequence[str | Sequence[int]]) -> Trajectories | None: ...

    def add(self, start: int, batch: Sequence[str | Sequence[int]], found: Trajectories) -> None: ...


@dataclass(slots=True)
class _OracleRun:
    """One prompt under the oracle."""

    index: int
    prompt_length: int
    canvas: Tensor
    reference: Tensor
    masked: Tensor
    start: int
    last: Tensor | None = None
    rows: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    pasted: int = 0


def collect(
    llm: LLM,
    prompts: Sequence[str | Sequence[int]],
    *,
    max_new_tokens: int = 128,
    block_length: int = 32,
    max_batch_size: int = 32,
    advance: Advance | None = None,
    kept: Kept | None = None,
) -> Trajectories:
    """Decode every prompt twice; see the module's text.

    Args:
        llm: what the filter is for; its model must know its end-of-text id if answers are to end.
        prompts: as for `LLM.generate`, used verbatim.
        advance: called after every batch.
        kept: where batches are, or are put, so that none is collected twice.
    """
    params = SamplingParams(max_new_tokens=max_new_tokens, block_length=block_length, scheduler="topk", cache="none")
    banned = TextModel(llm.model, llm.tokenizer).banned
    parts = list[Trajectories]()
    for at in range(0, len(prompts), max_batch_size):
        batch = prompts[at : at + max_batch_size]
        found = None if kept is None else kept.get(at, batch)
        if found is None:
            found = _collected(llm, batch, at, params, banned)
            if kept is not None:
                kept.add(at, batch, found)
        parts.append(found)
        if advance is not None:
            advance(len(batch))
    return _joined(parts)


def _collected(
    llm: LLM, batch: Sequence[str | Sequence[int]], start: int, params: SamplingParams, banned: Tensor
) -> Trajectories:
    """The oracle's steps on the prompts from number `start` on."""
    outputs = llm.generate(batch, params, max_batch_size=len(batch), progress=False)
    runs = [
        _begin(llm.model, start + i, out.prompt_token_ids, out.token_ids, params.max_new_tokens)
        for i, out in enumerate(outputs)
    ]
    _oracle(llm.model, banned, runs, params.block_length)
    return _records(runs, params.block_length)


def _joined(parts: Sequence[Trajectories]) -> Trajectories:
    tensors = {
        field.name: torch.cat([getattr(part, field.name) for part in parts])
        for field in fields(Trajectories)
        if field.name != "pasted"
    }
    return Trajectories(**tensors, pasted=sum(part.pasted for part in parts))


def _begin(model: RowDenoiser, index: int, prompt: list[int], answer: list[int], new: int) -> _OracleRun:
    """The canvas before the first step. Behind the answer the reference says end of text, up to the last position."""
    ends = model.eos_token_ids[:1]
    reference = torch.tensor([*prompt, *answer, *ends * (new - len(answer))])
    canvas = reference.clone()
    masked = torch.arange(len(reference)) >= len(prompt)
    canvas[masked] = model.mask_token_id or 0
    return _OracleRun(index, len(prompt), canvas, reference, masked, len(prompt))


@torch.inference_mode()
def _oracle(model: RowDenoiser, banned: Tensor, runs: Sequence[_OracleRun], block_length: int) -> None:
    """Take all runs to their ends, one forward a step for those that are left."""
    live = list(runs)
    while live:
        for run in live:
            while not bool(run.masked[run.start : run.start + block_length].any()):
                run.start += block_length
        blocks = [torch.arange(run.start, min(run.start + block_length, len(run.canvas))) for run in live]
        inputs = [
            RowInput(run.canvas, torch.arange(len(run.canvas)), block) for run, block in zip(live, blocks, strict=True)
        ]
        for run, block, logits in zip(live, blocks, model.forward_rows(inputs), strict=True):
            found = propose(logits, banned, Shape(), (), seed=0, step=0, positions=block, held=run.canvas[block]).cpu()
            _step(run, block, found[0].long(), found[1].float(), model.eos_token_ids)
        live = [run for run in live if bool(run.masked.any())]


def _step(run: _OracleRun, block: Tensor, tokens: Tensor, confidence: Tensor, ends: tuple[int, ...]) -> None:
    """Record what the oracle saw, then let it commit."""
    final, masked = tokens == run.reference[block], run.masked[block]
    run.rows.append((confidence, final, masked))
    chosen = block[final & masked]
    if run.last is not None and torch.equal(run.last, tokens):  # stuck
        run.pasted += 1
        chosen = block[masked]
    run.canvas[chosen] = run.reference[chosen]
    run.masked[chosen] = False
    run.last = tokens if bool(run.masked[block].any()) else None  # the next block starts afresh
    ended = [p for p in chosen.tolist() if int(run.reference[p]) in ends]
    if ended:  # as the engine does: what stands behind an end of text leaves the canvas
        length = min(ended) + 1
        run.canvas, run.masked = run.canvas[:length], run.masked[:length]


def _records(runs: Sequence[_OracleRun], block_length: int) -> Trajectories:
    columns: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    owners: list[int] = []
    for run in runs:
        for confidence, final, masked in run.rows:
            pad = (0, block_length - len(confidence))
            inside = torch.ones_like(final)
            columns.append(
                (F.pad(confidence, pad, value=1.0), F.pad(final, pad), F.pad(masked, pad), F.pad(inside, pad))
            )
            owners.append(run.index)
    confidence, final, masked, inside = (torch.stack(column) for column in zip(*columns, strict=True))
    lengths = torch.tensor([len(run.canvas) - run.prompt_length for run in runs])
    pasted = sum(run.pasted for run in runs)
    return Trajectories(confidence, final, masked, inside, torch.tensor(owners), lengths, pasted)
