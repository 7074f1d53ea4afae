"""Range checks that schedulers share."""

from __future__ import annotations

import math

from dllm.errors import ConfigError


def in_range(field: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise ConfigError unless `low <= value <= high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        bounds = f"between {low:g} and {high:g}" if high < math.inf else f"at least {low:g}"
        raise ConfigError(f"{field}={value!r} must be a number {bounds}")


def whole(field: str, value: int, low: int) -> None:
    """Raise ConfigError unless `value` is a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(f"{field}={value!r} must be a whole number of at least {low}")


def one_of(field: str, value: str, legal: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `legal`."""
    if value not in legal:
        raise ConfigError(f"{field}={value!r} must be one of: {', '.join(legal)}")
