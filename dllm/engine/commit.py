"""What a step does to a row behind its commits: tokens replaced or masked again, an end dropped.

Each function changes the row and returns what it did; the loop calls them in this order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dllm.engine.row import Row
from dllm.errors import ConfigError
from dllm.views import StepView, among

PASSES = 1_000
"""Forwards on a block without a mask left, the most that `edit(passes=)` may ask for: no request goes on for ever."""


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
    not all that this step has committed, unless the scheduler has extra forwards and takes back older ones with them.

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
    if len(fresh) == len(committed) > 0 and (len(asked) == len(fresh) or not scheduler.extra_forwards):
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
