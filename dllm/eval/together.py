"""One plan run by several processes: each takes every n-th sample, the first gets them all."""

from __future__ import annotations

from dataclasses import replace

from dllm.errors import ConfigError
from dllm.eval.compare import Plan, in_order
from dllm.eval.processes import Processes
from dllm.eval.records import Line


def share(plan: Plan, processes: Processes) -> Plan:
    """What this process runs of a plan; all of it if it is alone.

    Raises:
        ConfigError: the plan is a shard already, or starts workers of its own.
    """
    if processes.size == 1:
        return plan
    if plan.shard != (1, 1):
        one, of = plan.shard
        raise ConfigError(f"shard={one}/{of} under {processes.size} processes, which share the samples; drop the shard")
    if plan.workers != 1:
        raise ConfigError(f"workers={plan.workers} under {processes.size} processes; drop the workers")
    return replace(plan, shard=(processes.rank + 1, processes.size))


def gathered(plan: Plan, processes: Processes, lines: list[Line]) -> list[Line] | None:
    """The samples of all processes, in the order of the whole plan; None for all but the first process."""
    found = processes.collected(lines, 0)
    if found is None or processes.size == 1:
        return found and found[0]
    return in_order(plan, [line for some in found for line in some])
