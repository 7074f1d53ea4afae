"""What happened to a row, step by step. Always recorded: a few numbers a token."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from dllm.errors import ConfigError

VERSION = 1


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One forward that changed the row.

    Attributes:
        positions: canvas positions committed (prompt included in the count), ascending.
        token_ids: what was written there.
        confidences: probability of each token when it was committed.
        revoked: canvas positions masked again.
        seconds: wall time of the round this forward was part of.
        length: of the canvas after the step, which an EOS or a stop string shortens; None in older recordings.
    """

    positions: tuple[int, ...]
    token_ids: tuple[int, ...]
    confidences: tuple[float, ...]
    revoked: tuple[int, ...] = ()
    seconds: float = 0.0
    length: int | None = None


@dataclass(slots=True)
class Trace:
    """All steps of one row, in order."""

    steps: list[TraceStep] = field(default_factory=list)

    def replay(self, canvas: Sequence[int], mask_token_id: int) -> Iterable[list[int]]:
        """The canvas after each step, from the starting `canvas` (masks included)."""
        now = list(canvas)
        for step in self.steps:
            for position in step.revoked:
                now[position] = mask_token_id
            for position, token in zip(step.positions, step.token_ids, strict=True):
                now[position] = token
            now = now[: step.length]
            yield list(now)

    def to_jsonl(self) -> str:
        """A header line with the format's version, then a line a step."""
        lines = [json.dumps({"dllm_trace": VERSION})]
        lines += [json.dumps(asdict(step)) for step in self.steps]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_jsonl(cls, text: str) -> Trace:
        """Read what `to_jsonl` wrote. Raises ConfigError on another format or version."""
        try:
            header, *rows = [json.loads(line) for line in text.splitlines() if line.strip()]
            if header.get("dllm_trace") != VERSION:
                raise ConfigError(f"trace version {header.get('dllm_trace')!r} is not {VERSION}; record it again")
            listed = ("positions", "token_ids", "confidences", "revoked")
            return cls([TraceStep(**{**row, **{name: tuple(row[name]) for name in listed}}) for row in rows])
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"not a dllm trace: {error}") from error
