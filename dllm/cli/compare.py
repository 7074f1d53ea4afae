"""`dllm compare`: schedulers side by side on the same prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from typer import Option

from dllm.cli.compare_options import HowOptions, WhatOptions
from dllm.cli.grouping import grouped
from dllm.cli.shell import tell


@grouped
def compare(
    out: Annotated[
        Path | None,
        Option(metavar="DIR", help="results.jsonl, report.md, summary.json and plots; goes on where a run stopped."),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object on stdout instead of tables.")] = False,
    *,
    what: WhatOptions,
    how: HowOptions,
) -> None:
    """Compare schedulers on the same prompts and noise: accuracy, forwards and speed, each with its interval."""
    from dllm.cli.console import print_tables, progress
    from dllm.eval.compare import compare as run
    from dllm.eval.compare import fitted, sample_count
    from dllm.eval.reports import Report

    baselines, schedulers = what.specs()
    plan = fitted(how.plan(what, [*baselines, *schedulers]), tell)
    with progress("samples", sample_count(plan)) as advance:
        lines = run(plan, out, advance)
    report = Report.make(plan, lines, baselines)
    written = [] if out is None else report.save(out)
    if as_json:
        print(json.dumps(report.summary()))
        return
    print_tables([*report.overviews(), *report.headlines()])
    for path in written:
        print(path)
