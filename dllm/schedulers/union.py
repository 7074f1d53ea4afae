"""Several schedulers as one: `a+b` commits what either chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dllm.errors import ConfigError
from dllm.schedulers.base import Scheduler, State
from dllm.views import CanvasView, StepView


@dataclass(frozen=True)
class Union(Scheduler):
    """The union of its parts' choices. Each part keeps its own state; order does not matter."""

    parts: tuple[Scheduler, ...]

    def __post_init__(self) -> None:
        shaped = [str(part) for part in self.parts if part.measures_shaped]
        plain = [str(part) for part in self.parts if not part.measures_shaped]
        if shaped and plain:
            raise ConfigError(
                f"scheduler={'+'.join(shaped + plain)!r}: {shaped[0]} measures after temperature and top_p, "
                f"{plain[0]} before; use one of them"
            )
        overrides: dict[str, Any] = {
            "measures": frozenset().union(*(part.measures for part in self.parts)),
            "reads_steps": any(part.reads_steps for part in self.parts),
            "measures_shaped": bool(shaped),
        }
        for name, value in overrides.items():
            object.__setattr__(self, name, value)

    def init(self, view: CanvasView) -> State:
        return tuple(part.init(view) for part in self.parts)

    def open_block(self, view: CanvasView, state: State) -> State:
        return tuple(part.open_block(view, own) for part, own in zip(self.parts, state, strict=True))

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        chosen, states = torch.zeros_like(view.active), []
        for part, own in zip(self.parts, state, strict=True):
            mask, after = part.select(view, own)
            chosen = chosen | mask
            states.append(after)
        return chosen, tuple(states)

    def __str__(self) -> str:
        return "+".join(str(part) for part in self.parts)
