"""Sharing out a step budget among blocks that are not known beforehand."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.errors import ConfigError
from dllm.views import CanvasView


@dataclass(frozen=True, slots=True)
class BlockBudget:
    """Steps of the live block.

    Attributes:
        done: masks that belonged to earlier blocks and this one.
        masks: masks in this block when it was opened.
        steps: steps this block may take, at least 1.
    """

    done: int = 0
    masks: int = 0
    steps: int = 1


def check_budget(view: CanvasView, name: str) -> BlockBudget:
    """A row's empty budget. Raises ConfigError if there are fewer steps than blocks: each block needs one."""
    blocks = -(-view.total // view.block_length)
    if view.steps is not None and view.steps < blocks:
        raise ConfigError(
            f"steps={view.steps} is fewer than the {blocks} blocks of {view.total} tokens; {name} needs a step a "
            f"block: use steps >= {blocks} or a block_length of at least {-(-view.total // view.steps)}"
        )
    return BlockBudget()


def open_budget(view: CanvasView, budget: BlockBudget) -> BlockBudget:
    """The next block's share: steps in proportion to masks, by cumulative rounding so that the shares add up.

    With equal blocks whose number divides `steps` it is steps / blocks, the published rule.
    """
    done, masks = budget.done, view.block_masked
    steps = view.total if view.steps is None else view.steps
    share = steps * (done + masks) // view.total - steps * done // view.total
    return BlockBudget(done + masks, masks, max(1, share))
