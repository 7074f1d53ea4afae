"""Published curves to lay beside one's own: a folder of CSV files `task,tps,accuracy`, one a method."""

from __future__ import annotations

import csv
from pathlib import Path

from dllm.errors import ConfigError
from dllm.eval.parallelbench.tasks import TASKS
from dllm.eval.summary import ALL

Curves = dict[str, dict[str, list[tuple[float, float]]]]
"""Task -> method -> (positions a step, score in percent)."""


def read_curves(folder: Path) -> Curves:
    """The curves of a folder, by our names of the tasks; tasks that are not ours are left out.

    Raises:
        ConfigError: no such folder, no CSV file in it, or one with other columns.
    """
    names = {spec.curve: task for task, spec in TASKS.items()} | {"avg": ALL}
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise ConfigError(f"reference={str(folder)!r} holds no CSV file; give a folder with one a method")
    found: Curves = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} could not be read as text: {error}") from None
        reader = csv.DictReader(text.splitlines())
        if not {"task", "tps", "accuracy"} <= set(reader.fieldnames or ()):
            raise ConfigError(f"{path}: its columns are {reader.fieldnames}, not task, tps and accuracy")
        for number, row in enumerate(reader, 2):
            try:
                speed, score = float(row["tps"]), float(row["accuracy"])
            except (TypeError, ValueError):
                raise ConfigError(f"{path} line {number}: tps and accuracy must be numbers") from None
            if not (0 < speed < 1e6 and 0 <= score <= 100):
                raise ConfigError(f"{path} line {number}: tps={speed} must be above 0, accuracy={score} in 0...100")
            if row["task"] in names:
                found.setdefault(names[row["task"]], {}).setdefault(path.stem, []).append((speed, score))
    if not found:
        raise ConfigError(f"reference={str(folder)!r} has no task of ours; they are called {', '.join(names)}")
    return found
