"""From rows to the benchmark's headlines: curves of score against positions a forward, PBx, and an oracle.

The benchmark's "tokens per step" is the mean over samples of canvas / forwards, positions behind the end of the answer
included: here `slots_per_step`. It is no speed: tokens a second are called so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dllm.eval.records import Identity, Line, identity_of
from dllm.eval.summary import ALL

LEVELS = (90, 80, 75, 70, 60)
FIXED = ("topk", "llada", "dream", "dus")
"""Methods that commit what was asked for, whatever the model says: between two of their points there is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One variant on one task, or on all.

    Attributes:
        slots_per_step: mean over samples of positions filled over forwards; over all tasks, the mean of theirs.
        score: in percent; over all tasks, the mean of theirs.
    """

    model: str
    task: str
    curve: str
    label: str
    slots_per_step: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A curve over all tasks: for each level, the most positions a step at which the score still reaches it."""

    model: str
    curve: str
    levels: dict[int, float | None]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def namer(lines: Sequence[Line]) -> Callable[[Line], str]:
    """Which curve a sample's variant is a point of: the method, what orders its positions; and block length and cache,
    where the samples have several. From the spec as it is meant, not as it was typed."""
    lengths, caches = {line["block_length"] for line in lines}, {line["cache"] for line in lines}

    def name(line: Line) -> str:
        by = re.search(r"\bby=(\w+)", line["key"]) if line["method"] == "topk" else None
        parts = [line["method"] + (f" {by[1]}" if by else "")]
        parts += [f"block {line['block_length']}"] if len(lengths) > 1 else []
        parts += [str(line["cache"])] if len(caches) > 1 else []
        return ", ".join(parts)

    return name


def points(lines: Sequence[Line]) -> list[Point]:
    """Of all models, tasks and variants; the means over tasks last. Samples without a score are left out."""
    groups: dict[tuple[str, str, Identity], list[Line]] = {}
    for line in lines:
        if line["score"] is not None:
            groups.setdefault((line["model"], line["task"], identity_of(line)), []).append(line)
    curve_of = namer(lines)
    found: list[Point] = []
    means: dict[tuple[str, Identity], list[Point]] = {}
    for (model, task, identity), own in groups.items():
        speed = float(np.mean([line["slots"] / line["forwards"] for line in own]))
        score = 100 * float(np.mean([line["score"] for line in own]))
        label = f"{own[0]['scheduler']}, block {own[0]['block_length']}, {own[0]['cache']}"
        point = Point(model=model, task=task, curve=curve_of(own[0]), label=label, slots_per_step=speed, score=score)
        found.append(point)
        means.setdefault((model, identity), []).append(point)
    full = complete(lines)
    for key, each in means.items():
        if key in full and len(each) > 1:
            speed = float(np.mean([point.slots_per_step for point in each]))
            score = float(np.mean([point.score for point in each]))
            found.append(replace(each[0], task=ALL, slots_per_step=speed, score=score))
    return found


def complete(lines: Sequence[Line]) -> set[tuple[str, Identity]]:
    """(model, variant) with every sample that any variant of the model has a score for: other means do not compare."""
    samples: dict[str, set[tuple[str, int]]] = {}
    own: dict[tuple[str, Identity], set[tuple[str, int]]] = {}
    for line in lines:
        if line["score"] is not None:
            sample = line["task"], line["index"]
            samples.setdefault(line["model"], set()).add(sample)
            own.setdefault((line["model"], identity_of(line)), set()).add(sample)
    return {key for key, found in own.items() if found == samples[key[0]]}


def pbx(curve: Sequence[tuple[float, float]], level: float, fixed: bool) -> float | None:
    """The most positions a step at which a curve of (positions, score in percent) reaches `level`, or None.

    Args:
        fixed: only points that were measured count; otherwise the line between two neighbours does too.
    """
    ordered = sorted(curve)
    reached = [at for at, (_, score) in enumerate(ordered) if score >= level]
    if not reached:
        return None
    last = reached[-1]
    speed, score = ordered[last]
    if fixed or last + 1 == len(ordered):
        return speed
    beyond, lower = ordered[last + 1]
    return speed + (beyond - speed) * (score - level) / (score - lower)


def headlines(found: Sequence[Point]) -> list[Headline]:
    """PB90 to PB60 of every curve over all tasks."""
    own = [point for point in found if point.task == ALL]
    made = []
    for model, curve in dict.fromkeys((point.model, point.curve) for point in own):
        line = [(p.slots_per_step, p.score) for p in own if (p.model, p.curve) == (model, curve)]
        fixed = re.split(r"[ ,]", curve)[0] in FIXED
        made.append(Headline(model=model, curve=curve, levels={level: pbx(line, level, fixed) for level in LEVELS}))
    return made


def oracle(lines: Sequence[Line], model: str, curve: str) -> dict[str, tuple[float, float]]:
    """By task: (positions a step, score in percent), each sample decoded by the fastest variant that does it best.

    Of the variants of one model's curve; a bound on what choosing among them by sample could give.
    """
    curve_of = namer(lines)
    samples: dict[tuple[str, int], list[Line]] = {}
    for line in lines:
        if line["score"] is not None and line["model"] == model and curve_of(line) == curve:
            samples.setdefault((line["task"], line["index"]), []).append(line)
    chosen: dict[str, list[Line]] = {}
    for (task, _), own in samples.items():
        chosen.setdefault(task, []).append(min(own, key=lambda line: (-line["score"], line["forwards"])))
    return {
        task: (
            float(np.mean([line["slots"] / line["forwards"] for line in own])),
            100 * float(np.mean([line["score"] for line in own])),
        )
        for task, own in chosen.items()
    }
