"""The slow, obvious reference: one row, the whole canvas at every step, plain Python, float64. Greedy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Candidate:
    """One masked position of the live block."""

    position: int
    token: int
    confidence: float
    margin: float
    entropy: float


Rule = Callable[[list[Candidate], int, int, int], list[Candidate]]
"""(candidates, masks of the block at its start, steps of the block, step in the block) -> those to commit."""


def reference_generate(
    model: object,
    prompt: list[int],
    new: int,
    block_length: int,
    rule: Rule,
    *,
    steps: int | None = None,
    cfg: float = 0.0,
    stop_at_eos: bool = True,
) -> list[int]:
    """Ids of the final canvas behind the prompt, EOS included."""
    mask = model.mask_token_id
    canvas = list(prompt) + [mask] * new
    start = len(prompt)
    while mask in canvas:
        end = min(start + block_length, len(canvas))
        block_steps = (steps or new) * (end - start) // new
        masks = canvas[start:end].count(mask)
        step = 0
        while mask in canvas[start:end]:
            logits = model.logits(torch.tensor([canvas]))[0].double()
            if cfg:
                hidden = [mask] * len(prompt) + canvas[len(prompt) :]
                bare = model.logits(torch.tensor([hidden]))[0].double()
                logits = bare + (cfg + 1) * (logits - bare)
            candidates = [_candidate(logits[i], i, mask) for i in range(start, end) if canvas[i] == mask]
            chosen = rule(candidates, masks, block_steps, step)
            for candidate in chosen:
                canvas[candidate.position] = candidate.token
            ended = [c.position for c in chosen if stop_at_eos and c.token in model.eos_token_ids]
            if ended:
                canvas = canvas[: min(ended) + 1]
                end = min(end, len(canvas))
            step += 1
        start = end
    return canvas[len(prompt) :]


def _candidate(logits: Tensor, position: int, mask: int) -> Candidate:
    p = torch.softmax(logits, -1)
    entropy = float(-(p * p.clamp_min(1e-300).log()).sum())
    p[mask] = -1
    best, second = p.topk(2).values.tolist()
    return Candidate(position, int(p.argmax()), best, best - second, entropy)


def _best(candidates: list[Candidate], k: int, key: Callable[[Candidate], float]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: (-key(c), c.position))[:k]


def topk(k: int, key: Callable[[Candidate], float]) -> Rule:
    return lambda candidates, masks, steps, step: _best(candidates, k, key)


def threshold(tau: float) -> Rule:
    def rule(candidates: list[Candidate], masks: int, steps: int, step: int) -> list[Candidate]:
        best = _best(candidates, 1, lambda c: c.confidence)
        return [c for c in candidates if c.confidence >= tau or c in best]

    return rule


def factor(f: float) -> Rule:
    def rule(candidates: list[Candidate], masks: int, steps: int, step: int) -> list[Candidate]:
        ranked = _best(candidates, len(candidates), lambda c: c.confidence)
        count = 1
        for n in range(2, len(ranked) + 1):
            if all(ranked[j - 1].confidence >= 1 - f / (j + 1) for j in range(2, n + 1)):
                count = n
        return ranked[:count]

    return rule


def llada(candidates: list[Candidate], masks: int, steps: int, step: int) -> list[Candidate]:
    quota = masks // steps + (1 if step < masks % steps else 0)
    return _best(candidates, quota, lambda c: c.confidence)


def dream(key: Callable[[Candidate], float]) -> Rule:
    """Dream's quota; a tick of quota 0 is skipped, since a forward that commits nothing changes nothing."""
    ticks: dict[str, int] = {}

    def rule(candidates: list[Candidate], masks: int, steps: int, step: int) -> list[Candidate]:
        tick = 0 if step == 0 else ticks["next"]
        grid = torch.linspace(1, 1e-3, steps + 1)
        while True:
            quota = int(len(candidates) * (1 - grid[tick + 1] / grid[tick])) if tick < steps - 1 else len(candidates)
            tick += 1
            if quota:
                ticks["next"] = tick
                return _best(candidates, quota, key)

    return rule
