"""What an evaluation cost, by the kind of request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields


@dataclass(slots=True)
class Costs:
    """Totals over requests of one kind.

    Attributes:
        requests: answered, equal ones each counted.
        forwards: forwards that the rows took part in, as in `Stats`: one over a batch of b rows counts b.
        tokens: generated before EOS, or scored.
        seconds: wall time; of several processes, the longest.
    """

    requests: int = 0
    forwards: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens_per_forward(self) -> float:
        return self.tokens / self.forwards if self.forwards else 0.0

    def add(self, *, requests: int, forwards: int, tokens: int, seconds: float) -> None:
        self.requests += requests
        self.forwards += forwards
        self.tokens += tokens
        self.seconds += seconds

    def to_dict(self) -> dict[str, float]:
        named: dict[str, float] = {field.name: getattr(self, field.name) for field in fields(self)}
        return named | {"tokens_per_forward": self.tokens_per_forward}


def total(parts: Iterable[Costs], *, at_once: bool = False) -> Costs:
    """The sum; with `at_once` the parts ran side by side, and the longest time counts."""
    parts = list(parts)
    seconds = [part.seconds for part in parts]
    return Costs(
        requests=sum(part.requests for part in parts),
        forwards=sum(part.forwards for part in parts),
        tokens=sum(part.tokens for part in parts),
        seconds=max(seconds, default=0.0) if at_once else sum(seconds),
    )
