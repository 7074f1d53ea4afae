"""Fit the filter to recorded steps, and say how good it is on prompts it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dllm.errors import ConfigError
from dllm.eval.filter_training.collect import Trajectories
from dllm.schedulers.filter import TENSORS, Filter

SHARES = (0.8, 0.9)
"""Where the training prompts end and the validation prompts end; the rest is the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How to fit.

    Attributes:
        iterations: full-batch AdamW steps; the best on the validation prompts are kept.
        rate: learning rate; the published notebook's 3e-3.
        negative_weight: weight of positions that are not final. A wrong commit cannot be undone, so they count more
            than in the published loss, which has 1.
        seed: of the initial weights and of the split.
    """

    iterations: int = 4000
    rate: float = 3e-3
    negative_weight: float = 2.0
    seed: int = 0


def fit(records: Trajectories, options: FitOptions) -> tuple[Filter, Trajectories]:
    """A filter, and the test part of the records. Prompts, not steps, are split: steps of one block are alike."""
    if len(records.tokens) < 10:
        raise ConfigError(f"{len(records.tokens)} prompts are too few to split into three parts; give at least 10")
    train, validation, test = split_prompts(records, options.seed)
    torch.manual_seed(options.seed)
    width = records.confidence.shape[1]
    hidden, out = torch.nn.Linear(width, width), torch.nn.Linear(width, width)
    parameters = [*hidden.parameters(), *out.parameters()]
    network = Filter(dict(zip(TENSORS, parameters, strict=True)), {})
    optimizer = torch.optim.AdamW(parameters, lr=options.rate)

    def loss(part: Trajectories) -> Tensor:
        logits = network.logits(part.confidence)
        weight = torch.where(part.final, 1.0, options.negative_weight) * part.inside
        each = F.binary_cross_entropy_with_logits(logits, part.final.float(), reduction="none")
        return (each * weight).sum() / weight.sum()

    best, kept = float("inf"), [parameter.detach().clone() for parameter in parameters]
    for iteration in range(options.iterations):
        optimizer.zero_grad()
        torch.autograd.backward(loss(train))
        optimizer.step()
        if iteration % 20 == 19:
            with torch.no_grad():
                now = float(loss(validation))
            if now < best:
                best, kept = now, [parameter.detach().clone() for parameter in parameters]
    return Filter(dict(zip(TENSORS, kept, strict=True)), {}), test


def split_prompts(records: Trajectories, seed: int) -> tuple[Trajectories, Trajectories, Trajectories]:
    """Training, validation and test parts, by prompt."""
    count = len(records.tokens)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    rank = torch.empty(count, dtype=torch.long)
    rank[order] = torch.arange(count)
    share = rank[records.prompt] / count
    low, high = SHARES
    validates = (share >= low) & (share < high)
    return _where(records, share < low), _where(records, validates), _where(records, share >= high)


def _where(records: Trajectories, rows: Tensor) -> Trajectories:
    prompts = records.prompt[rows]
    return Trajectories(
        records.confidence[rows],
        records.final[rows],
        records.masked[rows],
        records.inside[rows],
        prompts,
        records.tokens[torch.unique(prompts)],
        records.pasted,
    )


def quality(filter: Filter, records: Trajectories, gamma: float) -> dict[str, Any]:
    """What the filter does at `gamma` to the masks of the records' steps, and what the oracle itself attains.

    Returns:
        precision, recall: of "this prediction is final" over masked positions.
        false_positives: masks committed wrongly, and `masks`, how many there were in all.
        threshold_precision, threshold_recall: the same for confidence >= 0.9.
        oracle_tokens_per_step: tokens of the answers over the oracle's steps, the ceiling of the method.
    """
    scores = filter.logits(records.confidence).sigmoid()
    accepted = records.masked & (scores > gamma)
    confident = records.masked & (records.confidence >= 0.9)

    def share(part: Tensor, whole: Tensor) -> float:
        return round(float(part.sum()) / max(1, int(whole.sum())), 4)

    final = records.final & records.masked
    return {
        "gamma": gamma,
        "precision": share(accepted & final, accepted),
        "recall": share(accepted & final, final),
        "false_positives": int((accepted & ~final).sum()),
        "masks": int(records.masked.sum()),
        "threshold_precision": share(confident & final, confident),
        "threshold_recall": share(confident & final, final),
        "oracle_tokens_per_step": round(float(records.tokens.sum()) / max(1, len(records.prompt)), 3),
    }
