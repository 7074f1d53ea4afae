"""The table of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from dllm import __version__
from dllm.cli.bench import bench
from dllm.cli.chat import chat
from dllm.cli.commands import as_command
from dllm.cli.compare import compare
from dllm.cli.doctor import doctor
from dllm.cli.eval import evaluate
from dllm.cli.generate import generate
from dllm.cli.grammar import grammar
from dllm.cli.infill import infill
from dllm.cli.schedulers import schedulers
from dllm.cli.serve import serve
from dllm.cli.shell import Debug, Shell, debugging
from dllm.cli.train_filter import train_filter
from dllm.cli.view import view

app = typer.Typer(
    cls=Shell,
    name="dllm",
    help="Inference for masked-diffusion language models (LLaDA, Dream).",
    epilog="Exit codes: 0 done, 1 the work failed, 2 bad usage, 130 interrupted.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command()(as_command(generate))
app.command()(as_command(infill))
app.command()(as_command(chat))
app.command()(as_command(view))
app.command()(as_command(serve))
app.command()(as_command(compare))
app.command()(as_command(schedulers))
app.command("train-filter")(as_command(train_filter))
app.add_typer(grammar, name="grammar")
app.add_typer(evaluate, name="eval")
app.command()(as_command(bench))
app.command()(as_command(doctor))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"dllm {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Debug = False,
) -> None:
    debugging.on |= debug
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Entry point of the `dllm` script and of `python -m dllm`; leaves through `sys.exit`."""
    app(prog_name="dllm")
