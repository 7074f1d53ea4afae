"""SlowFast sampling (arXiv 2506.10848): explore how far the model is sure, then fill that stretch fast."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, StepView


@dataclass(frozen=True, slots=True)
class Cycle:
    """Where a row stands in a block.

    Attributes:
        begin: what the cycles before this one have filled ends here.
        ends: the last estimates of where this cycle ends, canvas positions.
        end: where it does, once that is settled.
        slow: steps of exploration made.
        fast: steps made after them.
    """

    begin: int
    ends: tuple[int, ...] = ()
    end: int | None = None
    slow: int = 0
    fast: int = 0


@register("slowfast")
@dataclass(frozen=True)
class SlowFast(Scheduler):
    """Cycles of two phases, until the block is full. Exploration, `explore` steps: commit in all of the block, and
    estimate at each step where the cycle ends: behind the farthest mask of confidence >= `reach`, until `window`
    estimates deviate by less than `spread`, which settles it; else it is their mean. Then commit in front of that end
    only, until no mask is left there.

    Both phases commit what has confidence >= tau if that is two or more, else the most confident position. From the
    second step of a fast phase on, what stands behind the cycle's end is not fed to the model, which saves its compute
    and hides it; on block-causal models it is fed and seen. The published runs have one block of the answer's length.

    Args:
        tau: probability.
        explore: steps of a cycle's first phase.
        reach: probability; 0.3 in the published code.
        window: how many estimates are compared.
        spread: standard deviation, in tokens.
    """

    tau: float = 0.9
    explore: int = 6
    reach: float = 0.3
    window: int = 2
    spread: float = 1.0

    def __post_init__(self) -> None:
        in_range("slowfast: tau", self.tau, 0.0, 1.0)
        whole("slowfast: explore", self.explore, 1)
        in_range("slowfast: reach", self.reach, 0.0, 1.0)
        whole("slowfast: window", self.window, 1)
        in_range("slowfast: spread", self.spread, 0.0)

    def open_block(self, view: CanvasView, state: Cycle | None) -> Cycle:
        return Cycle(view.start)

    def horizon(self, view: CanvasView, state: Cycle | None) -> int | None:
        if state is None or view.block_step == 0:
            return None
        cycle = self._current(view, state)
        return self._end(cycle) if cycle.fast else None

    def select(self, view: StepView, state: Cycle) -> tuple[Tensor, Cycle]:
        cycle = self._current(view, state)
        if cycle.slow < self.explore:
            among = view.active
            cycle = replace(self._estimated(view, cycle), slow=cycle.slow + 1)
        else:
            among = view.active & (view.positions < self._end(cycle))
            cycle = replace(cycle, fast=cycle.fast + 1)
        sure = among & (view.confidence >= self.tau)
        return sure if int(sure.sum()) > 1 else view.best(view.confidence, 1, among), cycle

    def _current(self, view: CanvasView, cycle: Cycle) -> Cycle:
        """The next cycle where this one has filled its stretch; tokens may have been masked again in front of it."""
        if cycle.slow < self.explore:
            return cycle
        end = self._end(cycle)
        return cycle if view.masked[view.start : end].any() else Cycle(end)

    def _end(self, cycle: Cycle) -> int:
        return int(statistics.fmean(cycle.ends)) if cycle.end is None else cycle.end

    def _estimated(self, view: StepView, cycle: Cycle) -> Cycle:
        """With one more estimate, unless the end is settled."""
        if cycle.end is not None:
            return cycle
        far = view.positions[view.active & (view.positions >= cycle.begin) & (view.confidence >= self.reach)]
        here = int(far[-1]) + 1 if len(far) else min(cycle.begin + 1, view.end)
        ends = (*cycle.ends, here)[-self.window :]
        settled = len(ends) == self.window and statistics.pstdev(ends) < self.spread
        return replace(cycle, ends=ends, end=here if settled else None)
