"""The scheduler interface: which masked positions to commit at this step.

"Scheduler" never means request batching here; that is the batcher. A scheduler is a stateless object: whatever a row
must remember is created by `init`, handed to each hook and returned by it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dllm.spec import Registry, spec_of
from dllm.views import CanvasView, StepView

State = Any
"""Whatever a scheduler wants to remember of a row. Treat it as immutable: return a new one."""


class Scheduler:
    """Base class. Subclass it, override `select`, and `register` it to give it a name in specs.

    Class attributes:
        reads_steps: whether `SamplingParams.steps` means anything to it.
        measures: what it needs beside `confidence`: a subset of {"margin", "entropy"}.
        measures_shaped: measure after temperature, top_p and top_k instead of before.
    """

    reads_steps: bool = False
    measures: frozenset[str] = frozenset()
    measures_shaped: bool = False

    def init(self, view: CanvasView) -> State:
        """State of a new row, before its first forward (the view's block is still empty)."""
        return None

    def open_block(self, view: CanvasView, state: State) -> State:
        """Called when a block has been opened, before its first forward."""
        return state

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        """Choose what to commit.

        Returns:
            `[m]` bool over `view.positions` (only `view.active` ones count; if none is chosen, the engine commits the
            most confident one, so that every forward makes progress), and the row's new state.
        """
        raise TypeError(f"{type(self).__name__} must override select(view, state) -> (mask, state)")

    def __str__(self) -> str:
        return spec_of(self, schedulers.name_of(type(self)))


schedulers: Registry[Scheduler] = Registry("scheduler")
register = schedulers.register
