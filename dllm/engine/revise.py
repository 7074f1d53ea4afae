"""What a step does to a row beside committing: tokens replaced, tokens masked again, the canvas's end dropped."""

from __future__ import annotations

import torch
from torch import Tensor

from dllm.engine.row import Row
from dllm.views import StepView, among


def edited(row: Row, view: StepView) -> Tensor:
    """`[m]` bool: committed tokens that give way to the proposals; also settles whether the row lingers on its block.

    No EOS does: what stood behind it has left the canvas.
    """
    row.lingers = False
    if not row.scheduler.supplies("edit") or row.constraint is not None:
        return torch.zeros_like(view.active)
    asked, row.lingers, row.state = row.scheduler.edit(view, row.state)
    return asked & view.replaceable


def revoke(row: Row, view: StepView, chosen: Tensor, committed: Tensor, filled: int) -> Tensor:
    """Mask again what the scheduler takes back: older tokens of the live block, no EOS, fewer than `filled` masks."""
    if not row.scheduler.supplies("remask"):
        return view.positions[:0]
    if len(row.canvas) < len(view.canvas):
        chosen, view = chosen[view.positions < len(row.canvas)], view.before(len(row.canvas))
    asked, row.state = row.scheduler.remask(view, chosen, row.state)
    asked = asked[(asked >= row.start) & (asked < row.end)]
    ended = among(row.canvas[asked], row.eos_token_ids)
    fixed = row.masked[asked] | row.given[asked] | ended | torch.isin(asked, committed)
    asked = asked[~fixed][: max(0, filled - 1)]
    row.revoke(asked)
    row.state = row.scheduler.remasked(asked, row.state)
    return asked


def cut(row: Row, view: StepView, chosen: Tensor) -> None:
    """Drop the end of the canvas if the scheduler has seen that nothing will stand there."""
    if row.scheduler.supplies("cut"):
        length = row.scheduler.cut(view, chosen, row.state)
        if length is not None and row.settled < length < len(row.canvas):
            after = None if row.constraint is None else row.constraint.cut(length)
            if row.constraint is None or after is not None:
                row.constraint = after
                row.cut(length)
