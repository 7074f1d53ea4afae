"""Several schedulers as one: `a+b`. Each part does what it supplies; selectors commit what any of them chooses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from dllm.errors import ConfigError
from dllm.schedulers.base import Scheduler, State
from dllm.views import CanvasView, Setting, StepView

EXCLUSIVE = {
    "plant": "puts tokens of its own on the canvas",
    "block_end": "chooses where blocks end",
    "edit": "replaces tokens",
    "remask": "masks tokens again",
}
"""Hooks that only one part may supply, and what such a part does."""


@dataclass(frozen=True)
class Joined(Scheduler):
    """The parts of a spec, at least one of which selects. Each keeps its own state; their order does not matter."""

    parts: tuple[Scheduler, ...]

    def __post_init__(self) -> None:
        self._refuse_conflicts()
        overrides: dict[str, Any] = {
            "measures": frozenset().union(*(part.measures for part in self.parts)),
            "reads_steps": any(part.reads_steps for part in self.parts),
            "measures_shaped": any(part.measures_shaped for part in self.parts),
        }
        for name, value in overrides.items():
            object.__setattr__(self, name, value)

    def _refuse_conflicts(self) -> None:
        for hook, does in EXCLUSIVE.items():
            both = [str(part) for part in self.parts if part.supplies(hook)]
            if len(both) > 1:
                raise ConfigError(f"scheduler={str(self)!r}: {both[0]} and {both[1]} each {does}; use one of them")
        editors = [str(part) for part in self.parts if part.supplies("edit")]
        remaskers = [str(part) for part in self.parts if part.supplies("remask")]
        if editors and remaskers:
            raise ConfigError(
                f"scheduler={str(self)!r}: {editors[0]} replaces tokens of which {remaskers[0]} keeps an account, "
                "to mask them again; use one of them"
            )
        selectors = [part for part in self.parts if part.supplies("select")]
        shaped = [str(part) for part in selectors if part.measures_shaped]
        plain = [str(part) for part in selectors if not part.measures_shaped]
        if shaped and plain:
            raise ConfigError(
                f"scheduler={str(self)!r}: {shaped[0]} measures after temperature and top_p, "
                f"{plain[0]} before; use one of them"
            )

    @cached_property
    def _suppliers(self) -> dict[str, tuple[int, ...]]:
        hooks = (
            *("plant", "wants", "shadows", "transform", "block_end"),
            *("finishes", "select", "edit", "remask", "remasked", "cut"),
        )
        return {hook: tuple(i for i, part in enumerate(self.parts) if part.supplies(hook)) for hook in hooks}

    def supplies(self, hook: str) -> bool:
        return bool(self._suppliers[hook])

    def bind(self, setting: Setting) -> Scheduler:
        return Joined(tuple(part.bind(setting) for part in self.parts))

    def init(self, view: CanvasView) -> State:
        return tuple(part.init(view) for part in self.parts)

    def plant(self, view: CanvasView) -> tuple[Tensor, Tensor] | None:
        for i in self._suppliers["plant"]:
            return self.parts[i].plant(view)
        return None

    def wants(self, view: CanvasView, state: State) -> Tensor | None:
        asked = [self.parts[i].wants(view, state[i]) for i in self._suppliers["wants"]]
        found = [positions for positions in asked if positions is not None]
        return torch.cat(found) if found else None

    def shadows(self, view: CanvasView, state: State) -> Tensor | None:
        asked = [self.parts[i].shadows(view, state[i]) for i in self._suppliers["shadows"]]
        found = [positions for positions in asked if positions is not None]
        return torch.unique(torch.cat(found)) if found else None

    def transform(self, view: CanvasView, positions: Tensor, logits: Tensor, state: State) -> tuple[Tensor, State]:
        for i in self._suppliers["transform"]:
            logits, own = self.parts[i].transform(view, positions, logits, state[i])
            state = _with(state, i, own)
        return logits, state

    def block_end(self, view: StepView, state: State) -> int:
        for i in self._suppliers["block_end"]:
            return self.parts[i].block_end(view, state[i])
        return view.end

    def open_block(self, view: CanvasView, state: State) -> State:
        return tuple(part.open_block(view, own) for part, own in zip(self.parts, state, strict=True))

    def finishes(self, view: StepView, state: State) -> tuple[bool, State]:
        done = False
        for i in self._suppliers["finishes"]:
            says, own = self.parts[i].finishes(view, state[i])
            done, state = done or says, _with(state, i, own)
        return done, state

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        chosen = torch.zeros_like(view.active)
        for i in self._suppliers["select"]:
            mask, own = self.parts[i].select(view, state[i])
            chosen, state = chosen | mask, _with(state, i, own)
        return chosen, state

    def edit(self, view: StepView, state: State) -> tuple[Tensor, bool, State]:
        for i in self._suppliers["edit"]:
            mask, again, own = self.parts[i].edit(view, state[i])
            return mask, again, _with(state, i, own)
        return torch.zeros_like(view.active), False, state

    def remask(self, view: StepView, chosen: Tensor, state: State) -> tuple[Tensor, State]:
        for i in self._suppliers["remask"]:
            positions, own = self.parts[i].remask(view, chosen, state[i])
            return positions, _with(state, i, own)
        return view.positions[:0], state

    def remasked(self, positions: Tensor, state: State) -> State:
        for i in self._suppliers["remasked"]:
            state = _with(state, i, self.parts[i].remasked(positions, state[i]))
        return state

    def cut(self, view: StepView, chosen: Tensor, state: State) -> int | None:
        lengths = [self.parts[i].cut(view, chosen, state[i]) for i in self._suppliers["cut"]]
        return min((length for length in lengths if length is not None), default=None)

    def __str__(self) -> str:
        return "+".join(str(part) for part in self.parts)


def _with(states: State, index: int, own: State) -> State:
    return (*states[:index], own, *states[index + 1 :])
