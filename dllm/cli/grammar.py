"""`dllm grammar`: ask a grammar about a text, or about itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from dllm.cli.commands import as_command
from dllm.cli.grammar_options import GrammarOptions
from dllm.cli.grouping import grouped
from dllm.cli.inputs import read_argument, read_file
from dllm.cli.shell import FAILED, UsageError, needs_command

if TYPE_CHECKING:
    from dllm import Grammar

grammar = typer.Typer(help="Check texts against a grammar, or have one described.", invoke_without_command=True)
_NONE = (
    "name a grammar: --grammar NAME|FILE.lark|FILE.gbnf, --json-schema FILE, --tools FILE, --regex PATTERN or "
    "--choice TEXT"
)

AsJson = Annotated[bool, Option("--json", help="One JSON object on stdout.")]


grammar.callback()(needs_command)


@grammar.command()
@as_command
@grouped
def check(
    file: Annotated[str, Argument(help="The text's file, or - for stdin.", show_default=False)],
    as_json: AsJson = False,
    *,
    options: GrammarOptions,
) -> None:
    """Whether the text in FILE belongs to a grammar.

    Prints ok; or where it does not, what could stand there, and exits with 1. The text is taken verbatim: a newline at
    its end is part of it.
    """
    found = options.load()
    if found is None:
        raise UsageError(_NONE)
    text = read_argument("-", "FILE", escape=False) if file == "-" else read_file(Path(file), "FILE")
    said = found.explain(text)
    accepted = said == "ok"
    if as_json:
        print(json.dumps({"grammar": found.name, "accepted": accepted, "explanation": said}))
    else:
        print(said)
    if not accepted:
        raise typer.Exit(FAILED)


@grammar.command()
@as_command
@grouped
def explain(
    name: Annotated[
        str | None, Argument(metavar="NAME|FILE.lark|FILE.gbnf", help="As --grammar.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    *,
    options: GrammarOptions,
) -> None:
    """Describe a grammar: what it leaves out, its terminals and its rules. Without one: list the built-in ones."""
    named = options if name is None else GrammarOptions(grammar=name)
    if name is not None and options != GrammarOptions():
        raise UsageError(f"{name} and an option each name a grammar; give one of them")
    found = named.load()
    if found is None:
        _list(as_json)
        return
    described = describe(found) | {"about": _about(named.text())}
    if as_json:
        print(json.dumps(described))
    else:
        _print(described)


def describe(found: Grammar) -> dict[str, Any]:
    """Name, start, counts, terminals (by name, with their priority) and rules of a grammar as plain JSON values."""
    rules = found.rules
    return {
        "name": found.name,
        "start": rules.start,
        "counts": {
            "rules": len(rules.productions),
            "alternatives": sum(map(len, rules.productions.values())),
            "terminals": len(rules.terminals),
        },
        "ignored": sorted(rules.ignored),
        "terminals": {one.name: one.priority for one in sorted(rules.terminals, key=lambda one: one.name)},
        "rules": {head: [list(body) for body in bodies] for head, bodies in rules.productions.items()},
    }


def _about(text: str | None) -> str:
    """The comment at the head of a file."""
    found = re.match(r"(?:(?://|#).*\n)*", text or "")
    return "" if found is None else re.sub(r"^(//|#) ?", "", found.group(), flags=re.M).strip()


def _list(as_json: bool) -> None:
    from dllm.grammars.frontends.builtin import builtin_names, builtin_text

    found = {name: _about(builtin_text(name)) for name in builtin_names()}
    if as_json:
        print(json.dumps({"grammars": found}))
        return
    for name, about in found.items():
        print(f"{name:<14}{about.splitlines()[0]}")


def _print(described: dict[str, Any]) -> None:
    print(f"{described['name']}\n")
    if described["about"]:
        print(f"{described['about']}\n")
    counts = ", ".join(f"{count:,} {what}" for what, count in described["counts"].items())
    print(f"start      {described['start']}\ncounts     {counts}")
    print(f"ignored    {' '.join(described['ignored']) or 'nothing'}")
    print("\nterminals (.N: priority where not 0; of those that match a lexeme, the highest stands)")
    for line in _wrapped(f"{name}.{p}" if p else name for name, p in described["terminals"].items()):
        print(f"  {line}")
    print("\nrules")
    for head, bodies in described["rules"].items():
        print(f"  {head}: {' | '.join(' '.join(body) or '(nothing)' for body in bodies)}")


def _wrapped(words: Iterator[str], width: int = 100) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 2 + len(word) > width:
            yield line
            line = ""
        line = f"{line}  {word}" if line else word
    if line:
        yield line
