"""Finished runs, read from their folders: shards of one run, or several runs side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError
from dllm.eval.parallelbench.tasks import TASKS
from dllm.eval.records import Line, key_of, read


def read_runs(folders: Sequence[Path]) -> tuple[list[dict[str, Any]], list[Line]]:
    """Headers and samples of all `results*.jsonl`. With several folders, models are named `folder: model`.

    Raises:
        ConfigError: a folder without results, results of another benchmark or suite, or a sample twice in a folder.
    """
    headers: list[dict[str, Any]] = []
    lines: list[Line] = []
    for folder in folders:
        paths = sorted(folder.glob("results*.jsonl"))
        if not paths:
            raise ConfigError(
                f"{folder} holds no results*.jsonl; give folders that `dllm eval parallelbench --out` wrote"
            )
        own: dict[Any, Line] = {}
        for path in paths:
            made, found = read(path)
            headers += made
            for line in found:
                if own.setdefault(key_of(line), line) is not line and len(paths) > 1:
                    raise ConfigError(f"{path}: sample {key_of(line)} is in another file of {folder} too")
        ordered = sorted(own.values(), key=_order)  # workers finish in any order
        lines += [line | ({"model": f"{folder.name}: {line['model']}"} if len(folders) > 1 else {}) for line in ordered]
    kinds = {(header["settings"].get("bench"), header["settings"].get("suite")) for header in headers}
    if len(kinds) > 1 or ("parallelbench" not in {bench for bench, _ in kinds}):
        told = ", ".join(
            f"{bench or 'no ParallelBench'} {suite or ''}".strip() for bench, suite in sorted(kinds, key=str)
        )
        raise ConfigError(f"these results do not go together: {told}; give runs of one suite of ParallelBench")
    return headers, lines


def _order(line: Line) -> tuple[Any, ...]:
    """By task as the benchmark has them, then variant, numbers by their values."""
    task = list(TASKS).index(line["task"]) if line["task"] in TASKS else len(TASKS)
    numbers = tuple(float(number) for number in re.findall(r"\d+(?:\.\d+)?", line["key"]))
    words = re.sub(r"\d+(?:\.\d+)?", "#", line["key"])
    return task, words, numbers, line["block_length"], line["cache"], line["index"]
