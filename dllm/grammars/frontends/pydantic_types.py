"""Types as JSON Schemas, by pydantic: its models, dataclasses, TypedDicts, and all else that its `TypeAdapter` takes.

pydantic is no part of what dllm needs. It is imported when such a type is passed.
"""

from __future__ import annotations

import typing
from typing import Any, NoReturn

from dllm.errors import GrammarError

_FORMS = ("TypeAliasType", "NewType")
"""Types of what stands for a type, and is neither one itself nor made of several."""


def is_type(given: Any) -> bool:
    """Whether something can only be meant as a type: a class, `list[int]`, `int | None`, an alias, a `TypeAdapter`."""
    return (
        isinstance(given, type)
        or typing.get_origin(given) is not None
        or type(given).__name__ in _FORMS
        or _is_adapter(given)
    )


def schema_of(given: Any) -> Any:
    """The JSON Schema of a type.

    Raises:
        GrammarError: pydantic is not installed, or has no schema for it.
    """
    own = getattr(given, "model_json_schema", None)  # a model may have a say in it
    try:
        return own() if isinstance(given, type) and callable(own) else _adapter(given).json_schema()
    except GrammarError:
        raise
    except Exception as error:  # its errors are no ValueErrors
        raise GrammarError(f"pydantic has no JSON schema for {named(given)}: {error}") from None


def named(given: Any) -> str:
    """What to call a type."""
    return given.__name__ if isinstance(given, type) and typing.get_origin(given) is None else f"{given!r:.100}"


class Validated:
    """Reads JSON texts as values of a type."""

    def __init__(self, given: Any) -> None:
        self._name, self._adapter = named(given), _adapter(given)

    def __call__(self, text: str) -> Any:
        """The value that a text stands for. Raises pydantic's ValidationError, which is a ValueError."""
        return self._adapter.validate_json(text)

    def __deepcopy__(self, memo: dict[int, Any]) -> Validated:
        return self

    def __reduce__(self) -> tuple[type[Unread], tuple[str]]:
        return Unread, (self._name,)  # classes need not be where another process could import them


class Unread:
    """What is left of a `Validated` that was pickled."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, text: str) -> NoReturn:
        raise GrammarError(
            f"the type {self._name} was left behind when this was pickled; read the text with its "
            "model_validate_json, or with pydantic.TypeAdapter(...).validate_json"
        )


def _is_adapter(given: Any) -> bool:
    return callable(getattr(given, "validate_json", None)) and callable(getattr(given, "json_schema", None))


def _adapter(given: Any) -> Any:
    """pydantic's `TypeAdapter` of a type."""
    if _is_adapter(given) and not isinstance(given, type):
        return given
    try:
        from pydantic import TypeAdapter
    except ImportError:
        raise GrammarError(
            f"{named(given)} is a type, and what JSON it is written as is known to pydantic 2, which cannot be "
            "imported; pip install 'pydantic>=2', or pass a JSON schema as a dict"
        ) from None
    return TypeAdapter(given)
