"""From samples to the rows of a table: accuracy, costs, and gains over baselines, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dllm.eval.metrics import Interval, aup, bootstrap_difference, bootstrap_ratio, percentile, wilson
from dllm.eval.records import Identity, Line, identity_of

ALL = "all tasks"
Groups = Mapping[str, Sequence[Line]]
"""Task -> the samples of one model and variant, by index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A variant against a baseline on the same items: ratios above 1 are faster; accuracy in 0...1, + is better."""

    fewer_forwards: float
    fewer_forwards_interval: Interval
    faster: float
    faster_interval: Interval
    accuracy: float
    accuracy_interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """One model and variant on one task, or on all (`task` = "all tasks": means and sums over tasks).

    Attributes:
        accuracy: mean score in 0...1; over all tasks, the mean of the tasks' means.
        interval: Wilson's 95 %; over all tasks, bootstrapped within them.
        forwards, refreshes: mean a sample.
        tokens_per_forward, slots_per_forward: ratios of sums over samples.
        mean_tokens_per_forward: mean of the samples' own ratios.
        tokens_per_second: of one worker, batch as in the run.
        p50, p95: seconds from a row's first round to its last, with its batch mates beside it.
        gains: baseline -> Gain.
    """

    model: str
    task: str
    label: str
    scheduler: str
    method: str
    identity: Identity
    count: int
    accuracy: float
    interval: Interval
    forwards: float
    refreshes: float
    tokens_per_forward: float
    slots_per_forward: float
    mean_tokens_per_forward: float
    tokens_per_second: float
    p50: float
    p95: float
    gains: Mapping[str, Gain]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """AUP of a method on a task: its variants, and the anchor at one token a step, as one curve."""

    model: str
    task: str
    method: str
    aup: float | None
    best: float
    points: int


def summarize(lines: Sequence[Line], baselines: Sequence[Identity] = ()) -> list[SummaryRow]:
    """Rows by model, then task (all of them last), then variant, in the order the lines have them."""
    labels = label_variants(lines)
    rows: list[SummaryRow] = []
    for model in dict.fromkeys(line["model"] for line in lines):
        own = [line for line in lines if line["model"] == model]
        tasks = list(dict.fromkeys(line["task"] for line in own))
        grouped: dict[Identity, dict[str, list[Line]]] = {}
        for line in own:
            grouped.setdefault(identity_of(line), {}).setdefault(line["task"], []).append(line)
        for task in [*tasks, ALL] if len(tasks) > 1 else tasks:
            for identity, by_task in grouped.items():
                found = by_task if task == ALL else {task: by_task[task]} if task in by_task else {}
                if found:
                    gains = {
                        labels[base]: gain(found, grouped[base])
                        for base in baselines
                        if base != identity and base in grouped and found.keys() <= grouped[base].keys()
                    }
                    rows.append(_row(model, task, labels[identity], identity, found, gains))
    return rows


def label_variants(lines: Sequence[Line]) -> dict[Identity, str]:
    """The spec as written, with block length and cache where the run has several."""
    lengths, caches = {line["block_length"] for line in lines}, {line["cache"] for line in lines}
    labels: dict[Identity, str] = {}
    for line in lines:
        label = line["scheduler"]
        label += f", block {line['block_length']}" if len(lengths) > 1 else ""
        label += f", {line['cache']}" if len(caches) > 1 else ""
        labels.setdefault(identity_of(line), label)
    return labels


def _column(lines: Sequence[Line], name: str) -> np.ndarray:
    return np.array([line[name] for line in lines], dtype=float)


def _row(model: str, task: str, label: str, identity: Identity, found: Groups, gains: Mapping[str, Gain]) -> SummaryRow:
    lines = [line for own in found.values() for line in own]
    means = [float(_column(own, "score").mean()) for own in found.values()]
    accuracy = sum(means) / len(means)
    if len(found) == 1:
        interval = wilson(accuracy, len(lines))
    else:
        _, interval = bootstrap_difference([(_column(own, "score"), np.zeros(len(own))) for own in found.values()])
    forwards, tokens = _column(lines, "forwards"), _column(lines, "tokens")
    return SummaryRow(
        model=model,
        task=task,
        label=label,
        scheduler=lines[0]["scheduler"],
        method=lines[0]["method"],
        identity=identity,
        count=len(lines),
        accuracy=accuracy,
        interval=interval,
        forwards=float(forwards.mean()),
        refreshes=float(_column(lines, "refreshes").mean()),
        tokens_per_forward=float(tokens.sum() / forwards.sum()),
        slots_per_forward=float(_column(lines, "slots").sum() / forwards.sum()),
        mean_tokens_per_forward=float((tokens / forwards).mean()),
        tokens_per_second=float(tokens.sum() / _column(lines, "share_seconds").sum()),
        p50=percentile(_column(lines, "seconds"), 50),
        p95=percentile(_column(lines, "seconds"), 95),
        gains=gains,
    )


def gain(found: Groups, base: Groups) -> Gain:
    """Paired by item: only items that both have count."""
    pairs: list[tuple[list[Line], list[Line]]] = []
    for task, own in found.items():
        others = {line["index"]: line for line in base[task]}
        both = [(line, others[line["index"]]) for line in own if line["index"] in others]
        if both:
            pairs.append(([line for line, _ in both], [other for _, other in both]))

    def strata(name: str, first: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(_column(pair[first], name), _column(pair[1 - first], name)) for pair in pairs]

    forwards, seconds = bootstrap_ratio(strata("forwards", 1)), bootstrap_ratio(strata("share_seconds", 1))
    accuracy = bootstrap_difference(strata("score", 0))
    return Gain(
        fewer_forwards=forwards[0],
        fewer_forwards_interval=forwards[1],
        faster=seconds[0],
        faster_interval=seconds[1],
        accuracy=accuracy[0],
        accuracy_interval=accuracy[1],
    )


def areas(rows: Sequence[SummaryRow]) -> list[Area]:
    """AUP for every model, task and method; None where nothing was run at one token a step (`topk(1)`)."""
    found: list[Area] = []
    for model, task in dict.fromkeys((row.model, row.task) for row in rows):
        own = [row for row in rows if (row.model, row.task) == (model, task)]
        best = 100 * max(row.accuracy for row in own)
        anchors = [row for row in own if row.method.startswith("topk") and row.slots_per_forward <= 1.0]
        for method in dict.fromkeys(row.method for row in own):
            curve = [row for row in own if row.method == method]
            if not any(row in anchors for row in curve):
                curve += anchors[:1]
            points = [(row.tokens_per_forward, 100 * row.accuracy) for row in curve]
            value = aup(points, best) if anchors else None
            found.append(Area(model=model, task=task, method=method, aup=value, best=best, points=len(points)))
    return found
