"""The vocabulary of JSON Schema, the keywords that speak of numbers or strings, and checks that all keywords share."""

from __future__ import annotations

import json
from typing import Any

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema.formats import FORMATS
from dllm.grammars.frontends.json_schema.forms import Form, NumberForm, StringForm, meet_all
from dllm.grammars.frontends.json_schema.numbers import Bound
from dllm.grammars.frontends.json_schema.spelling import common
from dllm.grammars.frontends.pattern import parse_pattern
from dllm.grammars.regex import Alt, And, Chars, Regex, Repeat, Seq

MAX_COUNT = 256
"""The highest minLength, maxItems and the like: each count costs states or productions."""
MAX_STEP = 1000
"""`multipleOf` must divide it."""
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_HONOURED = """
    type const enum $ref allOf anyOf oneOf minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength
    maxLength pattern format prefixItems items minItems maxItems uniqueItems properties required additionalProperties
    minProperties maxProperties
"""
# these say nothing about which values are valid; `discriminator` is OpenAPI's, and pydantic writes it
_HEARD = """
    title description default examples $comment $schema $id $anchor $defs definitions deprecated readOnly writeOnly
    discriminator
"""
KEYWORDS = frozenset(_HONOURED.split())
"""What is honoured."""
_SILENT = frozenset(_HEARD.split())
_DRAFTS = tuple(f"json-schema.org/{name}/schema" for name in ("draft/2020-12", "draft/2019-09", "draft-07", "draft-06"))


def telling(schema: dict[str, Any], place: str) -> dict[str, Any]:
    """The keywords of a schema that assert something.

    Raises:
        GrammarError: one is not supported.
    """
    for key, value in schema.items():
        if key not in KEYWORDS and key not in _SILENT:
            raise GrammarError(
                f"JSON schema at {place}: the keyword {key!r} is not supported, and ignoring it could let invalid "
                f"values through; remove it, or say the same with {', '.join(sorted(KEYWORDS))}."
                + nearest(key, KEYWORDS)
            )
        if key == "$id" and place != "#":
            raise GrammarError(
                f"JSON schema at {place}: $id={shown(value)} inside a schema gives its references another base, "
                "which is not supported; move the schema to $defs without $id and refer to it there"
            )
        if key == "$schema" and str(value).partition("://")[2].rstrip("#") not in _DRAFTS:
            raise GrammarError(
                f"JSON schema at {place}: $schema={shown(value)} is not supported; schemas are read as draft 2020-12 "
                f"(2019-09, 07 and 06 may be named too): remove it, or name https://{_DRAFTS[0]}"
            )
    return {key: value for key, value in schema.items() if key in KEYWORDS}


def numbers(schema: dict[str, Any], place: str, whole: bool) -> Form | None:
    found: tuple[Form, ...] = (NumberForm(whole),)
    for keyword in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        if keyword in schema:
            value = schema[keyword]
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise wrong(place, keyword, value, "a number")
            bound = Bound(value, keyword.startswith("exclusive"))
            one = NumberForm(low=bound) if keyword.endswith("inimum") else NumberForm(high=bound)
            found = meet_all(found, (one,))
    if "multipleOf" in schema:
        step = schema["multipleOf"]
        if isinstance(step, bool) or not isinstance(step, int | float) or step <= 0:
            raise wrong(place, "multipleOf", step, "a number above 0")
        if step != int(step) or MAX_STEP % int(step):
            raise GrammarError(
                f"JSON schema at {place}: multipleOf={shown(step)} is not supported; it may be 1 or another divisor "
                f"of {MAX_STEP}, which last digits tell: use one, or remove it"
            )
        found = meet_all(found, (NumberForm(True, step=int(step)),))
    return found[0] if found else None


def strings(schema: dict[str, Any], place: str) -> StringForm | None:
    low, high = counts(schema, place, "minLength", "maxLength")
    patterns: list[Regex] = []
    if "pattern" in schema:
        pattern = checked(schema, place, "pattern", str, "a regular expression")
        what = f"JSON schema at {place}: pattern"
        # validators read patterns as ECMA-262 or as Python does: what both let through is valid for all of them
        ecma = parse_pattern(pattern, ecma=True, search=True, what=what)
        python = parse_pattern(pattern, ecma=False, search=True, what=what)
        patterns.append(_in_both(ecma, python))
    if "format" in schema:
        name = schema["format"]
        if not isinstance(name, str) or name not in FORMATS:
            legal = ", ".join(FORMATS)
            raise wrong(place, "format", name, f"one of {legal} (no other is supported: say it with pattern)")
        patterns.append(FORMATS[name])
    return StringForm(tuple(patterns), low, high) if high is None or low <= high else None


def _in_both(left: Regex, right: Regex) -> Regex:
    """Texts of both. Trees of one shape, as one pattern gives, are met set by set: far cheaper than an intersection.

    That keeps only texts that go the same way through both trees, which is no more than both allow.
    """
    if left == right:
        return left
    match left, right:
        case Chars(one), Chars(other):
            return Chars(common(one, other))
        case Seq(one), Seq(other) if len(one) == len(other):
            return Seq(tuple(map(_in_both, one, other)))
        case Alt(one), Alt(other) if len(one) == len(other):
            return Alt(tuple(map(_in_both, one, other)))
        case Repeat(one, low, high), Repeat(other) if (low, high) == (right.low, right.high):
            return Repeat(_in_both(one, other), low, high)
    return And(left, right)


def counts(schema: dict[str, Any], place: str, least: str, most: str) -> tuple[int, int | None]:
    found: list[int | None] = []
    for keyword in (least, most):
        value = schema.get(keyword)
        if keyword not in schema:
            found.append(None)
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
            raise wrong(place, keyword, value, "a whole number from 0")
        if value > MAX_COUNT:
            raise too_many(place, keyword, int(value))
        found.append(int(value))
    return found[0] or 0, found[1]


def checked(schema: dict[str, Any], place: str, keyword: str, kind: type, legal: str, default: Any = None) -> Any:
    value = schema.get(keyword, default)
    if not isinstance(value, kind):
        raise wrong(place, keyword, value, legal)
    return value


def wrong(place: str, keyword: str, value: Any, legal: str) -> GrammarError:
    return GrammarError(f"JSON schema at {place}: {keyword}={shown(value)}, but it must be {legal}")


def too_many(place: str, keyword: str, count: int) -> GrammarError:
    return GrammarError(
        f"JSON schema at {place}: {keyword}={count} is not supported; counts go up to {MAX_COUNT}: use one that does"
    )


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
