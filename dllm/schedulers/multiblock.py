"""Several blocks at once, as d3LLM decodes (arXiv 2601.07568)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dllm.arguments import in_range
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import CanvasView, StepView, block_end, seen_end


@register("multiblock")
@dataclass(frozen=True)
class MultiBlock(Scheduler):
    """A block is live as soon as the share `add` of the one before it is committed. In all live blocks commit what has
    an entropy of at most `entropy`, and the position of least entropy; in the first live block, at least its own least.

    The published code also has "fully active" blocks, behind one of which 95 % are committed; only the first of them is
    forced to commit, and that is always the first live block, so they are left out. Its own cache, which stores a block
    some steps after it is full, is not part of this: the caches here refresh when a block becomes the first. On
    block-causal models blocks are live within one block of attention.

    Args:
        entropy: nats; 0.5 for LLaDA and 0.4 for Dream in the published scripts.
        add: share of a block; at 1, one block after the other.
    """

    entropy: float = 0.5
    add: float = 0.1
    measures = frozenset({"entropy"})

    def __post_init__(self) -> None:
        in_range("multiblock: entropy", self.entropy, 0.0)
        in_range("multiblock: add", self.add, 0.0, 1.0)

    def live(self, view: CanvasView, state: State) -> tuple[int, int]:
        first = view.settled
        front = end = _end(view, first)
        while end < seen_end(first + 1, view.rule, len(view.canvas)) and _committed(view, end) >= self.add:
            end = _end(view, end)
        return front, end

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        entropy = view.measures["entropy"]
        chosen = view.active & (entropy <= self.entropy) | view.best(-entropy, 1)
        first = view.active & (view.positions < view.front)
        if not bool((chosen & first).any()):
            chosen |= view.best(-entropy, 1, first)
        return chosen, state


def _end(view: CanvasView, position: int) -> int:
    """One past the block that holds `position`: blocks are cut every `block_length` tokens, wherever masks are."""
    if view.rule is not None:
        return block_end(position, view.block_length, view.rule, len(view.canvas))
    behind = position - view.prompt_length
    return min(position + view.block_length - behind % view.block_length, len(view.canvas))


def _committed(view: CanvasView, end: int) -> float:
    """The share of tokens among the positions of the block that ends at `end`; given ones do not count."""
    base = view.prompt_length if view.rule is None else (end - 1) // view.rule.length * view.rule.length
    length = view.block_length if view.rule is None else min(view.block_length, view.rule.length)
    begin = end - 1 - (end - 1 - base) % length
    own = ~view.given[begin:end]
    return 1 - float(view.masked[begin:end][own].double().mean()) if bool(own.any()) else 1.0
