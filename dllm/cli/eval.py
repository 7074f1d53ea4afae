"""`dllm eval`: benchmarks."""

from __future__ import annotations

import typer

from dllm.cli.eval_lm import lm
from dllm.cli.parallelbench import parallelbench, report

evaluate = typer.Typer(
    help="Benchmarks: ParallelBench, lm-evaluation-harness, and reports of finished runs.", invoke_without_command=True
)
evaluate.command()(parallelbench)
evaluate.command()(lm)
evaluate.command()(report)


@evaluate.callback()
def root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
