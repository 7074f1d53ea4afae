"""From logits to proposals: what each position would become, and how sure the model is.

The order is fixed (docs/sampling.md has the reasons): CFG, then the softmax, whose normaliser keeps every column,
then the bans, which take ids out of the proposal but not out of the normaliser, then temperature, top_p and top_k,
which shape the proposal only. Confidence is the proposed token's probability under that first softmax: float64, of
float32 logits (`Peaks.log_p`), so that 1 - p is told apart down to 1e-16 and positions stand in the order of a softmax
taken in float64. Every probability that a scheduler sees is made by `_probability`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dllm.sampling.noise import gumbel
from dllm.sampling.peaks import Peaks, peaks


@dataclass(frozen=True, slots=True)
class Shape:
    """What shapes a proposal: temperature (0 = greedy), top_p, top_k, and whether measures are taken after them."""

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    measured: bool = False

    @property
    def greedy(self) -> bool:
        """Whether the proposal is the best token and every measure is of the plain softmax."""
        cut = self.top_p is not None or self.top_k is not None
        return self.temperature == 0 and not (self.measured and cut)


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance as LLaDA defines it: `u + (scale + 1)(c - u)`, both `[m, V]`.

    Where `u` is -inf there is nothing to be guided away from, and `c` stands: what a model rules out in both, it rules
    out.
    """
    guided = (conditional - unconditional).mul_(scale + 1).add_(unconditional)
    if unconditional.numel() and unconditional.amin() == -torch.inf:
        guided = torch.where(unconditional == -torch.inf, conditional, guided)
    return guided


@dataclass(frozen=True, slots=True)
class Readings:
    """What measures are taken from, for m positions.

    Attributes:
        scores: `[m, V]`, whose softmax gives confidences; `peaks` are theirs.
        raw: `[m, V]`, the model's own logits, before a scheduler's transform; `raw_peaks` are theirs, if asked for.
        token_ids: `[m]` long, the proposals.
        held: `[m]` long, the ids on the canvas.
    """

    scores: Tensor
    peaks: Peaks
    raw: Tensor
    raw_peaks: Peaks
    token_ids: Tensor
    held: Tensor


def propose(
    logits: Tensor,
    banned: Tensor,
    shape: Shape,
    measures: tuple[str, ...],
    *,
    seed: int,
    step: int,
    positions: Tensor,
    held: Tensor,
    raw: Tensor | None = None,
) -> Tensor:
    """One proposal a position.

    Args:
        logits: `[m, V]` float, any dtype.
        banned: `[V]` bool, ids that may not be proposed (the mask id, ids without text).
        shape: how to choose.
        measures: extra measures wanted, names of `MEASURES`.
        seed, step, positions: of the noise; positions `[m]` long, canvas positions. Unread if the shape is greedy.
        held: `[m]` long, the ids on the canvas.
        raw: `[m, V]`, the logits before a transform changed them; None if nothing did.

    Returns:
        `[2 + len(measures), m]` float64 on the logits' device: token ids, confidences, then the measures. One tensor,
        so that a round moves it to the host at once.
    """
    shaped = None if shape.greedy else _shape(logits.float(), banned, shape)
    measured = logits if shaped is None or not shape.measured else _measured(logits.float(), shaped, banned, shape)
    found = peaks(measured, banned, entropy="entropy" in measures)
    tokens = found.token_ids if shaped is None else _drawn(shaped, shape, seed, step, positions).argmax(-1)
    raw = logits if raw is None else raw
    before = found if raw is measured or not RAW.intersection(measures) else peaks(raw, banned)
    readings = Readings(measured, found, raw, before, tokens, held)
    best = found.best if shaped is None else _scores_of(measured, tokens)
    rows = [tokens.double(), _probability(best, found)]
    rows += [MEASURES[name](readings) for name in measures]
    return torch.stack(rows)


def draw(logits: Tensor, banned: Tensor, shape: Shape, *, seed: int, step: int, positions: Tensor) -> int | None:
    """At one position (`[1, V]` logits), the id that `propose` gives, or None if nothing may be proposed.

    With the ids drawn before at -inf, it is the next of a draw without replacement: the noise of an id stays the same.
    """
    scores = _drawn(_shape(logits.float(), banned, shape), shape, seed, step, positions)[0]
    best = scores.argmax()
    return int(best) if scores[best] > -torch.inf else None


def _drawn(shaped: Tensor, shape: Shape, seed: int, step: int, positions: Tensor) -> Tensor:
    """`[m, V]` scores whose largest is the draw."""
    if shape.temperature == 0:
        return shaped
    # float64: in float32 the tails of the Gumbel distribution are cut off, which biases samples (arXiv 2409.02908)
    return shaped.double() + gumbel(seed, step, positions.to(shaped.device), shaped.shape[-1])


def _shape(scores: Tensor, banned: Tensor, shape: Shape) -> Tensor:
    """Divide by the temperature, then keep the top_p / top_k tokens; the rest and the banned become -inf."""
    scores = _tempered(scores, shape).masked_fill(banned, -torch.inf)
    if shape.top_p is not None and shape.top_p < 1:
        ranked, order = torch.sort(scores, dim=-1, descending=True, stable=True)
        mass = torch.softmax(ranked, dim=-1).cumsum(-1)
        beyond = mass - torch.softmax(ranked, dim=-1) >= shape.top_p
        beyond[:, 0] = False
        scores = scores.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf)
    if shape.top_k is not None and shape.top_k < scores.shape[-1]:
        kth = torch.topk(scores, shape.top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < kth, -torch.inf)
    return scores


def _measured(scores: Tensor, shaped: Tensor, banned: Tensor, shape: Shape) -> Tensor:
    """The scores whose softmax gives confidences; banned ids keep their place in the normaliser either way."""
    if not shape.measured:
        return scores
    return torch.where(banned, _tempered(scores, shape), shaped).float()


def _tempered(scores: Tensor, shape: Shape) -> Tensor:
    """Scores over the temperature, in float64: a tiny temperature overflows float32."""
    return scores.double() / shape.temperature if shape.temperature > 0 else scores


def probability(logits: Tensor, token_ids: Tensor) -> Tensor:
    """`[m]` float64: of each token under the softmax of `[m, V]` logits."""
    nothing = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
    return _probability(_scores_of(logits, token_ids), peaks(logits, nothing))


def _probability(scores: Tensor, found: Peaks) -> Tensor:
    """`[m]` float64: of what has these scores."""
    return found.log_p(scores).exp()


def _scores_of(scores: Tensor, token_ids: Tensor) -> Tensor:
    """`[m]` float32, a token of each of `[m, V]`."""
    return scores.gather(-1, token_ids[:, None]).squeeze(-1).float()


def _margin(readings: Readings) -> Tensor:
    found = readings.peaks
    return _probability(found.best, found) - _probability(found.second, found)


def _entropy(readings: Readings) -> Tensor:
    return readings.peaks.entropy.double()


def _held(readings: Readings) -> Tensor:
    held = readings.held.to(readings.scores.device)
    return _probability(_scores_of(readings.scores, held), readings.peaks)


def _raw(readings: Readings) -> Tensor:
    return _probability(_scores_of(readings.raw, readings.token_ids), readings.raw_peaks)


def _gap(readings: Readings) -> Tensor:
    return readings.raw_peaks.highest.double() - readings.raw_peaks.runner_up.double()


MEASURES = {"margin": _margin, "entropy": _entropy, "held": _held, "raw": _raw, "gap": _gap}
"""What can be measured beside the confidence, `[m]` float64 each.

margin: probability of the best minus that of the second, among ids that may be proposed (published code counts the
    mask id among the others).
entropy: Shannon entropy in nats, over every column.
held: probability of the token that is on the canvas.
raw: probability of the proposal before a scheduler's transform.
gap: highest logit minus the second highest before a transform, over every column.
"""
RAW = frozenset({"raw", "gap"})
"""Those that are taken before a transform."""
