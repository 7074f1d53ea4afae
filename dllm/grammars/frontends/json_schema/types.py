"""The types of JSON values, and the keywords that name a type or a value: `type`, `const`, `enum`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema.arrays import ArrayForm
from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.forms import Form, Forms, meetings
from dllm.grammars.frontends.json_schema.numbers import NumberForm
from dllm.grammars.frontends.json_schema.objects import ObjectForm
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, located, wrong
from dllm.grammars.frontends.json_schema.strings import StringForm
from dllm.grammars.frontends.json_schema.words import WordForm

_LEXEMES: tuple[type[Form], ...] = (WordForm, NumberForm, StringForm)
_CONTAINERS: tuple[type[Form], ...] = (ArrayForm, ObjectForm)
FORMS = (*_LEXEMES, *_CONTAINERS)
TYPES = tuple(name for kind in FORMS for name in kind.TYPES)
MAX_CASES = 20_000


def _of_types(types: Collection[str]) -> Forms:
    return tuple(form for kind in FORMS if (form := kind.of_types(types)) is not None)


ANYTHING = _of_types(TYPES)


def meet_all(left: Forms, right: Forms, place: str | None = None) -> Forms:
    """The values that are in one of `left` and in one of `right`; what is plainly empty falls away.

    Raises:
        GrammarError: they are more cases than a schema may combine to, and its `place` is given.
    """
    if place is not None and len(left) * len(right) > MAX_CASES:
        raise GrammarError(f"{located(place)}: allOf, anyOf and oneOf combine to over {MAX_CASES} cases; simplify them")
    if ANYTHING in (left, right):
        return right if left == ANYTHING else left
    return tuple(dict.fromkeys(meetings(left, right)))


def _type(schema: Schema, found: Forms) -> Forms:
    asked = schema.told["type"]
    types = [asked] if isinstance(asked, str) else asked
    legal = f"one of {', '.join(TYPES)}, or a list of them"
    if not isinstance(types, list) or not types:
        raise schema.wrong("type", legal)
    for name in types:
        if name not in TYPES:
            raise wrong(schema.place, "type", name, legal + "." + nearest(str(name), TYPES))
    asked_for = _of_types(types)
    if schema.draft is Dialect.FOUR:  # where 1.0 is no integer
        asked_for = tuple(form.without_fraction() if isinstance(form, NumberForm) else form for form in asked_for)
    return meet_all(found, asked_for)


def _const(schema: Schema, found: Forms) -> Forms:
    return _among(schema, found, "const", [schema.told["const"]])


def _enum(schema: Schema, found: Forms) -> Forms:
    return _among(schema, found, "enum", schema.value("enum", list, "a list of values"))


def _among(schema: Schema, found: Forms, keyword: str, values: Sequence[Any]) -> Forms:
    context, place = schema.context, f"{schema.place}/{keyword}"
    forms = [form for kind in _LEXEMES for form in kind.among(values, context, place)]
    for value in values:  # of one array or object each, which therefore come in the order of the values
        forms += (form for kind in _CONTAINERS for form in kind.among([value], context, place))
    return meet_all(found, tuple(forms), schema.place)


TYPE = {"type": Keyword(_type)}
VALUES = {"const": Keyword(_const, since=Dialect.SIX), "enum": Keyword(_enum)}
