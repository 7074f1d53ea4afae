"""What components see of a row: `CanvasView` before a forward, `StepView` after it. Both are read-only.

A `CanvasView` is also where the row itself keeps where it stands: what changes is a new view.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from dllm.errors import ConfigError
from dllm.sampling.noise import uniform

if TYPE_CHECKING:
    from dllm.models.base import Blocks, Denoiser
    from dllm.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a scheduler is bound to: the model, and the tokenizer if there is one."""

    model: Denoiser
    tokenizer: Tokenizer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CanvasView:
    """Where a row stands before a forward. All tensors live on the CPU; positions count from the canvas' first token.

    Attributes:
        canvas: `[L]` long; the mask id at masked positions. The row's own tensor: copy what you keep in a state.
        masked: `[L]` bool.
        prompt_length: tokens given in front of the answer (0 in infilling, where fixed text may be anywhere).
        given: `[L]` bool, tokens that came with the request.
        asked: one past the last position that was asked for. What stands behind completes the last block of a
            block-causal model; the row is done without it.
        total: masks that the row was asked to fill when it began.
        start, end: the live block `[start, end)`; where a scheduler has several live at once, all of them.
        front: one past the first of them: the next one is opened when no mask is left before it. Else `end`.
        block_masked: masks in the live block when it was opened.
        step: forwards this row has made before this one.
        block_step: the same, since the live block was opened.
        steps: the step budget asked for, or None.
        block_length: tokens a block is asked to have.
        rule: how a block-causal model sees the canvas; None: it sees all of it.
        seed: of the row's noise.
        eos_token_ids: ids that end the answer when they are committed: `SamplingParams.stop_token_ids` and, but for
            `ignore_eos`, the model's own; empty in infilling and with `cut_at_eos="end"`.
        fixed: whether the canvas keeps its length whatever is proposed: in infilling and with `ignore_eos`.
        stored: `[L]` long, the id that each slot of the row's K/V was last computed from; -1 where none was.
        memo: what the row's cache remembered after the last forward.
        doubt: 1 minus the least probability among the tokens that the step before committed; 0 at first.
    """

    canvas: Tensor
    masked: Tensor
    given: Tensor
    prompt_length: int
    asked: int
    total: int
    start: int = 0
    end: int = 0
    front: int = 0
    block_masked: int = 0
    step: int = 0
    block_step: int = 0
    steps: int | None
    block_length: int
    rule: Blocks | None
    seed: int
    eos_token_ids: frozenset[int]
    fixed: bool = False
    stored: Tensor
    memo: Any = None
    doubt: float = 0.0

    @property
    def settled(self) -> int:
        """Canvas positions before the first mask: what can no longer change."""
        left = self.masked.nonzero()
        return int(left[0, 0]) if len(left) else len(self.canvas)

    def noise(self, positions: Tensor, stream: int, step: int | None = None) -> Tensor:
        """`[m]` float64 in (0, 1): a function of the seed, the row's own positions and the step (default: this one).

        `stream` keeps uses apart; the proposal's Gumbel noise is stream 0.
        """
        return uniform(self.seed, self.step if step is None else step, positions, 1, stream=stream).squeeze(-1)

    def until(self, end: int) -> Self:
        """The same with one live block, which ends at `end`."""
        return replace(self, end=end, front=end, block_masked=int(self.masked[self.start : end].sum()))

    def live_until(self, front: int, end: int) -> Self:
        """The same with blocks live up to `end`, the first of them up to `front`."""
        masked = self.block_masked + int(self.masked[self.end : end].sum()) - int(self.masked[end : self.end].sum())
        return replace(self, end=end, front=front, block_masked=masked)

    def before(self, length: int) -> Self:
        """The same on the canvas that is left when it ends at `length`."""
        return replace(
            self,
            canvas=self.canvas[:length],
            masked=self.masked[:length],
            given=self.given[:length],
            stored=self.stored[:length],
            end=min(self.end, length),
            front=min(self.front, length),
        )


def block_end(start: int, block_length: int, rule: Blocks | None, length: int) -> int:
    """One past the last position of a block that opens at `start` on a canvas of `length` tokens.

    On a block-causal model it lies inside one block of attention, which it splits from its beginning on; where the
    first token of such a block is settled alone, that is a block of its own.
    """
    if rule is None:
        return min(start + block_length, length)
    first = start // rule.length * rule.length
    if rule.lead and start == first > 0:
        return start + 1
    piece = min(block_length, rule.length)
    return min(first + ((start - first) // piece + 1) * piece, first + rule.length, length)


def seen_end(end: int, rule: Blocks | None, length: int) -> int:
    """One past the last position that those before `end` can see, and that makes sense to predict with them."""
    return length if rule is None else min(-(-end // rule.length) * rule.length, length)


def among(ids: Tensor, token_ids: frozenset[int]) -> Tensor:
    """Which of `ids`, of any shape, are in `token_ids`; bool."""
    return torch.isin(ids, torch.tensor(sorted(token_ids), dtype=torch.long))


def live(view: CanvasView, positions: Tensor, end: int) -> Tensor:
    """`[m]` bool: which of `positions` are masked and inside the live block if that ends at `end`."""
    return view.masked[positions] & (positions >= view.start) & (positions < end)


class Measures(dict[str, Tensor]):
    """Name -> `[m]` float64. One that was not asked for is an error that says how to ask."""

    def __missing__(self, name: str) -> Tensor:
        raise ConfigError(
            f"the measure {name!r} was not taken, only {', '.join(self)}; a scheduler asks for it with the class "
            f"attribute measures = frozenset({{{name!r}}})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView(CanvasView):
    """A row after its forward, with one proposal for each position asked about: the masks of the live block, and what
    the scheduler wants beside them.

    Attributes:
        positions: `[m]` long, ascending canvas positions.
        active: `[m]` bool: masked and inside the live block, i.e. may be committed now.
        token_ids: `[m]` long, the proposed token.
        measures: name -> `[m]` float64; always holds `confidence` (probability of the proposed token), and whatever
            else the scheduler names in `measures`: see `dllm.sampling.proposals.MEASURES`.
        logits: `[m, V]` float, the model's own (after CFG), on the model's device.
        scores: `[m, V]` float, what proposals were drawn from: behind the grammar's bans and transforms.
        shadows: `[s]` long, the committed positions that `Scheduler.shadows` asked about, as far as they were fed.
        upheld: `[s]` float64, the probability that the token there has as if it were masked.
        chosen: `[m]` bool, what `Scheduler.select` has chosen at this step; None before that.
    """

    positions: Tensor
    active: Tensor
    token_ids: Tensor
    measures: Measures
    logits: Tensor
    scores: Tensor
    shadows: Tensor
    upheld: Tensor
    chosen: Tensor | None = None

    @classmethod
    def of(cls, view: CanvasView, **found: Any) -> StepView:
        """The row as it was before the forward, with what the forward found: the attributes above."""
        return cls(**{one.name: getattr(view, one.name) for one in fields(view)}, **found)

    @property
    def confidence(self) -> Tensor:
        return self.measures["confidence"]

    def best(self, score: Tensor, k: int, among: Tensor | None = None) -> Tensor:
        """`[m]` bool: the k active positions of highest score; ties go to the lower position.

        Args:
            among: `[m]` bool, the positions to choose from, if not all active ones.
        """
        chosen = torch.zeros_like(self.active)
        candidates = (self.active if among is None else among).nonzero().squeeze(-1)
        order = torch.sort(score[candidates], descending=True, stable=True).indices
        chosen[candidates[order[:k]]] = True
        return chosen

    def among(self, token_ids: frozenset[int]) -> Tensor:
        """`[m]` bool: the positions whose proposal is one of `token_ids`."""
        return among(self.token_ids, token_ids)

    @property
    def due(self) -> Tensor:
        """`[m]` bool: the active positions that were asked for; where none is left, as an editor may want it, all."""
        asked = self.active & (self.positions < self.asked)
        return asked if asked.any() else self.active

    @property
    def replaceable(self) -> Tensor:
        """`[m]` bool: committed tokens of the live block that were not given and end nothing."""
        at = self.positions
        inside = (at >= self.start) & (at < self.end)
        return inside & ~((self.masked | self.given)[at] | among(self.canvas[at], self.eos_token_ids))

    # a class with slots is made anew by `dataclass`, and `super()` without arguments would look for the first one

    def until(self, end: int) -> Self:
        return replace(CanvasView.until(self, end), active=live(self, self.positions, end))

    def before(self, length: int) -> Self:
        kept = self.positions < length
        return replace(
            CanvasView.before(self, length),
            positions=self.positions[kept],
            active=self.active[kept],
            token_ids=self.token_ids[kept],
            measures=Measures({name: values[kept] for name, values in self.measures.items()}),
            logits=self.logits[kept.to(self.logits.device)],
            scores=self.scores[kept.to(self.scores.device)],
            shadows=self.shadows[self.shadows < length],
            upheld=self.upheld[self.shadows < length],
            chosen=None if self.chosen is None else self.chosen[kept],
        )
