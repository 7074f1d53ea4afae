"""One row: how it is denoised (`RowSpec`), where it stands (`CanvasView`), and what is kept of it between rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dllm.cache import Cache, Feed
from dllm.engine.constraint import Constraint
from dllm.errors import ConfigError
from dllm.models.base import RowKV
from dllm.outputs import FinishReason, Stats
from dllm.sampling.proposals import Shape
from dllm.schedulers import Scheduler
from dllm.schedulers.base import State
from dllm.trace import Trace
from dllm.views import CanvasView, block_end, seen_end

StopCheck = Callable[[list[int]], int | None]
"""Given the settled answer ids, how many of them to keep if a stop string is complete, else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSpec:
    """How a row is denoised. Nothing of this changes.

    Attributes:
        banned: `[V]` bool on the model's device, ids never proposed.
        bias: `[k]` long ids and `[k]` float, what is added to their logits, both on the model's device; or None.
        late: `[e]` long on the model's device, ids that are not proposed at positions before `first_late`: ends of a
            text that may not end yet.
        stop_check: see StopCheck.
        when_full: the finish reason of a row that runs out of masks without an EOS.
        logprobs: how many alternatives to record beside each committed token, or None.
    """

    scheduler: Scheduler
    cache: Cache
    shape: Shape
    banned: Tensor
    mask_token_id: int
    cfg_scale: float = 0.0
    bias: tuple[Tensor, Tensor] | None = None
    late: Tensor
    first_late: int = 0
    stop_check: StopCheck | None = None
    when_full: FinishReason = "length"
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a row asks of a round's forward.

    Attributes:
        view: the row before the forward.
        feed: what is fed.
        wanted: `[m]` long, ascending canvas positions to predict.
        shadows: `[s]` long, committed positions to predict once more as if each were masked.
        company: `[c]` long, positions where more shadows stand, which are not predicted, or None: see `RowInput`.
    """

    view: CanvasView
    feed: Feed
    wanted: Tensor
    shadows: Tensor
    company: Tensor | None = None


@dataclass(slots=True)
class Row:
    """Everything the loop knows of one row. Rows never refer to each other.

    Attributes:
        view: where the row stands: replaced at every change, but for the tensors, which are the row's own and are
            written in place. `view.masked` is kept apart from the ids, so that a given mask id could never be taken for
            a hole; `view.given` also marks what a scheduler planted, and is what CFG hides.
        constraint: what the canvas is held to, or None.
        state: the scheduler's.
        blind: steps that go by before proposals are held against the constraint together once more.
        lingers: the scheduler wants another look at the live block, though no mask is left in it.
        question: what the next forward is asked, kept while the row waits for it.
        lanes: K/V of the conditional row and, with CFG, of its unconditional copy; empty until a cache needs them.
        stats: what the row has cost up to now.
    """

    spec: RowSpec
    view: CanvasView
    constraint: Constraint | None = None
    blind: int = 0
    state: State = None
    lingers: bool = False
    question: Question | None = None
    lanes: list[RowKV] = field(default_factory=list)
    trace: Trace = field(default_factory=Trace)
    stats: Stats = field(default_factory=Stats)
    finish_reason: FinishReason | None = None

    def __post_init__(self) -> None:
        """Let the scheduler plant its tokens, and begin its state."""
        scheduler, view = self.spec.scheduler, self.view
        planted = scheduler.plant(view)
        if planted is not None:
            positions, token_ids = planted
            if not bool((token_ids >= 0).all()) or not bool((token_ids < len(self.spec.banned)).all()):
                raise ConfigError(f"scheduler {scheduler}: plant gave ids outside of 0...{len(self.spec.banned) - 1}")
            view.canvas[positions] = token_ids
            view.masked[positions], view.given[positions] = False, True
            self.view = replace(view, total=int(view.masked[: view.asked].sum()))
        self.state = scheduler.init(self.view)
        self.stats = Stats(cache=str(self.spec.cache))

    @property
    def canvas(self) -> Tensor:
        """`[L]` long on the CPU; shrinks when an EOS is committed."""
        return self.view.canvas

    @property
    def masked(self) -> Tensor:
        """`[L]` bool."""
        return self.view.masked

    @property
    def full(self) -> bool:
        """Whether nothing is left to do. Where tokens are edited, what follows `asked` may change what precedes."""
        asked = self.masked if self.spec.scheduler.supplies("edit") else self.masked[: self.view.asked]
        return not self.lingers and not bool(asked.any())

    @property
    def firm(self) -> int:
        """Canvas positions before the first that may still change: a mask, or what a scheduler may take back."""
        scheduler, view = self.spec.scheduler, self.view
        remasks = scheduler.supplies("remask")
        if remasks and view.rule is None:  # anywhere, up to the live block
            return view.prompt_length
        return min(view.start, view.settled) if remasks or scheduler.supplies("edit") else view.settled

    def spend(self, **costs: float) -> None:
        """Add to `stats`: fields of `Stats`, by name."""
        self.stats = replace(self.stats, **{name: getattr(self.stats, name) + cost for name, cost in costs.items()})

    def open_block(self) -> None:
        """Where the live block has no mask left, open the next: from the first mask on, to where `block_end` says.

        Its end is settled after its first forward, since a scheduler may choose it by what is predicted. One that has
        several blocks live says before each forward which.
        """
        view, scheduler, length = self.view, self.spec.scheduler, len(self.canvas)
        if not self.lingers and not view.masked[view.start : view.front].any():
            start = view.settled
            end = block_end(start, view.block_length, view.rule, length)
            view = self.view = replace(view, start=start, block_step=0).until(end)
        if scheduler.supplies("live") and not self.lingers:
            front, end = scheduler.live(view, self.state)
            if not (isinstance(front, int) and isinstance(end, int) and view.settled < front <= end <= length):
                raise ConfigError(
                    f"scheduler {scheduler}: live must return two positions of {view.settled + 1}...{length}, the "
                    f"end of the first live block and that of the last, not {front!r:.40} and {end!r:.40}"
                )
            # on a block-causal model what is behind the block of attention is not predicted
            last = seen_end(view.start + 1, view.rule, length)
            self.view = view.live_until(min(front, last), min(end, last))

    def hidden(self) -> Tensor:
        """`[L]` long: the unconditional canvas, with everything that was given masked."""
        return torch.where(self.view.given, self.spec.mask_token_id, self.canvas)

    def commit(self, positions: Tensor, token_ids: Tensor, confidences: Tensor) -> int:
        """Write the tokens, and return how many masks that filled."""
        self.view = replace(self.view, doubt=1.0 - float(confidences.min()) if len(positions) else 0.0)
        filled = int(self.masked[positions].sum())
        self.spend(slots=filled)
        self.canvas[positions] = token_ids
        self.masked[positions] = False
        return filled

    @property
    def spare(self) -> int:
        """How many tokens of the live block may be masked again, once a step has committed: after t forwards in a block
        t of its masks stay filled, less the extra ones that the scheduler has announced, so that a row comes to its end
        whatever the scheduler says."""
        view = self.view
        filled = view.block_masked - int(view.masked[view.start : view.end].sum())
        return max(0, filled - view.block_step - 1 + self.spec.scheduler.extra_forwards)

    def revoke(self, positions: Tensor) -> None:
        """Mask again; the live block reaches back to what lies before it."""
        if len(positions):
            self.view = replace(self.view, start=min(self.view.start, int(positions.min())))
        self.canvas[positions] = self.spec.mask_token_id
        self.masked[positions] = True
        self.spend(slots=-len(positions))
        if self.constraint is not None:
            self.constraint = self.constraint.release(positions.tolist())

    def cut(self, length: int) -> None:
        """Positions from `length` on leave the canvas at once, stored K/V included."""
        self.view = self.view.before(length)
        for lane in self.lanes:
            lane.length = length

    def next_step(self, seconds: float) -> None:
        """Count a round that the row took part in, of so many seconds."""
        self.spend(forwards=1, seconds=seconds)
        self.view = replace(self.view, step=self.view.step + 1, block_step=self.view.block_step + 1)
