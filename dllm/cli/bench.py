"""`dllm bench`: what the engine takes, as ratios within one run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from dllm.cli.shell import UsageError, tell

if TYPE_CHECKING:
    from dllm.bench.suite import Table


_WHICH = {True: "--quick", False: "--cache-report"}


def bench(
    quick: Annotated[bool, Option("--quick", help="Three ratios on one thread, in under a minute.")] = False,
    cache_report: Annotated[
        bool, Option("--cache-report", help="How each cache's answers differ from those of none on tiny.")
    ] = False,
    items: Annotated[int | None, Option(min=1, help="Of each task of the cache report (default: 32).")] = None,
    block_length: Annotated[int | None, Option(min=1, help="Of the cache report (default: 16).")] = None,
    scheduler: Annotated[str | None, Option("--scheduler", "-s", help="Of the cache report.")] = None,
    caches: Annotated[
        list[str] | None, Option("--cache", help="Of the cache report, beside none; repeatable (default: all kinds).")
    ] = None,
    threads: Annotated[int | None, Option(min=1, help="Of the full run (default: all cores).")] = None,
    out: Annotated[Path | None, Option(metavar="DIR", help="Also write bench.json and bench.md there.")] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object as the last line of stdout.")] = False,
) -> None:
    """Measure the engine on this machine: against the published decoding, by parts, and its caches."""
    if out is not None and not out.is_dir():
        raise UsageError(f"--out {out}: no such folder")
    _check_specs(scheduler, caches or ())
    if quick and cache_report:
        raise UsageError("--quick and --cache-report are two measurements; give one of them")
    if threads is not None and (quick or cache_report):
        raise UsageError(f"--threads {threads} is of the full run; drop it, or {_WHICH[quick]}")
    asked = {"items": items, "block_length": block_length, "scheduler": scheduler, "caches": caches}
    given = {name: value for name, value in asked.items() if value is not None}
    if given and not cache_report:
        named = ", ".join("--" + {"caches": "cache"}.get(name, name).replace("_", "-") for name in given)
        raise UsageError(f"{named}: of --cache-report only; give that too")
    from dllm.eval.files import write_whole
    from dllm.eval.tables import markdown
    from dllm.eval.workers import cores

    count = threads or cores()
    if count > cores():
        tell(f"--threads {count} is more than there are cores; {cores()} are used")
    found, tables = _measured(quick, given if cache_report else None, min(count, cores()))
    text = "\n".join(markdown(*table) for table in tables)
    if out is not None:
        write_whole(out / "bench.json", json.dumps(found, indent=1) + "\n")
        write_whole(out / "bench.md", text)
    print(json.dumps(found) if as_json else text)


def _check_specs(scheduler: str | None, caches: Sequence[str]) -> None:
    """A misspelt one is an error before anything is loaded. Raises ConfigError."""
    if scheduler is not None:
        from dllm.schedulers import as_scheduler

        as_scheduler(scheduler)
    for cache in caches:
        from dllm.cache import as_cache

        as_cache(cache)


def _measured(quick: bool, cache_report: dict[str, Any] | None, threads: int) -> tuple[dict[str, Any], list[Table]]:
    """cache_report: what was asked of it, if it is asked for."""
    if cache_report is not None:
        from dllm import LLM
        from dllm.bench.cache_report import cache_report as measure

        result = measure(LLM("tiny"), **cache_report)
        return result.to_dict(), [result.titled(), result.by_task()]
    from dllm.bench import suite as reports

    return reports.quick() if quick else reports.full(threads)
