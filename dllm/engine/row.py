"""One row being denoised: its canvas, its live block, its scheduler's state, its costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dllm.cache import Cache
from dllm.engine.commit import Constraint
from dllm.models.base import Blocks, RowKV
from dllm.outputs import FinishReason
from dllm.sampling.proposals import Shape
from dllm.schedulers import Scheduler
from dllm.schedulers.base import State
from dllm.trace import Trace
from dllm.views import CanvasView, block_end

if TYPE_CHECKING:
    from dllm.engine.forward import Question

StopCheck = Callable[[list[int]], int | None]
"""Given the settled answer ids, how many of them to keep if a stop string is complete, else None."""


@dataclass(slots=True, kw_only=True)
class Row:
    """Everything the loop knows of one row. Rows never refer to each other.

    Attributes:
        canvas: `[L]` long on the CPU; shrinks when an EOS is committed.
        masked: `[L]` bool; kept apart from the ids, so that a given mask id could never be taken for a hole.
        given: `[L]` bool, tokens that came with the request (what CFG hides), or that a scheduler planted.
        prompt_length: tokens in front of the answer; 0 in infilling.
        rule: see `CanvasView`.
        keep: the row is done when no mask is left before this position; None: on the canvas.
        banned: `[V]` bool on the model's device, ids never proposed.
        eos_token_ids: ids that cut the canvas; empty in infilling and with `ignore_eos`.
        stop_check: see StopCheck.
        constraint: what the canvas is held to, or None.
        constraint_seconds: spent on that.
        forced: commits that were the constraint's choice and not the model's.
        when_full: the finish reason of a row that runs out of masks without an EOS.
        total: masks at the start, before `keep`.
        start, end: the live block; empty before the first step.
        step: forwards made.
        lingers: the scheduler wants another look at the live block, though no mask is left in it.
        question: what the next forward is asked, kept while the row waits for it.
        lanes: K/V of the conditional row and, with CFG, of its unconditional copy; empty until a cache needs them.
        stored: `[L]` long, the id that each slot of the K/V was last computed from; -1 where none was.
        memo: what the cache remembers of the row.
        fed: positions fed, over all forwards.
    """

    canvas: Tensor
    masked: Tensor
    given: Tensor
    prompt_length: int
    mask_token_id: int
    scheduler: Scheduler
    cache: Cache
    shape: Shape
    banned: Tensor
    seed: int
    steps: int | None
    block_length: int
    rule: Blocks | None = None
    keep: int | None = None
    cfg_scale: float = 0.0
    eos_token_ids: frozenset[int] = frozenset()
    stop_check: StopCheck | None = None
    constraint: Constraint | None = None
    constraint_seconds: float = 0.0
    forced: int = 0
    when_full: FinishReason = "length"
    total: int = 0
    start: int = 0
    end: int = 0
    block_masked: int = 0
    step: int = 0
    block_step: int = 0
    lingers: bool = False
    state: State = None
    question: Question | None = None
    lanes: list[RowKV] = field(default_factory=list)
    stored: Tensor = field(init=False)
    memo: Any = None
    fed: int = 0
    trace: Trace = field(default_factory=Trace)
    refreshes: int = 0
    slots: int = 0
    seconds: float = 0.0
    finish_reason: FinishReason | None = None

    def __post_init__(self) -> None:
        self.total, self.stored = int(self.masked[: self.keep].sum()), torch.full_like(self.canvas, -1)
        planted = self.scheduler.plant(self.view())
        if planted is not None:
            positions, token_ids = planted
            self.canvas[positions] = token_ids
            self.masked[positions], self.given[positions] = False, True
            self.total = int(self.masked[: self.keep].sum())
        self.state = self.scheduler.init(self.view())

    def view(self) -> CanvasView:
        return CanvasView(
            canvas=self.canvas,
            masked=self.masked,
            given=self.given,
            prompt_length=self.prompt_length,
            total=self.total,
            start=self.start,
            end=self.end,
            block_masked=self.block_masked,
            step=self.step,
            block_step=self.block_step,
            steps=self.steps,
            block_length=self.block_length,
            rule=self.rule,
            seed=self.seed,
            eos_token_ids=self.eos_token_ids,
            stored=self.stored,
            memo=self.memo,
        )

    @property
    def settled(self) -> int:
        """Canvas positions before the first mask: what can no longer change."""
        left = self.masked.nonzero()
        return int(left[0, 0]) if len(left) else len(self.canvas)

    @property
    def full(self) -> bool:
        """Whether nothing is left to do. Where tokens are edited, what follows `keep` may change what precedes."""
        asked = self.masked if self.scheduler.supplies("edit") else self.masked[: self.keep]
        return not self.lingers and not bool(asked.any())

    def open_block(self) -> None:
        """Where the live block has no mask left, open the next: from the first mask on, to where `block_end` says.

        Its end is settled after its first forward, since a scheduler may choose it by what is predicted.
        """
        if self.lingers or self.masked[self.start : self.end].any():
            return
        self.start = self.settled
        self.end = block_end(self.start, self.block_length, self.rule, len(self.canvas))
        self.block_masked = int(self.masked[self.start : self.end].sum())
        self.block_step = 0

    def hidden(self) -> Tensor:
        """`[L]` long: the unconditional canvas, with everything that was given masked."""
        return torch.where(self.given, self.mask_token_id, self.canvas)

    def commit(self, positions: Tensor, token_ids: Tensor) -> int:
        """Write the tokens, and return how many masks that filled."""
        filled = int(self.masked[positions].sum())
        self.slots += filled
        self.canvas[positions] = token_ids
        self.masked[positions] = False
        return filled

    def revoke(self, positions: Tensor) -> None:
        self.canvas[positions] = self.mask_token_id
        self.masked[positions] = True
        self.slots -= len(positions)
        if self.constraint is not None:
            self.constraint = self.constraint.release(positions.tolist())

    def cut(self, length: int) -> None:
        """Positions from `length` on leave the canvas at once, stored K/V included."""
        self.canvas, self.masked, self.given = self.canvas[:length], self.masked[:length], self.given[:length]
        self.stored, self.end = self.stored[:length], min(self.end, length)
        for lane in self.lanes:
            lane.length = length
