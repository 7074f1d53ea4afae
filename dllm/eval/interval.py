"""The interval that reports put around a share."""

from __future__ import annotations

import math

Interval = tuple[float, float]


def wilson(mean: float, count: int, z: float = 1.96) -> Interval:
    """Wilson's 95 % interval of a share `mean` of `count` samples."""
    if count == 0:
        return 0.0, 1.0
    middle = (mean + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(mean * (1 - mean) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)
