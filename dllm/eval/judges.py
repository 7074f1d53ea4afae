"""Judges of an answer's text: exact, contains, regex, json, or a Python function of the user's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError
from dllm.eval.user_code import called, load_file

Judge = Callable[[str], float]
JudgeMaker = Callable[[dict[str, Any], str], Judge]
"""From a record of the data, and where it stands (for errors), to the judge of its answers."""


def judge_maker(score: str) -> JudgeMaker:
    """The maker that `score` names.

    Args:
        score: `exact` (equal but for white space around), `contains`, `regex` (`answer` is a pattern, searched),
            `json` (equal as JSON values: order of keys and white space are free), or `FILE.py:FUNCTION`, called as
            `function(text, record)` with the whole record of the data; it returns a bool or a number in 0...1.

    Raises:
        ConfigError: an unknown name, or a file or function that is not there.
        UserCodeError: the file cannot be imported; a judge raises it too, where the function fails.
    """
    if score in _BUILTIN:
        return _BUILTIN[score]
    path, colon, name = score.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ConfigError(f"score={score!r} must be one of {', '.join(_BUILTIN)}, or FILE.py:FUNCTION")
    function = getattr(load_file(Path(path), "score", "judge"), name, None)
    if not callable(function):
        raise ConfigError(f"score={score!r}: {path} has no function {name!r}")
    return lambda record, where: _called(function, record, f"judge {score} on {where}")


def _called(function: Callable[..., Any], record: dict[str, Any], who: str) -> Judge:
    return lambda text: called(function, who, text, record)


def _text(record: dict[str, Any], where: str) -> str:
    answer = record.get("answer")
    if not isinstance(answer, str):
        raise ConfigError(f"{where}: answer={answer!r} must be a string for this score")
    return answer


def _exact(record: dict[str, Any], where: str) -> Judge:
    answer = _text(record, where).strip()
    return lambda text: float(text.strip() == answer)


def _contains(record: dict[str, Any], where: str) -> Judge:
    answer = _text(record, where)
    return lambda text: float(answer in text)


def _regex(record: dict[str, Any], where: str) -> Judge:
    try:
        pattern = re.compile(_text(record, where))
    except re.error as error:
        raise ConfigError(f"{where}: answer={record['answer']!r} is not a regular expression ({error})") from None
    return lambda text: float(pattern.search(text) is not None)


def _json(record: dict[str, Any], where: str) -> Judge:
    if "answer" not in record:
        raise ConfigError(f"{where}: no answer; give the expected JSON value")
    answer = record["answer"]
    if isinstance(answer, str):
        try:  # the expected value may be written as JSON text, or be a plain string
            answer = json.loads(answer)
        except ValueError:
            answer = record["answer"]

    def judge(text: str) -> float:
        try:
            return float(_same(json.loads(text), answer))
        except ValueError:
            return 0.0

    return judge


def _same(got: Any, wanted: Any) -> bool:
    """Equality of JSON values, where true is not 1."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(_same(got[key], wanted[key]) for key in wanted)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(_same(a, b) for a, b in zip(got, wanted, strict=True))
    return isinstance(got, bool) == isinstance(wanted, bool) and bool(got == wanted)


_BUILTIN: dict[str, JudgeMaker] = {"exact": _exact, "contains": _contains, "regex": _regex, "json": _json}
