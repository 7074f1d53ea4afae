"""Between the loop and a constraint: what may be proposed, and which of the chosen commits stand."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from dllm.sampling.proposals import draw, probability

if TYPE_CHECKING:
    from dllm.engine.row import Row
    from dllm.views import StepView

TRIES = 8
"""Proposals tried at a position, in the order of the draw, before the constraint's own token is taken."""


class Constraint(Protocol):
    """What a canvas is held to. Stateless: what changes is returned. Positions are those of the row's canvas.

    A constraint always knows tokens for all masks that fulfil it (`witness`), so a row that keeps to it can be ended.
    """

    def allowed(self, positions: Tensor) -> Tensor:
        """`[m, V]` bool for `[m]` positions. What is left out can never be committed; the rest is tried out."""
        ...

    def commit(self, tokens: Mapping[int, int]) -> Constraint | None:
        """After these commits (position -> id), or None if they must not be made together."""
        ...

    def release(self, positions: Iterable[int]) -> Constraint:
        """After these positions were masked again."""
        ...

    def cut(self, length: int) -> Constraint | None:
        """After the canvas was cut to `length`, or None if it must not be."""
        ...

    def witness(self, position: int) -> int:
        """A token that can be committed at a masked position."""
        ...


def allow(row: Row, positions: Tensor, logits: Tensor) -> Tensor:
    """`[m, V]` logits with what the row's constraint rules out at `[m]` positions at -inf.

    Where the model itself rules out all that is left, all that is left is equally likely.
    """
    if row.constraint is None:
        return logits
    began = time.perf_counter()
    allowed = row.constraint.allowed(positions)
    row.constraint_seconds += time.perf_counter() - began
    allowed = allowed.to(logits.device)
    found = logits.masked_fill(~allowed, -torch.inf)
    nothing = found.amax(-1, keepdim=True) == -torch.inf
    return found.masked_fill(nothing & allowed, 0.0)


def admit(row: Row, view: StepView, chosen: Tensor) -> tuple[StepView, Tensor]:
    """Of the `chosen` commits (`[m]` bool), the most confident ones that can stand together; at least one.

    Where none of them can, the most confident position gets another token: the first of those drawn next that can
    stand, else the constraint's own. The view then holds that proposal.
    """
    if row.constraint is None or not chosen.any():
        return view, chosen
    began = time.perf_counter()
    chosen = chosen & (view.positions <= _first_end(row, view, chosen))
    order = torch.sort(view.confidence[chosen], descending=True, stable=True).indices
    candidates = chosen.nonzero().squeeze(-1)[order].tolist()
    taken = _admitted(row, view, candidates)
    if not taken:
        view = _another(row, view, candidates[0])
        taken = candidates[:1]
    row.constraint_seconds += time.perf_counter() - began
    stands = torch.zeros_like(chosen)
    stands[taken] = True
    return view, stands


def _first_end(row: Row, view: StepView, chosen: Tensor) -> int:
    """The first of the chosen positions whose token would end the answer: what stands behind it would leave anyway."""
    ends = chosen & view.among(row.eos_token_ids)
    return int(view.positions[ends][0]) if ends.any() else len(row.canvas)


def _admitted(row: Row, view: StepView, candidates: Sequence[int]) -> list[int]:
    """Those that are committed, by halves: mostly all can stand, and one check says so."""
    assert row.constraint is not None
    tokens = {int(view.positions[i]): int(view.token_ids[i]) for i in candidates}
    after = row.constraint.commit(tokens)
    if after is not None:
        row.constraint = after
        return list(candidates)
    if len(candidates) == 1:
        return []
    half = len(candidates) // 2
    return _admitted(row, view, candidates[:half]) + _admitted(row, view, candidates[half:])


def _another(row: Row, view: StepView, index: int) -> StepView:
    """The view with a proposal at `index` that the constraint has committed."""
    assert row.constraint is not None
    at = view.positions[index : index + 1]
    position, token = int(at[0]), int(view.token_ids[index])
    scores = view.scores[index : index + 1]
    left, after = scores, None
    for _ in range(TRIES):
        left = left.masked_fill(~row.constraint.allowed(at).to(left.device), -torch.inf)  # it may know more by now
        left[:, token] = -torch.inf
        drawn = draw(left, row.banned, row.shape, seed=row.seed, step=row.step, positions=at)
        if drawn is None:
            break
        token = drawn
        after = row.constraint.commit({position: token})
        if after is not None:
            break
    if after is None:
        token = row.constraint.witness(position)
        after = row.constraint.commit({position: token})
        assert after is not None, "a witness can be committed"
        row.forced += 1
    row.constraint = after
    confidence = probability(scores, torch.tensor([token], device=scores.device))
    token_ids, measures = view.token_ids.clone(), type(view.measures)(view.measures)
    token_ids[index] = token
    measures["confidence"] = view.confidence.clone()
    measures["confidence"][index] = confidence.cpu()[0]
    return replace(view, token_ids=token_ids, measures=measures)
