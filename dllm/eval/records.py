"""The results of a run: a JSONL file with a header line a session and a line a sample; resumable, never corrupt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError
from dllm.eval.files import append_lines, drop_torn_line, whole_lines
from dllm.eval.format import RESULTS_VERSION, fault

Line = dict[str, Any]
Identity = tuple[str, int, str]
"""Key, block length and cache: what makes a variant."""
Key = tuple[str, str, int, str, int, str]
"""Model, task, index and variant: what makes a sample."""


def identity_of(line: Mapping[str, Any]) -> Identity:
    return line["key"], line["block_length"], line["cache"]


def key_of(line: Mapping[str, Any]) -> Key:
    return (line["model"], line["task"], line["index"], *identity_of(line))


def merge(found: dict[Key, Line], lines: Iterable[Line]) -> None:
    """Add samples to those found, each once, the first; but one with a score, judged again, stands for one without."""
    for line in lines:
        earlier = found.setdefault(key_of(line), line)
        if earlier["score"] is None and line["score"] is not None:
            found[key_of(line)] = line


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a file of results, so that no two runs write to it; where the system has no such locks, do nothing.

    Raises:
        ConfigError: another run holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"{path} is being written by another run; wait for it, or name another folder") from None
        yield


class Records:
    """Lines in memory and, with a path, on disk: a line is whole or absent, whenever the process is killed.

    Args:
        path: the file, created with its folder; an existing one is continued. None keeps lines in memory only.
        header: `settings` must agree, wherever both have a key, with those of every session before (tasks and models
            may be added); `environment` is recorded and may differ.

    Raises:
        ConfigError: the file is of another run, or no file of ours.
    """

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.path = path
        self._found: dict[Key, Line] = {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            headers, lines = read_results(path)
            for earlier in headers:
                agree(path, earlier["settings"], header["settings"])
            drop_torn_line(path)
            self._take(lines)
        self._append([{"dllm_results": RESULTS_VERSION, **header}])

    def add(self, lines: Iterable[Line]) -> None:
        """Keep finished samples; they are on disk when this returns."""
        lines = list(lines)
        self._take(lines)
        if self.path is not None:
            self._append(lines)

    @property
    def lines(self) -> list[Line]:
        """All samples, each once."""
        return list(self._found.values())

    @property
    def done(self) -> Set[Key]:
        """The samples there are."""
        return self._found.keys()

    def _take(self, lines: Iterable[Line]) -> None:
        merge(self._found, lines)

    def _append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        assert self.path is not None
        append_lines(self.path, map(_written, lines))


def _written(line: Mapping[str, Any]) -> str:
    """As JSON. Raises ConfigError for what JSON has no value for, which only answers of the user's own can hold."""
    try:
        text = json.dumps(line, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{line.get('task')} item {line.get('index')} cannot be kept as JSON ({error})") from error
    return text if text.isascii() or _is_utf8(text) else json.dumps(line)


def _is_utf8(text: str) -> bool:
    """Not so where half a surrogate pair stands in it, which JSON can escape."""
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def read_results(path: Path) -> tuple[list[dict[str, Any]], list[Line]]:
    """Headers and samples of a results file; a last line that was torn by a kill is ignored.

    Raises:
        ConfigError: not a results file, one of another version, or with a field that is unknown.
    """
    headers: list[dict[str, Any]] = []
    lines: list[Line] = []
    for number, raw in enumerate(whole_lines(path), 1):
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ConfigError(f"{path} line {number} is no line of dllm results; choose another folder")
        version = value.get("dllm_results", RESULTS_VERSION)
        if version != RESULTS_VERSION:
            raise ConfigError(
                f"{path} holds results of version {version}, not {RESULTS_VERSION}; choose another folder"
            )
        wrong = fault(value)
        if wrong is not None:
            raise ConfigError(f"{path} line {number} is no line of dllm results: {wrong}; choose another folder")
        (headers if "dllm_results" in value else lines).append(value)
    if lines and not headers:
        raise ConfigError(f"{path} has no header, which says what was run; choose another folder")
    return headers, lines


def agree(path: Path, earlier: Any, now: Any, where: str = "") -> None:
    """Raise ConfigError where both settings say something and it differs."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in earlier.keys() & now.keys():
            agree(path, earlier[key], now[key], f"{where}.{key}" if where else key)
    elif earlier != now:
        raise ConfigError(
            f"{path} was made with {where}={earlier!r}, this run has {now!r}; use the same, or another folder"
        )
