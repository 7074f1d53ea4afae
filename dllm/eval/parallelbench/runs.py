"""Finished runs, read from their folders: shards of one run, or several runs side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError
from dllm.eval.parallelbench.tasks import TASKS
from dllm.eval.records import Line, agree, key_of, merge, read_results


def read_runs(folders: Sequence[Path]) -> tuple[list[dict[str, Any]], list[Line]]:
    """Headers and samples of all `results*.jsonl`. With several folders, models are named `folder: model`.

    Raises:
        ConfigError: a folder without results, the same twice, or results of another benchmark, suite or, in one folder,
            of other settings.
    """
    places = [folder.resolve() for folder in folders]
    twice = next((folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice} is given twice; its samples would count twice")
    headers: list[dict[str, Any]] = []
    lines: list[Line] = []
    for folder, name in zip(folders, _names(places), strict=True):
        own, found = _read_folder(folder)
        headers += own
        ordered = sorted(found, key=_order)  # workers finish in any order
        lines += [line | ({"model": f"{name}: {line['model']}"} if len(folders) > 1 else {}) for line in ordered]
    kinds = {(header["settings"].get("bench"), header["settings"].get("suite")) for header in headers}
    if len(kinds) > 1 or ("parallelbench" not in {bench for bench, _ in kinds}):
        told = ", ".join(
            f"{bench or 'no ParallelBench'} {suite or ''}".strip() for bench, suite in sorted(kinds, key=str)
        )
        raise ConfigError(f"these results do not go together: {told}; give runs of one suite of ParallelBench")
    if not lines:
        raise ConfigError(f"{', '.join(map(str, folders))}: there are no samples yet")
    return headers, lines


def _names(places: Sequence[Path]) -> list[str]:
    """As many of the last parts of each path as tell all of them apart."""
    for count in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-count:]) for place in places]
        if len(set(names)) == len(names):
            return names
    return [str(place) for place in places]


def _read_folder(folder: Path) -> tuple[list[dict[str, Any]], list[Line]]:
    """All shards of a run."""
    paths = sorted(folder.glob("results*.jsonl"))
    if not paths:
        raise ConfigError(f"{folder} holds no results*.jsonl; give folders that `dllm eval parallelbench --out` wrote")
    headers: list[dict[str, Any]] = []
    places: dict[Any, Path] = {}
    every: dict[Any, Line] = {}
    for path in paths:
        made, found = read_results(path)
        for header in made:
            agree(path, headers[0]["settings"] if headers else header["settings"], header["settings"])
            headers.append(header)
        for line in found:
            if places.setdefault(key_of(line), path) != path:
                raise ConfigError(f"{path}: sample {key_of(line)} is in {places[key_of(line)]} too")
        merge(every, found)
    return headers, list(every.values())


def _order(line: Line) -> tuple[Any, ...]:
    """By task as the benchmark has them, then variant, numbers by their values."""
    task = list(TASKS).index(line["task"]) if line["task"] in TASKS else len(TASKS)
    numbers = tuple(float(number) for number in re.findall(r"\d+(?:\.\d+)?", line["key"]))
    words = re.sub(r"\d+(?:\.\d+)?", "#", line["key"])
    return task, words, numbers, line["block_length"], line["cache"], line["index"]
