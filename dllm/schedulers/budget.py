"""Sharing out a step budget among blocks, which are known one at a time."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.errors import ConfigError
from dllm.views import CanvasView, block_end


@dataclass(frozen=True, slots=True)
class BlockBudget:
    """Steps of the live block.

    Attributes:
        own: `[L]` bool, the positions that the row was asked for when it began, whatever has left the canvas since.
        left: steps not yet given to a block.
        masks: masks in this block when it was opened, of those asked for.
        steps: steps this block may take, at least 1.
    """

    own: Tensor
    left: int
    masks: int = 0
    steps: int = 1


def check_budget(view: CanvasView, name: str) -> BlockBudget:
    """A row's whole budget: for what was asked for, though a block-causal model's last block may be longer.

    Raises:
        ConfigError: there are fewer steps than blocks; each block needs one.
    """
    blocks = _blocks(view, 0)
    if view.steps is not None and view.steps < blocks:
        raise ConfigError(
            f"steps={view.steps} is fewer than the {blocks} blocks of {view.total} tokens; {name} needs a step a "
            f"block: use steps >= {blocks} or a larger block_length"
        )
    own = view.masked.clone()
    if view.prompt_length:
        own[view.prompt_length :] = True  # what a scheduler has planted is part of the answer
    own[view.asked :] = False
    return BlockBudget(own, view.total if view.steps is None else view.steps)


def open_budget(view: CanvasView, budget: BlockBudget) -> BlockBudget:
    """The next block's share: steps in proportion to positions asked for, one kept back for every block after it.

    With equal blocks whose number divides `steps` it is steps / blocks, the published rule. What an end of the text has
    cut off, or what was planted, counts as it did in the beginning, as published: a shorter answer takes fewer steps.
    """
    own, end = budget.own, view.end
    if end == len(view.canvas) < len(own):  # an end of the text has cut the block
        end = block_end(view.start, view.block_length, view.rule, len(own))
    if not own[view.start :].any():  # an editor goes on behind the answer
        own = view.masked
    share = budget.left * int(own[view.start : end].sum()) // int(own[view.start :].sum())
    share = max(1, min(share, budget.left - _blocks(view, view.end)))
    asked = view.masked[: view.asked]
    if not asked.any():
        asked = view.masked
    return BlockBudget(budget.own, budget.left - share, int(asked[view.start : view.end].sum()), share)


def _blocks(view: CanvasView, start: int) -> int:
    """How many blocks the masks from `start` on need. Each opens at the first mask left: fixed text may part them."""
    count, end = 0, start
    for position in view.masked[: view.asked].nonzero().squeeze(-1).tolist():
        if position >= end:
            count, end = count + 1, block_end(position, view.block_length, view.rule, len(view.masked))
    return count
