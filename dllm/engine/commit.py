"""What a step does to a row: commits that may stand together, tokens replaced or masked again, an end dropped.

Each function changes the row and returns what it did; the loop calls them in this order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dllm.engine.constraint import Constraint
from dllm.engine.row import Row
from dllm.errors import ConfigError
from dllm.sampling.proposals import draw, probability
from dllm.views import Measures, StepView, among

TRIES = 8
"""Proposals tried at a position, in the order of the draw, before the constraint's own token is taken."""
PASSES = 1_000
"""Forwards on a block without a mask left, the most that `edit(passes=)` may ask for: no request goes on for ever."""


def admit(row: Row, view: StepView, chosen: Tensor) -> tuple[StepView, Tensor]:
    """Of the `chosen` commits (`[m]` bool), the most confident ones that can stand together; at least one.

    Where none of them can, the most confident position gets another token: the first of those drawn next that can
    stand, else the constraint's own. The view then holds that proposal.
    """
    if row.constraint is None or not chosen.any():
        return view, chosen
    began = time.perf_counter()
    chosen = chosen & (view.positions <= _first_end(view, chosen))
    order = torch.sort(view.confidence[chosen], descending=True, stable=True).indices
    candidates = chosen.nonzero().squeeze(-1)[order].tolist()
    row.constraint, taken = _admitted(row.constraint, view, candidates)
    if not taken:
        view = _another(row, row.constraint, view, candidates[0])
        taken = candidates[:1]
    row.spend(grammar_seconds=time.perf_counter() - began)
    stands = torch.zeros_like(chosen)
    stands[taken] = True
    return view, stands


def _first_end(view: StepView, chosen: Tensor) -> int:
    """The first of the chosen positions whose token would end the answer: what stands behind it would leave anyway."""
    ends = chosen & view.among(view.eos_token_ids)
    return int(view.positions[ends][0]) if ends.any() else len(view.canvas)


def _admitted(constraint: Constraint, view: StepView, candidates: Sequence[int]) -> tuple[Constraint, list[int]]:
    """The constraint after those that are committed, and those, by halves: mostly all can stand, and one check says so.

    Args:
        candidates: indices into the view, the most confident first.
    """
    after = constraint.commit({int(view.positions[i]): int(view.token_ids[i]) for i in candidates})
    if after is not None:
        return after, list(candidates)
    if len(candidates) == 1:
        return constraint, []
    half = len(candidates) // 2
    constraint, first = _admitted(constraint, view, candidates[:half])
    constraint, second = _admitted(constraint, view, candidates[half:])
    return constraint, first + second


def _another(row: Row, constraint: Constraint, view: StepView, index: int) -> StepView:
    """The view with a proposal at `index` that the constraint has committed."""
    spec, at = row.spec, view.positions[index : index + 1]
    position, token = int(at[0]), int(view.token_ids[index])
    scores = view.scores[index : index + 1]
    left, after = scores, None
    for _ in range(TRIES):
        left = left.masked_fill(~constraint.allowed(at).to(left.device), -torch.inf)  # it may know more by now
        left[:, token] = -torch.inf
        drawn = draw(left, spec.banned, spec.shape, seed=view.seed, step=view.step, positions=at)
        if drawn is None:
            break
        token = drawn
        after = constraint.commit({position: token})
        if after is not None:
            break
    if after is None:
        token = constraint.witness(position)
        after = constraint.commit({position: token})
        assert after is not None, "a witness can be committed"
        row.spend(witness_tokens=1)
    row.constraint = after
    confidence = probability(scores, torch.tensor([token], device=scores.device))
    token_ids, measures = view.token_ids.clone(), Measures(view.measures)
    token_ids[index] = token
    measures["confidence"] = view.confidence.clone()
    measures["confidence"][index] = confidence.cpu()[0]
    return replace(view, token_ids=token_ids, measures=measures)


def edit(row: Row, view: StepView) -> Tensor:
    """`[m]` bool: committed tokens that give way to the proposals; also settles whether the row lingers on its block.

    No EOS does: what stood behind it has left the canvas.

    Raises:
        ConfigError: the scheduler wants to look at a block more often than `PASSES` allows.
    """
    row.lingers = False
    if not row.spec.scheduler.supplies("edit") or row.constraint is not None:
        return torch.zeros_like(view.active)
    asked, row.lingers, row.state = row.spec.scheduler.edit(view, row.state)
    # each forward before the last mask fills one at least
    if row.lingers and view.block_step > view.end - view.start + PASSES:
        raise ConfigError(
            f"scheduler {row.spec.scheduler}: edit still wants to look at a block of {view.end - view.start} positions "
            f"after {view.block_step} forwards; it must return False some time"
        )
    return asked & view.replaceable


def revoke(row: Row, view: StepView, chosen: Tensor, committed: Tensor) -> Tensor:
    """Mask again what the scheduler takes back: tokens of the answer, no EOS, as many as leave a step its progress, and
    not all that this step has committed.

    On a block-causal model they lie in the live block: what is before it has been seen by tokens that cannot be
    predicted again.

    Args:
        chosen: `[m]` bool over the view, what was committed for a mask.
        committed: `[k]` long, all positions written at this step.

    Returns:
        `[r]` long, the positions; some of `committed` may be among them.
    """
    scheduler = row.spec.scheduler
    if not scheduler.supplies("remask"):
        return view.positions[:0]
    if len(row.canvas) < len(view.canvas):
        chosen, view = chosen[view.positions < len(row.canvas)], view.before(len(row.canvas))
    asked, row.state = scheduler.remask(view, chosen, row.state)
    first = 0 if view.rule is None else row.view.start
    asked = asked[(asked >= first) & (asked < row.view.end)]
    ended = among(row.canvas[asked], view.eos_token_ids)
    asked = asked[~(row.masked[asked] | row.view.given[asked] | ended)][: row.spare]
    fresh = torch.isin(asked, committed).nonzero().squeeze(-1)
    if len(fresh) == len(committed) > 0:
        asked = asked[torch.arange(len(asked)) != fresh[-1]]
    row.revoke(asked)
    row.state = scheduler.remasked(asked, row.state)
    return asked


def cut(row: Row, view: StepView, chosen: Tensor) -> None:
    """Drop the end of the canvas if the scheduler has seen that nothing will stand there; not where it is fixed."""
    if not view.fixed and row.spec.scheduler.supplies("cut"):
        length = row.spec.scheduler.cut(view, chosen, row.state)
        if length is not None and row.view.prompt_length < length < len(row.canvas):
            after = None if row.constraint is None else row.constraint.cut(length)
            if row.constraint is None or after is not None:
                row.constraint = after
                row.cut(length)
