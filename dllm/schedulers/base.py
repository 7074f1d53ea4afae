"""The scheduler interface: which masked positions to commit at this step.

"Scheduler" never means request batching here; that is the batcher. A scheduler is a stateless object: whatever a row
must remember is created by `init`, handed to each hook and returned by it.

A method overrides the hooks it needs and no others. `HOOKS` lists them all, in the order in which they are called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from dllm.registry import Registry, spec_of
from dllm.views import CanvasView, Setting, StepView

State = Any
"""Whatever a scheduler wants to remember of a row. Treat it as immutable: return a new one."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A method of `Scheduler` that a subclass may override.

    Attributes:
        when: at which point of a row's life, or of a step, it is called.
        does: what it does, as in "this scheduler ...".
        gives: what it returns, in a word each; a last "state" is the row's new state.
        joined: what `a+b` makes of it. "each": every part's own, which the others do not see; "one": only one part may
            have it; "union": of the positions; "chain": each part gets what the one before returned; "any": what any of
            them says; "least": the least that is not None.
        copy: a scheduler that has it, by its file in `dllm/schedulers/`.
    """

    name: str
    when: str
    does: str
    gives: tuple[str, ...]
    joined: Literal["each", "one", "union", "chain", "any", "least"]
    copy: str


# fmt: off
HOOKS = (  # a table is read across
    Hook("bind", "before any row", "makes itself ready for a model and tokenizer", ("scheduler",), "each", "adablock"),
    Hook("plant", "row begins", "puts tokens of its own on the canvas", ("positions", "ids"), "one", "prophet"),
    Hook("init", "row begins", "begins what it remembers of the row", ("state",), "each", "saber"),
    Hook("live", "before forward", "has several blocks live", ("position", "position"), "one", "multiblock"),
    Hook("wants", "before forward", "has more predicted than the block's masks", ("positions",), "union", "prophet"),
    Hook("shadows", "before forward", "has committed tokens predicted as if masked", ("positions",), "union", "wino"),
    Hook("company", "before forward", "lets shadows see one another and more masks", ("positions",), "union", "wino"),
    Hook("horizon", "before forward", "hides the end of the canvas", ("length",), "least", "slowfast"),
    Hook("transform", "after forward", "changes the logits to propose from", ("logits", "state"), "chain", "credit"),
    Hook("block_end", "block begins", "chooses where blocks end", ("position",), "one", "adablock"),
    Hook("open_block", "block begins", "begins a block", ("state",), "each", "dus"),
    Hook("limit", "choosing", "holds the choice to some of the masks", ("mask",), "one", "block_first"),
    Hook("select", "choosing", "chooses which positions to commit", ("mask", "state"), "any", "threshold"),
    Hook("finishes", "choosing", "commits every mask at once and is done", ("bool", "state"), "any", "prophet"),
    Hook("edit", "before commit", "replaces tokens", ("mask", "bool", "state"), "one", "edit"),
    Hook("remask", "after commit", "masks tokens again", ("positions", "state"), "one", "saber"),
    Hook("remasked", "after commit", "is told what was masked again", ("state",), "each", "credit"),
    Hook("cut", "step ends", "ends the canvas", ("length",), "least", "eotp"),
)
# fmt: on
"""Every hook, in the order in which a row meets them."""


class Scheduler:
    """Base class. Subclass it, override the hooks, and `register` it to give it a name in specs.

    Attributes:
        reads_steps: whether `SamplingParams.steps` means anything to it.
        measures: what it needs beside `confidence`: names of `dllm.sampling.proposals.MEASURES`.
        measures_shaped: measure after temperature, top_p and top_k instead of before.
        extra_forwards: how many more forwards than it has masks a block may take, where tokens are masked again.
        files: names of the arguments that, as they stand, lead to a file; a server refuses those.
    """

    reads_steps: bool = False
    extra_forwards: int = 0
    measures: frozenset[str] = frozenset()
    measures_shaped: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        return ()

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

    def live(self, view: CanvasView, state: State) -> tuple[int, int]:
        """One past the first live block, and one past the last: the live block `[view.start, view.end)` is all of them
        from now on. When the first has no mask left, the next one is opened behind it.

        `view.end` is where the block ends that has just been opened, or what was live at the step before.
        """
        return view.front, view.end

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

    def company(self, view: CanvasView, state: State) -> Tensor | None:
        """Asked where there are shadows: `[k]` long, positions at which masks stand that the shadows see, and none
        else. The shadows then see each other too; None: each sees the canvas alone.

        A shadow never sees the canvas' token at its own place, and sees those of the others at theirs. On shifted
        families (lookback 1) this is not asked, and each sees the canvas alone.
        """
        return None

    def horizon(self, view: CanvasView, state: State) -> int | None:
        """A length: what stands from there on is neither fed nor seen at this step, and not predicted; or None.

        At least one mask of the live block lies before it. Nothing is hidden on block-causal models, nor where a cache
        has yet to store what would be.
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

    def limit(self, view: StepView, state: State) -> Tensor:
        """`[m]` bool: the positions that `select` may choose from; where that leaves no mask, it chooses from all."""
        return view.active

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        """Choose what to commit.

        Returns:
            `[m]` bool over `view.positions` (only `view.active` ones count; if none is chosen, the engine commits the
            most confident one, so that every forward makes progress), and the row's new state.
        """
        raise TypeError(f"{type(self).__name__} must override select(view, state) -> (mask, state)")

    def finishes(self, view: StepView, state: State) -> tuple[bool, State]:
        """Whether to commit all masks now, with this step's proposals. Asked only when all of them are in view.

        `view.chosen` is what `select` would have committed.
        """
        return False, state

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
            `[r]` long, committed answer positions up to the live block's end, those of this step included, the first
            ones first; and the new state. How many is the scheduler's own business: the engine only sees to it that
            after t forwards in a block t of its masks stay filled, one of this step's among them, and drops the last
            ones; with `extra_forwards` so many fewer stay filled, and this step's may all go if older ones go with
            them. Where some lie before the live block, that reaches back to them. On block-causal models only those of
            the live block count.
        """
        return view.positions[:0], state

    def remasked(self, positions: Tensor, state: State) -> State:
        """Told of the positions that were masked again, whoever asked for it."""
        return state

    def cut(self, view: StepView, chosen: Tensor, state: State) -> int | None:
        """A length for the canvas, positions from which on leave it, or None. A committed EOS cuts without this."""
        return None

    def supplies(self, hook: str) -> bool:
        """Whether this scheduler has a `hook` of its own, one of `HOOKS`."""
        return getattr(type(self), hook) is not getattr(Scheduler, hook)

    def __str__(self) -> str:
        return spec_of(self, schedulers.name_of(type(self)))


schedulers: Registry[Scheduler] = Registry("scheduler")
register = schedulers.register
