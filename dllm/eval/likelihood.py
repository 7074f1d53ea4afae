"""How probable a masked-diffusion model holds a text to be: a Monte-Carlo estimate of a lower bound.

A masked-diffusion model has no left-to-right chain rule. For a continuation of L tokens behind a fixed context, draw
l uniformly from 1...L, mask l of its tokens uniformly without replacement, run one forward and take

    (L / l) * sum over the masked positions of log p(token | context, what is left of the continuation)

(LLaDA, arXiv 2502.09992, equation 6). In expectation this is the mean, over all orders, of the log-probability of
writing the continuation in that order, one token a forward; by Jensen's inequality that is at most the log-probability
of the continuation under decoding in a random order. So its mean over samples estimates a *lower bound*; a single
estimate may lie on either side.

The distribution is the model's own: a float32 log-softmax over every column, the mask id included.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dllm.engine.text_model import TextModel
from dllm.errors import ModelError
from dllm.models.base import RowInput
from dllm.sampling.noise import uniform
from dllm.sampling.proposals import Shape, guide, propose

COLUMNS_AT_ONCE = 2**28
"""Logits (float32, 1 GiB) that a forward may give out before it is split, whatever the batch size."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is scored: `continuation` given `context`, token ids; `salt` tells equal pairs apart that must differ."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    salt: int = 0

    def seed(self, seed: int) -> int:
        """Of the masks: the same wherever and with whatever else this pair is scored."""
        return request_seed(seed, self.context, self.continuation, self.salt)


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerBound:
    """An estimate of a lower bound on log p(continuation | context).

    Attributes:
        value: nats; the mean over the samples.
        standard_error: of that mean, nats; 0 where the continuation has one token, which can be masked in one way only.
        tokens: of the continuation, L.
        samples: masks drawn.
        forwards: masks scored, the greedy check's forwards included: equal draws are scored once, and the
            unconditional copy for CFG is not counted again.
        greedy: whether greedy decoding gives the continuation; False where that was not asked.
    """

    value: float
    standard_error: float
    tokens: int
    samples: int
    forwards: int
    greedy: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """One canvas to score: which pair and which of its distinct masks it is, and what is masked (`[L]` bool)."""

    pair: int
    row: int
    mask: Tensor


def request_seed(seed: int, *parts: object) -> int:
    """63 bits that depend on the seed and on what a request says, and on nothing else."""
    text = json.dumps([seed, *parts])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def draw_masks(length: int, samples: int, seed: int) -> Tensor:
    """`[samples, length]` bool, True = masked: a uniform count in 1...length, then uniform positions."""
    noise = uniform(seed, 0, torch.arange(samples), length + 1)
    counts = (noise[:, :1] * length).long() + 1
    return noise[:, 1:].argsort(-1).argsort(-1) < counts


class Scorer:
    """Scores continuations with one model.

    Args:
        engine: the model and which ids it may not propose (that is for the greedy check; the bound bans nothing).
        samples: masks drawn for a continuation, at least 2.
        batch: canvases a forward.
        cfg_scale: classifier-free guidance, as in `SamplingParams`; the unconditional copy has its context masked.
        seed: of the masks.
    """

    def __init__(
        self, engine: TextModel, *, samples: int = 128, batch: int = 32, cfg_scale: float = 0.0, seed: int = 0
    ) -> None:
        self.engine = engine
        self.samples, self.batch, self.cfg_scale, self.seed = samples, batch, cfg_scale, seed

    @torch.inference_mode()
    def bounds(self, pairs: Sequence[Pair]) -> list[LowerBound]:
        """One bound a pair; masks of several pairs share a forward, which changes nothing in their values.

        Args:
            pairs: each with a continuation of at least one token; no mask ids in either part.

        Raises:
            PromptError: an empty continuation, ids outside the vocabulary or mask ids.
            ModelError: the model returned NaN.
        """
        for pair in pairs:
            self._check(pair)
        draws = [draw_masks(len(pair.continuation), self.samples, pair.seed(self.seed)) for pair in pairs]
        distinct = [torch.unique(masks, dim=0, return_inverse=True) for masks in draws]
        scores = [torch.zeros(len(rows), dtype=torch.float64) for rows, _ in distinct]
        jobs = (_Job(i, k, mask) for i, (rows, _) in enumerate(distinct) for k, mask in enumerate(rows))
        for group in self._groups(jobs):
            for job, score in zip(group, self._log_p(pairs, group), strict=True):
                scores[job.pair][job.row] = score * len(job.mask) / int(job.mask.sum())
        return [
            _mean(found[inverse], len(pair.continuation), len(rows))
            for pair, found, (rows, inverse) in zip(pairs, scores, distinct, strict=True)
        ]

    def warm_up(self, *pairs: Pair, greedy: bool = False) -> None:
        """What the first forwards set up, set up: pairs with the fewest masks, scored for nothing."""
        few = Scorer(self.engine, samples=2, batch=self.batch, cfg_scale=self.cfg_scale, seed=self.seed)
        found = few.bounds(pairs)
        if greedy:
            few.greedy(pairs, found)

    @torch.inference_mode()
    def greedy(self, pairs: Sequence[Pair], bounds: Sequence[LowerBound]) -> list[LowerBound]:
        """The bounds, each with whether greedy decoding writes exactly the continuation, and the forwards it took.

        Greedy: all of the continuation is masked, and at each forward the proposal of the highest confidence is
        committed, as `LLM.generate(..., scheduler="topk(1)")` does in one block of that length with `ignore_eos`. A
        pair is given up at the first wrong token, and costs L forwards at most.
        """
        found = list(bounds)
        for start in range(0, len(pairs), self.batch):
            left = {
                i: torch.ones(len(pairs[i].continuation), dtype=torch.bool)
                for i in range(len(pairs))[start:][: self.batch]
            }
            while left:
                jobs = [_Job(i, 0, mask) for i, mask in left.items()]
                for job, logits in zip(jobs, self._logits(pairs, jobs), strict=True):
                    right = self._commit(pairs[job.pair], job.mask, logits)
                    ended = not right or not job.mask.any()
                    if ended:
                        del left[job.pair]
                    bound = found[job.pair]
                    found[job.pair] = replace(bound, forwards=bound.forwards + 1, greedy=ended and right)
        return found

    def _commit(self, pair: Pair, mask: Tensor, logits: Tensor) -> bool:
        """Unmask the surest position; whether its proposal is the continuation's token. `mask` changes in place."""
        positions = mask.nonzero().flatten()
        # without a temperature there is no noise to seed, and no measure of what is held is asked for
        found = propose(logits, self.engine.banned, Shape(), (), seed=0, step=0, positions=positions, held=positions)
        tokens, confidences = found.cpu()
        at = int(confidences.argmax())
        mask[positions[at]] = False
        return int(tokens[at]) == pair.continuation[int(positions[at])]

    def _check(self, pair: Pair) -> None:
        self.engine.check_ids(pair.continuation, "the continuation to score")
        if pair.context:
            self.engine.check_ids(pair.context, "the context")
        self.engine.check_length(len(pair.context) + len(pair.continuation), "context + continuation")

    def _groups(self, jobs: Iterator[_Job]) -> Iterator[list[_Job]]:
        """Jobs that share a forward: at most `batch`, and no more logits than `COLUMNS_AT_ONCE`."""
        group, columns = list[_Job](), 0
        for job in jobs:
            more = int(job.mask.sum()) * self.engine.model.vocab_size
            if group and (len(group) == self.batch or columns + more > COLUMNS_AT_ONCE):
                yield group
                group, columns = [], 0
            group.append(job)
            columns += more
        if group:
            yield group

    def _log_p(self, pairs: Sequence[Pair], jobs: Sequence[_Job]) -> list[float]:
        """Of each canvas, the log-probabilities of its masked tokens, summed."""
        sums = []
        for job, logits in zip(jobs, self._logits(pairs, jobs), strict=True):
            targets = torch.tensor(pairs[job.pair].continuation)[job.mask].to(logits.device)
            log_p = torch.log_softmax(logits.float(), dim=-1)
            sums.append(log_p.gather(-1, targets[:, None]).double().sum())
        found: list[float] = torch.stack(sums).tolist()
        if any(math.isnan(one) for one in found):
            raise ModelError("the model returned NaN; check the weights, or load in float32")
        return found

    def _logits(self, pairs: Sequence[Pair], jobs: Sequence[_Job]) -> list[Tensor]:
        """One forward for all: `[l, V]` logits of each canvas's masked positions, guided if asked for."""
        lanes = [lane for job in jobs for lane in self._lanes(pairs[job.pair], job.mask)]
        outputs = self.engine.model.forward_rows(lanes)
        if not self.cfg_scale:
            return outputs
        return [guide(c, u, self.cfg_scale) for c, u in zip(outputs[::2], outputs[1::2], strict=True)]

    def _lanes(self, pair: Pair, mask: Tensor) -> list[RowInput]:
        """The canvas and, with CFG, its copy without the context."""
        ids = torch.tensor(pair.context + pair.continuation)
        behind = torch.cat([torch.zeros(len(pair.context), dtype=torch.bool), mask])
        positions, wanted = torch.arange(len(ids)), behind.nonzero().flatten()
        canvas = ids.masked_fill(behind, self.engine.mask_token_id)
        rows = [canvas, canvas.masked_fill(positions < len(pair.context), self.engine.mask_token_id)]
        return [RowInput(row, positions, wanted) for row in rows[: 2 if self.cfg_scale else 1]]


def windows(ids: Sequence[int], prefix: Sequence[int], longest: int | None) -> list[Pair]:
    """A text of any length as pairs whose continuations, end to end, are the text.

    One pair if it fits. Else each window behind the first has the token before it as its context, and the last one as
    many as there is room for: the chain rule over windows, so that the sum of the bounds is a bound for the text.

    Args:
        ids: of the text.
        prefix: ids in front of the text, such as BOS; may be empty.
        longest: tokens a canvas may hold, or None; at least 2, and more than `prefix` has.
    """
    room = len(ids) if longest is None else longest - len(prefix)
    pairs, at = [Pair(tuple(prefix), tuple(ids[:room]))], room
    while longest is not None and at < len(ids):
        end = min(at + longest - 1, len(ids))
        pairs.append(Pair(tuple(ids[end - min(longest, end) : at]), tuple(ids[at:end]), salt=len(pairs)))
        at = end
    return pairs


def over_windows(bounds: Sequence[LowerBound]) -> LowerBound:
    """The bound of a text, from those of its windows, whose samples are independent."""
    return LowerBound(
        value=sum(bound.value for bound in bounds),
        standard_error=math.hypot(*(bound.standard_error for bound in bounds)),
        tokens=sum(bound.tokens for bound in bounds),
        samples=max((bound.samples for bound in bounds), default=0),
        forwards=sum(bound.forwards for bound in bounds),
    )


def _mean(samples: Tensor, tokens: int, forwards: int) -> LowerBound:
    error = float(samples.std()) / math.sqrt(len(samples)) if tokens > 1 else 0.0
    return LowerBound(
        value=float(samples.mean()), standard_error=error, tokens=tokens, samples=len(samples), forwards=forwards
    )
