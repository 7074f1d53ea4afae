"""`dllm eval`: benchmarks."""

from __future__ import annotations

import typer

from dllm.cli.eval_lm import lm

app = typer.Typer(help="Run benchmarks on a model.", invoke_without_command=True)
app.command()(lm)


@app.callback()
def root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
