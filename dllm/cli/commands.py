"""What every command has: the option `--debug`, and paths that are not empty."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

from typer.models import OptionInfo

from dllm.cli.shell import Debug, UsageError, debugging

_AS_TEXT: dict[Any, Any] = {
    Path: str,
    Path | None: str | None,
    list[Path]: list[str],
    list[Path] | None: list[str] | None,
}
"""How Typer is told to read what the function takes: to `Path`, which it would make, nothing at all is a folder."""


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """The function for Typer: with `--debug` as its last option, every parameter by keyword."""
    signature = inspect.signature(function, eval_str=True)
    parameters, paths = [], dict[str, str]()
    for name, parameter in signature.parameters.items():
        annotation = parameter.annotation
        declared, *about = get_args(annotation)
        if declared in _AS_TEXT:
            paths[name] = _shown(name, about[0])
            annotation = Annotated[_AS_TEXT[declared], about[0]]
        parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    parameters.append(inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug))

    def command(*, debug: bool, **values: Any) -> None:
        debugging.on |= debug
        function(**values | {name: _paths(values[name], shown) for name, shown in paths.items()})

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    shown: Any = command  # functions are not declared to have this attribute, which `inspect` and Typer read
    shown.__signature__ = inspect.Signature(parameters)
    return command


def _shown(name: str, about: Any) -> str:
    """What the user calls it."""
    if not isinstance(about, OptionInfo):
        return name.upper()
    return next((one for one in about.param_decls or () if one.startswith("--")), f"--{name.replace('_', '-')}")


def _paths(given: Any, shown: str) -> Any:
    if isinstance(given, str):
        if not given:
            raise UsageError(f"{shown} is empty; give a path, or leave it out")
        return Path(given)
    return given and [_paths(one, shown) for one in given]
