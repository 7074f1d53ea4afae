"""Range checks of arguments. numpy's scalars pass, and come back as Python's."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from dllm.errors import ConfigError


def whole(field: str, value: Any, low: int, high: int | None = None, *, optional: bool = False) -> Any:
    """`value` as an int (or None where that is legal). Raises ConfigError unless low <= value <= high."""
    if optional and value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < low:
        raise ConfigError(f"{field}={value!r} must be a whole number of at least {low}{' or None' if optional else ''}")
    if high is not None and int(value) > high:
        raise ConfigError(f"{field}={value!r} must be at most {high}")
    return int(value)


def in_range(
    field: str, value: Any, low: float, high: float = math.inf, *, optional: bool = False, above: bool = False
) -> Any:
    """`value` as a number (or None where that is legal).

    Raises:
        ConfigError: unless it is finite and low <= value <= high; with `above`, low < value.
    """
    if optional and value is None:
        return None
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and abs(value) < math.inf and low <= value <= high) or (above and value == low):
        bounds = f"{'above' if above else 'at least'} {low:g}" + (f" and at most {high:g}" if high < math.inf else "")
        raise ConfigError(f"{field}={value!r} must be a number {bounds}{', or None' if optional else ''}")
    return value if isinstance(value, int) else float(value)


def one_of(field: str, value: str, legal: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `legal`."""
    if value not in legal:
        raise ConfigError(f"{field}={value!r} must be one of: {', '.join(legal)}")
