"""Several schedulers as one: `a+b`. Each part does what it supplies; selectors commit what any of them chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partialmethod, reduce
from operator import or_
from typing import Any

import torch
from torch import Tensor

from dllm.errors import ConfigError
from dllm.schedulers.base import HOOKS, Hook, Scheduler, State
from dllm.views import CanvasView, Setting


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
            "extra_forwards": max(part.extra_forwards for part in self.parts),
        }
        for name, value in overrides.items():
            object.__setattr__(self, name, value)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.files)

    def _refuse_conflicts(self) -> None:
        for hook in HOOKS:
            both = [str(part) for part in self.parts if part.supplies(hook.name)]
            if hook.joined == "one" and len(both) > 1:
                raise ConfigError(f"scheduler={str(self)!r}: {both[0]} and {both[1]} each {hook.does}; use one of them")
        editors = [str(part) for part in self.parts if part.supplies("edit")]
        remaskers = [str(part) for part in self.parts if part.supplies("remask")]
        if editors and remaskers:
            raise ConfigError(
                f"scheduler={str(self)!r}: {editors[0]} replaces tokens of which {remaskers[0]} keeps an account, "
                "to mask them again; use one of them"
            )
        several = [str(part) for part in self.parts if part.supplies("live")]
        enders = [str(part) for part in self.parts if part.supplies("block_end")]
        if several and enders:
            raise ConfigError(
                f"scheduler={str(self)!r}: {several[0]} has several blocks live, so that their ends are known before "
                f"{enders[0]} can choose them; use one of them"
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
        return {hook.name: tuple(i for i, part in enumerate(self.parts) if part.supplies(hook.name)) for hook in HOOKS}

    def supplies(self, hook: str) -> bool:
        return bool(self._suppliers[hook])

    def bind(self, setting: Setting) -> Scheduler:
        return Joined(tuple(part.bind(setting) for part in self.parts))

    def init(self, view: CanvasView) -> State:
        return tuple(part.init(view) for part in self.parts)

    def plant(self, view: CanvasView) -> tuple[Tensor, Tensor] | None:
        return next((self.parts[i].plant(view) for i in self._suppliers["plant"]), None)

    def ask(self, hook: Hook, *arguments: Any) -> Any:
        """What the parts that supply a hook answer together; each sees its own state, the last of the arguments."""
        *given, states = arguments
        found = list[list[Any]]()
        for i in self._suppliers[hook.name]:
            answer = getattr(self.parts[i], hook.name)(*given, states[i])
            values = [answer] if len(hook.gives) == 1 else [*answer]
            if hook.gives[-1] == "state":
                states = (*states[:i], values.pop(), *states[i + 1 :])
            if hook.joined == "chain":
                given[-1:] = values
            found.append(values)
        if not found:
            return getattr(Scheduler, hook.name)(self, *given, states)
        together = [JOIN[hook.joined](values) for values in zip(*found, strict=True)]
        together += [states] if hook.gives[-1] == "state" else []
        return together[0] if len(together) == 1 else tuple(together)

    def __str__(self) -> str:
        return "+".join(str(part) for part in self.parts)


def _given(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


JOIN: dict[str, Callable[[Sequence[Any]], Any]] = {
    "one": lambda values: values[0],
    "union": lambda values: torch.unique(torch.cat(_given(values))) if _given(values) else None,
    "chain": lambda values: values[-1],
    "any": lambda values: reduce(or_, values) if isinstance(values[0], Tensor) else any(values),
    "least": lambda values: min(_given(values), default=None),
}
"""What becomes of the parts' answers, by `Hook.joined`; of "each", which gives states only, nothing is left to join."""

for _hook in HOOKS:
    if _hook.name not in vars(Joined):
        setattr(Joined, _hook.name, partialmethod(Joined.ask, _hook))
