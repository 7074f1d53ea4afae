"""The scheduler interface: which masked positions to commit at this step.

"Scheduler" never means request batching here; that is the batcher. A scheduler is a stateless object: whatever a row
must remember is created by `init`, handed to each hook and returned by it.

A method overrides the hooks it needs and no others. In the order in which a step calls them:

    plant      tokens of its own on the canvas                                           (before the first forward)
    wants      positions to have predicted beside the block's masks                      (before the forward)
    shadows    committed positions to predict once more as if masked                     (before the forward)
    transform  changes the logits that proposals and confidences come from               (credit)
    block_end  where the block that has just been opened ends                            (block policies)
    finishes   whether to commit every mask at once and be done                          (stop rules)
    select     which positions to commit                                                 (selectors)
    remask     which committed positions to mask again                                   (revokers)
    cut        where the canvas may end                                                  (stop rules)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dllm.registry import Registry, spec_of
from dllm.views import CanvasView, Setting, StepView

State = Any
"""Whatever a scheduler wants to remember of a row. Treat it as immutable: return a new one."""


class Scheduler:
    """Base class. Subclass it, override the hooks, and `register` it to give it a name in specs.

    Class attributes:
        reads_steps: whether `SamplingParams.steps` means anything to it.
        measures: what it needs beside `confidence`: names of `dllm.sampling.proposals.MEASURES`.
        measures_shaped: measure after temperature, top_p and top_k instead of before.
    """

    reads_steps: bool = False
    measures: frozenset[str] = frozenset()
    measures_shaped: bool = False

    def bind(self, setting: Setting) -> Scheduler:
        """This scheduler made ready for one model and tokenizer; called once for each pair, before any row."""
        return self

    def init(self, view: CanvasView) -> State:
        """State of a new row, before its first forward (the view's block is still empty)."""
        return None

    def plant(self, view: CanvasView) -> tuple[Tensor, Tensor] | None:
        """Tokens to put on a new row's canvas, as if they had been given with the request, or None.

        Returns:
            `[k]` long, masked canvas positions, and `[k]` long, the ids that go there.
        """
        return None

    def wants(self, view: CanvasView, state: State) -> Tensor | None:
        """`[k]` long: canvas positions to predict beside the masks of the live block, or None.

        A cache may feed less than the canvas; positions it does not feed are left out of the step's view.
        """
        return None

    def shadows(self, view: CanvasView, state: State) -> Tensor | None:
        """`[k]` long: committed positions to predict as if each were masked (`StepView.upheld`), or None.

        Needs a model with the capability "shadows".
        """
        return None

    def transform(self, view: CanvasView, positions: Tensor, logits: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits to propose from, and the new state.

        Args:
            positions: `[m]` long on the CPU, the canvas positions asked about.
            logits: `[m, V]` float on the model's device. Do not write to them: `StepView.logits` stays raw.
        """
        return logits, state

    def block_end(self, view: StepView, state: State) -> int:
        """One past the last position of the block that has just been opened; `view.end` is its default.

        Called once a block, after its first forward, whose predictions it may read.
        """
        return view.end

    def open_block(self, view: CanvasView, state: State) -> State:
        """Called once a block, after `block_end`, before the first `select` in it."""
        return state

    def finishes(self, view: StepView, state: State) -> tuple[bool, State]:
        """Whether to commit all masks now, with this step's proposals. Asked only when all of them are in view."""
        return False, state

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        """Choose what to commit.

        Returns:
            `[m]` bool over `view.positions` (only `view.active` ones count; if none is chosen, the engine commits the
            most confident one, so that every forward makes progress), and the row's new state.
        """
        raise TypeError(f"{type(self).__name__} must override select(view, state) -> (mask, state)")

    def edit(self, view: StepView, state: State) -> tuple[Tensor, bool, State]:
        """Choose committed tokens that give way to this step's proposals. Not asked of rows that a grammar holds.

        Returns:
            `[m]` bool over `view.positions` (only committed tokens of the live block count, and no EOS), and whether
            the block is looked at once more if no mask is left in it.
        """
        return torch.zeros_like(view.active), False, state

    def remask(self, view: StepView, chosen: Tensor, state: State) -> tuple[Tensor, State]:
        """Choose what to mask again, after `chosen` (`[m]` bool) has been committed.

        Returns:
            `[r]` long, committed answer positions of the live block, the first ones first. The engine keeps at most one
            fewer than it committed, so that every step makes progress; and the new state.
        """
        return view.positions[:0], state

    def remasked(self, positions: Tensor, state: State) -> State:
        """Told of the positions that were masked again, whoever asked for it."""
        return state

    def cut(self, view: StepView, chosen: Tensor, state: State) -> int | None:
        """A length for the canvas, positions from which on leave it, or None. A committed EOS cuts without this."""
        return None

    def supplies(self, hook: str) -> bool:
        """Whether this scheduler has a `hook` of its own."""
        return getattr(type(self), hook) is not getattr(Scheduler, hook)

    def __str__(self) -> str:
        return spec_of(self, schedulers.name_of(type(self)))


schedulers: Registry[Scheduler] = Registry("scheduler")
register = schedulers.register
