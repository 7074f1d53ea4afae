"""`dllm eval`: benchmarks."""

from __future__ import annotations

import typer

from dllm.cli.parallelbench import parallelbench, report

evaluate = typer.Typer(help="Benchmarks: ParallelBench, and reports of finished runs.", invoke_without_command=True)


@evaluate.callback()
def root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


evaluate.command()(parallelbench)
evaluate.command()(report)
