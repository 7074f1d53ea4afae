"""The 17 tasks of ParallelBench: their names, their canvases, and what is measured of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dllm.errors import ConfigError, nearest
from dllm.eval.parallelbench.scorers import SEVERAL_RIGHT

Group = Literal["waiting_line", "puzzle", "words_to_sentence", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchTask:
    """One task.

    Attributes:
        canvas: masks behind the question.
        curve: its name in published curves.
    """

    group: Group
    canvas: int
    curve: str


def _line(name: str) -> BenchTask:
    return BenchTask(group="waiting_line", canvas=32, curve=f"waitingline-{name}")


def _other(group: Group, curve: str) -> BenchTask:
    return BenchTask(group=group, canvas=64, curve=curve)


TASKS: dict[str, BenchTask] = {
    **{name: _line(name) for name in ("copy", "reverse", "sort", "insert_index", "remove_index", "replace_index")},
    **{name: _line(name) for name in SEVERAL_RIGHT},
    "latin_square": _other("puzzle", "puzzles-latin_square"),
    "sudoku": _other("puzzle", "puzzles-sudoku"),
    **{f"words_{how}": _other("words_to_sentence", f"textwriting-w2s_{how}") for how in ("easy", "medium", "hard")},
    "paraphrase": _other("text", "textwriting-paraphrasing"),
    "summary": _other("text", "textwriting-summarization"),
}
LISTS = tuple(name for name, spec in TASKS.items() if spec.group == "waiting_line")


def check_tasks(names: list[str]) -> None:
    """Raise ConfigError for a name that is no task."""
    for name in names:
        if name not in TASKS:
            raise ConfigError(f"task={name!r} is not in ParallelBench{nearest(name, TASKS)}: {', '.join(TASKS)}")
