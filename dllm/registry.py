"""The little language of component specs: `name(args)` joined by `+`, e.g. `"adablock+credit(decay=0.8)"`.

The first argument may be positional, the others are `key=value`. Values are numbers, booleans, words, paths or quoted
strings; each is converted to the type the component's constructor declares. Schedulers and caches share this file:
a `Registry` maps names to classes, outside code adds its own, and every mistake is answered with the nearest match.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar
from weakref import WeakKeyDictionary

from dllm.errors import ConfigError, nearest, quoted

T = TypeVar("T")
_PARAMETERS: WeakKeyDictionary[type, Mapping[str, inspect.Parameter]] = WeakKeyDictionary()
_TYPES: WeakKeyDictionary[type, Mapping[str, Any]] = WeakKeyDictionary()
_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*")


@dataclass(frozen=True, slots=True)
class Call:
    """One parsed `name(args)`: at most one positional value and the keyword values, all still text."""

    name: str
    positional: str | None
    keywords: dict[str, str]


def parse_spec(text: str, kind: str, example: str, *, joined: bool = True) -> list[Call]:
    """Split `a(1, x=2)+b` into calls. Raises ConfigError that quotes the spec and says where it broke.

    Args:
        example: a spec of this kind, for the error.
        joined: whether there may be several calls; an error then speaks of `+`.
    """
    calls, more = [], "'(...)' or '+'" if joined else "'(...)'"
    for part in _split(text, "+", kind, text):
        match = _NAME.match(part)
        if match is None:
            raise ConfigError(
                f"{kind}={quoted(text)}: expected a name such as {example!r}, found {quoted(part.strip())}"
            )
        name, rest = match.group(1), part[match.end() :].strip()
        if rest and not (rest.startswith("(") and rest.endswith(")")):
            raise ConfigError(f"{kind}={quoted(text)}: after {quoted(name)} expected {more}, found {quoted(rest)}")
        calls.append(_arguments(name, rest[1:-1], kind, text))
    return calls


def _arguments(name: str, inside: str, kind: str, spec: str) -> Call:
    positional: str | None = None
    keywords: dict[str, str] = {}
    if not inside.strip():
        return Call(name, None, {})
    for index, item in enumerate(_split(inside, ",", kind, spec)):
        key, equals, value = item.partition("=")
        if equals and key.strip().isidentifier():
            if key.strip() in keywords:
                raise ConfigError(f"{kind}={quoted(spec)}: {name:.100} gets {quoted(key.strip())} twice; give it once")
            keywords[key.strip()] = value.strip()
        elif index == 0 and item.strip():
            positional = item.strip()
        elif not item.strip():
            raise ConfigError(f"{kind}={quoted(spec)}: {name:.100} has an empty argument; remove the comma")
        else:
            raise ConfigError(
                f"{kind}={quoted(spec)}: only the first argument may be positional; write {quoted(item.strip())} as "
                "key=value"
            )
    return Call(name, positional, keywords)


def _split(text: str, separator: str, kind: str, spec: str) -> Iterator[str]:
    """Split on `separator` outside quotes and parentheses."""
    depth, quote, start = 0, "", 0
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
            if depth < 0:
                raise ConfigError(f"{kind}={quoted(spec)}: ')' without '(' at column {index + 1}")
        # `1e+5` holds a plus that joins nothing; at depth 0 no number can stand, so depth settles it
        elif char == separator and depth == 0:
            yield text[start:index]
            start = index + 1
    if quote or depth:
        raise ConfigError(f"{kind}={quoted(spec)}: {'a quote' if quote else 'a parenthesis'} is not closed")
    yield text[start:]


class Registry(Generic[T]):
    """Names of one kind of component and the classes behind them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: `@register("mine")`. A name that is taken by another class is an error."""
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{self.kind} name {name!r}: use letters, digits and underscores, starting with a letter")

        def add(cls: type[T]) -> type[T]:
            taken = self._classes.get(name)
            # re-running a notebook cell makes the class anew under the same qualified name: that is no clash
            if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ConfigError(f"{self.kind} name {name!r} is taken by {taken.__qualname__}; choose another name")
            self._classes[name] = cls
            return cls

        return add

    def names(self) -> list[str]:
        return sorted(self._classes)

    def get(self, name: str) -> type[T]:
        if name not in self._classes:
            legal = ", ".join(self.names())
            raise ConfigError(f"{self.kind}={quoted(name)} is unknown.{nearest(name, self._classes)} Known: {legal}")
        return self._classes[name]

    def name_of(self, cls: type[T]) -> str:
        """The name `cls` is registered under, or its own class name for an unregistered one."""
        return next((name for name, known in self._classes.items() if known is cls), cls.__name__)

    def build(self, call: Call) -> T:
        """Make the component a `Call` names, converting each argument to the constructor's declared type."""
        cls = self.get(call.name)
        legal = argument_types(cls)
        values = dict(call.keywords)
        if call.positional is not None:
            if not legal:
                raise ConfigError(
                    f"{self.kind} {call.name} takes no arguments, got {quoted(call.positional)}; write {call.name!r}"
                )
            first = next(iter(legal))
            if first in values:
                raise ConfigError(f"{self.kind} {call.name} gets {first!r} twice: by position and by name")
            values[first] = call.positional
        arguments: dict[str, Any] = {}
        for key, text in values.items():
            if key not in legal:
                known = ", ".join(legal) or "none"
                raise ConfigError(
                    f"{self.kind} {call.name}: unknown argument {quoted(key)}.{nearest(key, legal)} Known: {known}"
                )
            arguments[key] = _convert(text, legal[key], f"{self.kind} {call.name}: {key}")
        missing = [k for k, p in parameters_of(cls).items() if p.default is p.empty and k not in arguments]
        if missing:
            raise ConfigError(
                f"{self.kind} {call.name} needs {', '.join(missing)}; write {call.name}({missing[0]}=...)"
            )
        return cls(**arguments)


def parameters_of(cls: type) -> Mapping[str, inspect.Parameter]:
    """Constructor argument -> parameter, in order. Read once a class: every request names its components anew."""
    if cls not in _PARAMETERS:
        _PARAMETERS[cls] = inspect.signature(cls).parameters
    return _PARAMETERS[cls]


def argument_types(cls: type) -> Mapping[str, Any]:
    """Constructor argument -> declared type, in order; without an annotation the default's type, or Any."""
    if cls not in _TYPES:
        _TYPES[cls] = _argument_types(cls)
    return _TYPES[cls]


def _argument_types(cls: type) -> dict[str, Any]:
    init = next(vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base))
    if init is object.__init__:
        return {}
    try:
        hints = typing.get_type_hints(cls if is_dataclass(cls) else init)
    except NameError:  # an annotation that names something imported for type checkers only
        hints = {}
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        name: hints.get(name, _type_of(p.default)) for name, p in parameters_of(cls).items() if p.kind not in skipped
    }


def _type_of(default: Any) -> Any:
    return type(default) if isinstance(default, bool | int | float | str) else Any


def spec_of(component: object, name: str) -> str:
    """The spec that builds `component` again, defaults left out: `threshold(tau=0.8)`."""
    defaults = {key: p.default for key, p in parameters_of(type(component)).items()}
    kept = arguments_of(component)
    inside = ", ".join(f"{key}={written(value)}" for key, value in kept.items() if not _same(value, defaults[key]))
    return f"{name}({inside})" if inside else name


def _same(value: object, default: object) -> bool:
    """Whether an argument is its default; of arrays and the like, whose comparison is no bool, only the very object."""
    try:
        return value is default or bool(value == default)
    except Exception:  # somebody else's code
        return False


def arguments_of(component: object) -> dict[str, Any]:
    """Constructor argument -> value, defaults included, of those that the component keeps under their names."""
    return {key: getattr(component, key) for key in argument_types(type(component)) if hasattr(component, key)}


def written(value: object) -> object:
    """A value as it stands in a spec: text that the parser would split or trim gets quotes."""
    if not isinstance(value, str) or not re.search(r"[\s,+()='\"{}]", value):
        return value
    return f"'{value}'" if "'" not in value else f'"{value}"'


def _convert(text: str, declared: Any, where: str) -> Any:
    """Text -> declared type (float, int, bool, str, Literal, or a union of them tried in order)."""
    origin, options = typing.get_origin(declared), typing.get_args(declared)
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if declared is Any:
        return _guess(text)
    if origin is Literal:
        if text in options:
            return text
        raise ConfigError(
            f"{where}={quoted(text)} is not legal.{nearest(text, options)} Use one of: {', '.join(options)}"
        )
    if origin in (UnionType, typing.Union):
        for option in options:
            try:
                return _convert(text, option, where)
            except ConfigError:
                continue
        raise ConfigError(f"{where}={quoted(text)} fits none of its types {declared}")
    if declared is NoneType and text.lower() == "none":
        return None
    if declared is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if declared is bool:
        raise ConfigError(f"{where}={quoted(text)} must be true or false")
    if declared in (int, float):
        try:
            number = declared(text)
        except ValueError:
            raise ConfigError(
                f"{where}={quoted(text)} is not {'a whole number' if declared is int else 'a number'}"
            ) from None
        if not math.isfinite(number):
            raise ConfigError(f"{where}={quoted(text)} must be finite")
        return number
    if declared is str:
        return text
    raise ConfigError(
        f"{where}={quoted(text)} cannot be written in a spec (its type is {declared}); build the object in Python"
    )


def _guess(text: str) -> Any:
    """A value whose type nobody declared: a number, true, false or none where it reads as one, else the text."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text
