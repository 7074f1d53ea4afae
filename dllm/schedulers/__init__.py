"""Unmasking schedulers: which masked positions to commit at each step. One file a method.

To add one, copy `threshold.py`, change `select`, and import it below. One written outside the package needs only
`@register("name")`, or is passed as an object.
"""

from __future__ import annotations

from dllm.errors import ConfigError
from dllm.schedulers.base import Scheduler, register, schedulers
from dllm.schedulers.dream import Dream
from dllm.schedulers.factor import Factor
from dllm.schedulers.llada import LLaDA
from dllm.schedulers.threshold import Threshold
from dllm.schedulers.topk import TopK
from dllm.schedulers.union import Union
from dllm.spec import parse_spec
from dllm.views import CanvasView, StepView


def as_scheduler(spec: str | Scheduler) -> Scheduler:
    """A spec such as `"topk(2, by=margin)"` or `"a+b"`, or a Scheduler, as a Scheduler. Raises ConfigError."""
    if isinstance(spec, Scheduler):
        return spec
    if not isinstance(spec, str):
        raise ConfigError(f"scheduler={spec!r} must be a spec such as 'threshold(0.9)' or a Scheduler object")
    calls = parse_spec(spec, "scheduler")
    parts = tuple(schedulers.build(call) for call in calls)
    twice = {call.name for call in calls if sum(other.name == call.name for other in calls) > 1}
    if twice:
        raise ConfigError(f"scheduler={spec!r} names {', '.join(sorted(twice))} twice; name each part once")
    return parts[0] if len(parts) == 1 else Union(parts)


__all__ = [
    "CanvasView",
    "Dream",
    "Factor",
    "LLaDA",
    "Scheduler",
    "StepView",
    "Threshold",
    "TopK",
    "Union",
    "as_scheduler",
    "register",
    "schedulers",
]
