"""Answers of lm-evaluation-harness on disk as they come, so that a run that is killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dllm.eval.files import append_lines, drop_torn_line, mark_of, whole_lines
from dllm.eval.likelihood import LowerBound


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What a request got.

    Attributes:
        value: as the harness takes it: a text, (nats, is_greedy), or nats.
        forwards, tokens: see `Costs`.
        seconds: its share of what was answered together.
        bound: of a likelihood.
    """

    value: Any
    forwards: int
    tokens: int
    seconds: float = 0.0
    bound: LowerBound | None = None


class KeptAnswers:
    """Answers by request: in memory, and in a file of each process.

    Args:
        folder: where the files are, made if there is none; None keeps nothing.
        settings: what answers depend on beside the request, JSON values. Those of other settings have other files.
        rank: of this process; it reads what any has written, and writes a file of its own.
    """

    def __init__(self, folder: Path | None = None, settings: Mapping[str, Any] | None = None, rank: int = 0) -> None:
        self._found: dict[str, KeptAnswer] = {}
        self._folder, self._path = folder, None
        if folder is None:
            return
        self._mark = mark_of(settings or {})
        folder.mkdir(parents=True, exist_ok=True)
        for path in self._files():
            self._found |= read_answers(path)
        self._path = folder / f"answers-{self._mark}-{rank}.jsonl"
        if self._path.exists():
            drop_torn_line(self._path)

    def get(self, key: str) -> KeptAnswer | None:
        """The answer to a request, if there is one."""
        return self._found.get(key)

    def add(self, answers: Iterable[tuple[str, KeptAnswer]]) -> None:
        """Keep answers by their keys; they are on disk when this returns."""
        new = dict(answers)
        if self._path is not None:
            self._found |= new
            append_lines(self._path, (json.dumps({"key": key, **asdict(one)}) for key, one in new.items()))

    def forget(self) -> None:
        """Remove the files, when the results of the whole run are written."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob(f"answers-{self._mark}-*.jsonl"))


def key_of(kind: str, arguments: Any, repeat: int = 0) -> str:
    """What tells a request from others; equal ones of which each gets an answer of its own are counted."""
    return hashlib.sha256(json.dumps([kind, arguments, repeat], default=str).encode()).hexdigest()


def read_answers(path: Path) -> dict[str, KeptAnswer]:
    """What a file holds; a line that is none of ours is left out, and its request is answered again."""
    found = {}
    for line in whole_lines(path):
        try:
            said = json.loads(line)
            key, bound = said.pop("key"), said.pop("bound")
            found[key] = KeptAnswer(**said, bound=None if bound is None else LowerBound(**bound))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return found
