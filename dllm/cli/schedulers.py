"""`dllm schedulers`: what can be written in `--scheduler`."""

from __future__ import annotations

import inspect
import json
import re
import sys
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

_ARXIV = re.compile(r"\b(\d{4}\.\d{4,5})\b")


def schedulers(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the registered schedulers with their arguments, defaults and papers."""
    found = catalogue()
    if as_json:
        print(json.dumps({"schedulers": found}))
    else:
        _print_table(found)


def catalogue() -> list[dict[str, Any]]:
    """One entry a scheduler: name, summary, the arXiv ids it cites, arguments with defaults and choices."""
    from dllm.schedulers import schedulers as registry

    return [_entry(name, registry.get(name)) for name in registry.names()]


def _entry(name: str, cls: type) -> dict[str, Any]:
    module = inspect.getdoc(sys.modules[cls.__module__]) or ""
    described = inspect.getdoc(cls) or module
    return {
        "name": name,
        "summary": described.partition("\n\n")[0].replace("\n", " "),
        "papers": sorted(set(_ARXIV.findall(f"{module} {described}"))),
        "arguments": [_argument(cls, key, p.default) for key, p in inspect.signature(cls).parameters.items()],
    }


def _argument(cls: type, name: str, default: Any) -> dict[str, Any]:
    """Choices are the legal words where there is a fixed set, the default first."""
    from dllm.registry import argument_types

    declared = argument_types(cls)[name]
    words = list(get_args(declared)) if get_origin(declared) is Literal else []
    required = default is inspect.Parameter.empty
    return {
        "name": name,
        "default": None if required else default,
        "required": required,
        "choices": sorted(words, key=lambda word: word != default),
    }


def _written(argument: dict[str, Any]) -> str:
    """As it stands in a spec, choices side by side: `k = 1`, `by = confidence | margin`."""
    if argument["required"]:
        return f"{argument['name']} = (must be given)"
    values = argument["choices"] or [argument["default"]]
    return f"{argument['name']} = {' | '.join(map(str, values))}"


def _print_table(found: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from dllm.cli.console import HarmlessConsole, cell

    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("arguments", max_width=34)
    table.add_column("what it does")
    table.add_column("arXiv", no_wrap=True)
    for entry in found:
        arguments = "\n".join(_written(argument) for argument in entry["arguments"])
        table.add_row(entry["name"], cell(arguments), cell(entry["summary"]), "\n".join(entry["papers"]))
    console = HarmlessConsole()
    console.print(table)
    console.print("A spec is a name and its arguments, the first by position if you like; join parts with +:")
    console.print(Text("  --scheduler 'topk(2, by=margin)'"))
