"""Numbers that reports are made of: intervals, percentiles, paired ratios, AUP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Interval = tuple[float, float]


def wilson(mean: float, count: int, z: float = 1.96) -> Interval:
    """Wilson's 95 % interval of a share `mean` of `count` samples."""
    if count == 0:
        return 0.0, 1.0
    middle = (mean + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(mean * (1 - mean) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def percentile(values: np.ndarray, percent: float) -> float:
    """Linear interpolation between order statistics; 0 for no values."""
    return float(np.percentile(values, percent)) if len(values) else 0.0


def bootstrap_ratio(
    strata: Sequence[tuple[np.ndarray, np.ndarray]], draws: int = 2000, seed: int = 0
) -> tuple[float, Interval]:
    """Sum of the first over sum of the second, paired sample by sample, and its 95 % bootstrap interval.

    Args:
        strata: (numerators [n], denominators [n]) of each task; samples are drawn within a task, pairs together.
    """
    rng = np.random.default_rng(seed)
    top, bottom = np.zeros(draws), np.zeros(draws)
    for numerators, denominators in strata:
        picked = rng.integers(0, len(numerators), (draws, len(numerators)))
        top += numerators[picked].sum(1)
        bottom += denominators[picked].sum(1)
    ratio = sum(float(a.sum()) for a, _ in strata) / max(1e-12, sum(float(b.sum()) for _, b in strata))
    low, high = np.percentile(top / np.maximum(bottom, 1e-12), (2.5, 97.5))
    return ratio, (float(low), float(high))


def bootstrap_difference(
    strata: Sequence[tuple[np.ndarray, np.ndarray]], draws: int = 2000, seed: int = 0
) -> tuple[float, Interval]:
    """Mean over tasks of (mean of the first - mean of the second), paired, and its 95 % bootstrap interval."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros(draws)
    value = 0.0
    for first, second in strata:
        difference = first - second
        value += float(difference.mean()) / len(strata)
        drawn += difference[rng.integers(0, len(difference), (draws, len(difference)))].mean(1) / len(strata)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return value, (float(low), float(high))


def aup(points: Sequence[tuple[float, float]], best: float, alpha: float = 3.0, drop: float = 5.0) -> float | None:
    """Accuracy under parallelism (d3LLM, arXiv 2601.07568).

    Args:
        points: (tokens per forward, accuracy in percent) of one method.
        best: the best accuracy of all methods on the task, in percent.
        alpha: how hard accuracy below `best` is punished.
        drop: points more than this below the first one are left out.

    Returns:
        None where no point stands at one token a forward or below: without that anchor the area depends on where a
        method happens to start.
    """
    points = sorted(points)
    if not points or points[0][0] > 1.05 or best <= 0:
        return None
    floor = points[0][1] - drop
    kept = [point for point in points if point[1] >= floor]

    def weighted(accuracy: float) -> float:
        return accuracy * min(1.0, math.exp(-alpha * (1 - accuracy / best)))

    area = kept[0][0] * kept[0][1]
    for (before, low), (after, high) in pairwise(kept):
        area += 0.5 * (after - before) * (weighted(high) + weighted(low))
    return area
