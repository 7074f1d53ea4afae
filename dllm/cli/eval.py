"""`dllm eval`: benchmarks."""

from __future__ import annotations

import typer

from dllm.cli.eval_lm import lm
from dllm.cli.parallelbench import parallelbench, report
from dllm.cli.shell import debuggable, needs_command

evaluate = typer.Typer(
    help="Benchmarks: ParallelBench, lm-evaluation-harness, and reports of finished runs.", invoke_without_command=True
)
evaluate.command()(debuggable(parallelbench))
evaluate.command()(debuggable(lm))
evaluate.command()(debuggable(report))


evaluate.callback()(needs_command)
