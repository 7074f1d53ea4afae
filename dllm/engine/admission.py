"""Which of a step's commits a row's constraint lets in.

What is decided here knows positions, token ids and the constraint only, so that it can be tried without a model
(`admitted`, `another`); `admit` is that for a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dllm.engine.constraint import Constraint
from dllm.engine.foresight import look_ahead
from dllm.engine.row import Row
from dllm.sampling.proposals import draw, probability
from dllm.views import Measures, StepView

TRIES = 8
"""Proposals tried at a position, in the order of the draw, before the constraint's own token is taken."""


def admit(row: Row, view: StepView, chosen: Tensor) -> tuple[StepView, Tensor]:
    """Of the `chosen` commits (`[m]` bool), the most confident ones that can stand together; at least one.

    Those that do not go with the view's other proposals are left for later. Where none can stand, the most confident
    position gets another token: the first of those drawn next that can, else the constraint's own. The view then holds
    that proposal.
    """
    if row.constraint is None or not chosen.any():
        return view, chosen
    began = time.perf_counter()
    chosen = chosen & (view.positions <= _first_end(view, chosen))
    order = torch.sort(view.confidence[chosen], descending=True, stable=True).indices
    candidates = chosen.nonzero().squeeze(-1)[order].tolist()
    live = view.active & (view.positions < _first_end(view, view.active))
    proposals = list(zip(view.positions[live].tolist(), view.token_ids[live].tolist(), strict=True))
    constraint, doubtful, row.blind = look_ahead(row.constraint, proposals, row.blind)
    candidates = [i for i in candidates if int(view.positions[i]) not in doubtful] or candidates[:1]
    commits = [(int(view.positions[i]), int(view.token_ids[i])) for i in candidates]
    row.constraint, taken = admitted(constraint, commits)
    if not taken:
        view = _redrawn(row, row.constraint, view, candidates[0])
        taken = [0]
    row.spend(grammar_seconds=time.perf_counter() - began)
    stands = torch.zeros_like(chosen)
    stands[[candidates[i] for i in taken]] = True
    return view, stands


def _first_end(view: StepView, asked: Tensor) -> int:
    """The first of these positions (`[m]` bool) whose token would end the answer: what is behind it would leave anyway.

    The length of the canvas where there is none.
    """
    ends = asked & view.among(view.eos_token_ids)
    return int(view.positions[ends][0]) if ends.any() else len(view.canvas)


def admitted(constraint: Constraint, commits: Sequence[tuple[int, int]]) -> tuple[Constraint, list[int]]:
    """The constraint after those commits that are made, and their indices, by halves: mostly all can stand, and one
    check says so. What was refused is not tried again behind a part of it.

    Args:
        commits: (position, id), the most confident first.
    """
    taken: list[int] = []
    refused: list[set[int]] = []
    waiting = [range(len(commits))]
    while waiting:
        group = waiting.pop()
        together = {*taken, *group}
        after = None
        if together not in refused:
            after = constraint.commit({commits[i][0]: commits[i][1] for i in group})
        if after is not None:
            constraint = after
            taken += group
            continue
        refused.append(together)
        half = len(group) // 2
        waiting += [part for part in (group[half:], group[:half]) if half]
    return constraint, taken


def another(
    constraint: Constraint, position: int, drawn: Callable[[Tensor], int | None]
) -> tuple[Constraint, int, bool]:
    """The constraint after another token at a position; the token, and whether it is the constraint's own.

    Args:
        drawn: of what is allowed (`[1, V]` bool), the token to be tried next, each once; None: no more.
    """
    for _ in range(TRIES):
        token = drawn(constraint.allowed(torch.tensor([position])))  # it may know more by now
        if token is None:
            break
        after = constraint.commit({position: token}, quick=True)
        if after is not None:
            return after, token, False
    token = constraint.witness(position)
    after = constraint.commit({position: token})
    assert after is not None, "a witness can be committed"
    return after, token, True


def _redrawn(row: Row, constraint: Constraint, view: StepView, index: int) -> StepView:
    """The view with a proposal at `index` that the constraint has committed."""
    spec, at = row.spec, view.positions[index : index + 1]
    scores = view.scores[index : index + 1]
    tried = [int(view.token_ids[index])]

    def drawn(allowed: Tensor) -> int | None:
        left = scores.masked_fill(~allowed.to(scores.device), -torch.inf)
        left[:, tried] = -torch.inf
        found = draw(left, spec.banned, spec.shape, seed=view.seed, step=view.step, positions=at)
        tried.extend([] if found is None else [found])
        return found

    row.constraint, token, own = another(constraint, int(at[0]), drawn)
    if own:
        row.spend(witness_tokens=1)
    confidence = probability(scores, torch.tensor([token], device=scores.device))
    token_ids, measures = view.token_ids.clone(), Measures(view.measures)
    token_ids[index] = token
    measures["confidence"] = view.confidence.clone()
    measures["confidence"][index] = confidence.cpu()[0]
    return replace(view, token_ids=token_ids, measures=measures)
