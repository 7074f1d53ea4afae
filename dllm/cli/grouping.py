"""Shared options without writing them out at every command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` one option for each field of its option groups.

    Typer makes an option of every parameter of a function. A parameter whose type is a dataclass with `Annotated`
    fields stands for all of those, and the command is called with the dataclass.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {p.name: p.annotation for p in signature.parameters.values() if is_dataclass(p.annotation)}

    def flat(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    parameters = list(_parameters(signature))
    flat.__name__, flat.__doc__ = command.__name__, command.__doc__
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    shown: Any = flat  # functions are not declared to have this attribute, which `inspect` and Typer read
    shown.__signature__ = inspect.Signature(parameters)
    return flat


def _parameters(signature: inspect.Signature) -> Iterator[inspect.Parameter]:
    """Every parameter by keyword, groups replaced by their fields."""
    for parameter in signature.parameters.values():
        if not is_dataclass(parameter.annotation):
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        hints = get_type_hints(parameter.annotation, include_extras=True)
        for field in fields(parameter.annotation):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            yield inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
            )
