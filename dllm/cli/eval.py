"""`dllm eval`: benchmarks."""

from __future__ import annotations

import typer

from dllm.cli.commands import as_command
from dllm.cli.eval_lm import lm
from dllm.cli.parallelbench import parallelbench, report
from dllm.cli.shell import needs_command

evaluate = typer.Typer(
    help="Benchmarks: ParallelBench, lm-evaluation-harness, and reports of finished runs.", invoke_without_command=True
)
evaluate.command()(as_command(parallelbench))
evaluate.command()(as_command(lm))
evaluate.command()(as_command(report))


evaluate.callback()(needs_command)
