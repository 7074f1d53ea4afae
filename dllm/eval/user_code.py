"""Python files of the user's own, judges and plug-ins: loaded, called, and named where they fail."""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from dllm.errors import ConfigError, DllmError

_MODULES = "dllm_user_"
"""How modules made of users' files are called."""


class UserCodeError(ConfigError):
    """Code of the user's own that raised, which is then the cause, or that returned what it must not."""


@contextmanager
def named(what: str, passing: type[DllmError] = UserCodeError) -> Iterator[None]:
    """Whatever is raised inside becomes a UserCodeError that names `what` raised it, and the line.

    An interruption passes, and errors that say it all.
    """
    try:
        yield
    except (KeyboardInterrupt, passing):
        raise
    except BaseException as error:  # SystemExit too: code that is called must not end the run without a word
        raise UserCodeError(f"{what}: {type(error).__name__}{_message(error)}{_place(error)}") from error


def _message(error: BaseException) -> str:
    text = str(error)
    return f": {text}" if text else ""


def _place(error: BaseException) -> str:
    """The line where it was raised; one of ours, and of Python's loader, says nothing to the user."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError | DllmError) or not frames or frames[-1].filename.startswith("<frozen"):
        return ""
    return f" ({Path(frames[-1].filename).name} line {frames[-1].lineno})"


def load_file(path: Path, field: str, what: str) -> ModuleType:
    """Import a Python file of the user's by its path, once, however often it is asked for; `what` it is, for errors.

    Raises:
        ConfigError: no such file.
        UserCodeError: it cannot be imported.
    """
    name = f"{_MODULES}{path.stem}_{abs(hash(str(path.resolve())))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"{field}={str(path)!r}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with named(f"{what} {path} cannot be imported"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def is_users_own(thing: object) -> bool:
    """Whether its class is from a file that `load_file` imported."""
    return type(thing).__module__.startswith(_MODULES)


def called(function: Callable[..., Any], who: str, *arguments: Any) -> float:
    """The score that a judge returns.

    Raises:
        UserCodeError: it raised, or returned something else than a bool or a number in 0...1.
    """
    with named(who):
        value = function(*arguments)
    return a_score(value, who)


def a_score(value: Any, who: str) -> float:
    """The value that somebody returned as a score. Raises UserCodeError unless it is one."""
    try:
        score = -1.0 if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last of a tensor of many
        score = -1.0
    if not 0.0 <= score <= 1.0:
        raise UserCodeError(f"{who} returned {value!r:.80}; return a bool or a number in 0...1")
    return score


def details_of(details: Callable[[str], Mapping[str, Any]], who: str, text: str) -> dict[str, Any]:
    """What is recorded of an answer beside its score.

    Raises:
        UserCodeError: it raised, or returned something else than a mapping of JSON values.
    """
    with named(who):
        found = details(text)
        if not isinstance(found, Mapping):
            raise UserCodeError(f"{who} returned {found!r:.80}; return a dict")
        json.dumps(dict(found))
    return dict(found)
