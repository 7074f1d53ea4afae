"""Unmasking schedulers: which masked positions to commit at each step. One file a method.

To add one, copy `threshold.py`, change `select`, and import it below. One written outside the package needs only
`@register("name")`, or is passed as an object.
"""

from __future__ import annotations

from collections import Counter

from dllm.errors import ConfigError, quoted
from dllm.registry import parse_spec
from dllm.schedulers.adablock import AdaBlock
from dllm.schedulers.base import Scheduler, register, schedulers
from dllm.schedulers.block_first import BlockFirst
from dllm.schedulers.cora import Cora
from dllm.schedulers.credit import Credit
from dllm.schedulers.dream import Dream
from dllm.schedulers.dus import Dilated
from dllm.schedulers.eb import EntropyBounded
from dllm.schedulers.edit import Edit
from dllm.schedulers.eotp import EndOfText
from dllm.schedulers.factor import Factor
from dllm.schedulers.hierarchy import Hierarchy
from dllm.schedulers.joined import Joined
from dllm.schedulers.klass import Klass
from dllm.schedulers.learn2pd import Learn2PD
from dllm.schedulers.llada import LLaDA
from dllm.schedulers.llada2 import LLaDA2
from dllm.schedulers.localleap import LocalLeap
from dllm.schedulers.multiblock import MultiBlock
from dllm.schedulers.p2 import PathPlanning
from dllm.schedulers.pc import PositionPrior
from dllm.schedulers.prophet import Prophet
from dllm.schedulers.rcr import RunningConfidence
from dllm.schedulers.remdm import ReMDM
from dllm.schedulers.saber import Saber
from dllm.schedulers.sched import SchED
from dllm.schedulers.slowfast import SlowFast
from dllm.schedulers.stable import Stable
from dllm.schedulers.threshold import Threshold
from dllm.schedulers.topk import TopK
from dllm.schedulers.wino import Wino
from dllm.views import CanvasView, StepView


def as_scheduler(spec: str | Scheduler) -> Scheduler:
    """A spec such as `"topk(2, by=margin)"` or `"a+b"`, or a Scheduler, as one that selects. Raises ConfigError.

    What only transforms, ends blocks, limits, stops or revokes is joined with `threshold(0.9)`.
    """
    if isinstance(spec, Scheduler):
        return _selecting((spec,))
    if not isinstance(spec, str):
        raise ConfigError(f"scheduler={quoted(spec)} must be a spec such as 'threshold(0.9)' or a Scheduler object")
    calls = parse_spec(spec, "scheduler", "threshold(0.9)")
    twice = sorted(name for name, count in Counter(call.name for call in calls).items() if count > 1)
    if twice:
        raise ConfigError(f"scheduler={quoted(spec)} names {', '.join(twice)} twice; name each part once")
    return _selecting(tuple(schedulers.build(call) for call in calls))


def _selecting(parts: tuple[Scheduler, ...]) -> Scheduler:
    if not any(part.supplies("select") for part in parts):
        parts = (*parts, Threshold())
    return parts[0] if len(parts) == 1 else Joined(parts)


__all__ = [
    "AdaBlock",
    "BlockFirst",
    "CanvasView",
    "Cora",
    "Credit",
    "Dilated",
    "Dream",
    "Edit",
    "EndOfText",
    "EntropyBounded",
    "Factor",
    "Hierarchy",
    "Joined",
    "Klass",
    "LLaDA",
    "LLaDA2",
    "Learn2PD",
    "LocalLeap",
    "MultiBlock",
    "PathPlanning",
    "PositionPrior",
    "Prophet",
    "ReMDM",
    "RunningConfidence",
    "Saber",
    "SchED",
    "Scheduler",
    "SlowFast",
    "Stable",
    "StepView",
    "Threshold",
    "TopK",
    "Wino",
    "as_scheduler",
    "register",
    "schedulers",
]
