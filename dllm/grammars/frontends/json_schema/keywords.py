"""The keywords of JSON Schema, all in one table. One that asserts and is not honoured is refused by name.

What is no keyword of the draft is an annotation, as JSON Schema says: it is read past, and noted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema import arrays, combinations, numbers, objects, strings, types
from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.notes import WARNING, Notes, one_edit_away
from dllm.grammars.frontends.json_schema.reading import Holds, Keyword, located

KEYWORDS: dict[str, Keyword] = {
    **types.TYPE,
    **numbers.KEYWORDS,
    **strings.KEYWORDS,
    **arrays.KEYWORDS,
    **objects.KEYWORDS,
    **types.VALUES,
    **combinations.KEYWORDS,
}
"""What is honoured, in the order in which it is read: each narrows what those before it leave."""

Vacuous = Callable[[dict[str, Any]], bool]
"""Whether a keyword that is not honoured asserts nothing in a schema, which has it."""


def _true(name: str) -> Vacuous:
    """It asserts nothing if every value is valid under its schema."""
    return lambda schema: schema[name] is True or schema[name] == {}


def _asserting(
    name: str, vacuous: Vacuous, since: Dialect = Dialect.FOUR, holds: Holds = "schemas"
) -> dict[str, tuple[Keyword, Vacuous]]:
    return {name: (Keyword(lambda _, found: found, holds, since), vacuous)}


UNSUPPORTED: dict[str, tuple[Keyword, Vacuous]] = {
    **_asserting("unevaluatedItems", _true("unevaluatedItems"), Dialect.OF_2019),
    **_asserting("unevaluatedProperties", _true("unevaluatedProperties"), Dialect.OF_2019),
}
"""What asserts something and is refused."""

DEFINITIONS = ("$defs", "definitions")
"""They hold schemas by name, for others to refer to."""

# these say nothing about which values are valid; `discriminator` is OpenAPI's, and pydantic writes it
_HEARD = """
    title description default examples $comment $schema $vocabulary deprecated readOnly writeOnly discriminator
"""
_SILENT = frozenset((*DEFINITIONS, *_HEARD.split()))
_BASES: dict[str, tuple[Dialect, ...]] = {
    "id": (Dialect.FOUR,),
    "$id": (Dialect.SIX, Dialect.SEVEN, Dialect.OF_2019, Dialect.OF_2020),
    "$anchor": (Dialect.OF_2019, Dialect.OF_2020),
    "$recursiveAnchor": (Dialect.OF_2019,),
    "$dynamicAnchor": (Dialect.OF_2020,),
}
"""They name schemas, in these drafts; `references` reads them."""
_CONTENT = ("contentEncoding", "contentMediaType", "contentSchema")
_NAMES = (*KEYWORDS, *UNSUPPORTED, *_BASES, *_HEARD.split(), *DEFINITIONS, *_CONTENT)
_IS_ANNOTATION = "an annotation, which asserts nothing"


def keyword_of(name: str, draft: Dialect) -> Keyword | None:
    """The keyword of that name, honoured or not, if the draft has it and it asserts something."""
    keyword = KEYWORDS.get(name) or UNSUPPORTED.get(name, (None,))[0]
    return keyword if keyword is not None and keyword.since <= draft <= keyword.until else None


def names_schemas(name: str, draft: Dialect) -> bool:
    """Whether the keyword names the schema that has it, in that draft."""
    return draft in _BASES.get(name, ())


def telling(
    schema: dict[str, Any], place: str, draft: Dialect, notes: Notes, unknown: Literal["note", "refuse"]
) -> dict[str, Any]:
    """The keywords of a schema that assert something; `discriminator` does so beside `oneOf`.

    Raises:
        GrammarError: one is not supported, or with `unknown="refuse"` of no draft.
    """
    if "$ref" in schema and draft <= Dialect.SEVEN:
        for key in schema:
            if key != "$ref" and keyword_of(key, draft):
                notes.add(f"{key!r:.60} beside $ref", place, f"{WARNING}up to draft 7 nothing beside $ref is read")
        return {"$ref": schema["$ref"]}
    told = {}
    for key, value in schema.items():
        if key in UNSUPPORTED and keyword_of(key, draft):
            if not UNSUPPORTED[key][1](schema):
                raise GrammarError(
                    f"{located(place)}: the keyword {key!r:.60} is not supported, and ignoring it could let invalid "
                    f"values through; remove it, or say the same with {', '.join(sorted(KEYWORDS))}."
                    + nearest(key, KEYWORDS)
                )
        elif keyword_of(key, draft):
            told[key] = value
        elif key not in _SILENT and not names_schemas(key, draft):
            _read_past(key, place, draft, notes, unknown)
    if "discriminator" in schema and "oneOf" in told:
        told["discriminator"] = schema["discriminator"]
    return told


def _read_past(key: str, place: str, draft: Dialect, notes: Notes, unknown: str) -> None:
    """Notes a keyword that asserts nothing, or refuses it."""
    if key in _CONTENT:
        notes.add(repr(key), place, f"{_IS_ANNOTATION}: what a string encodes is not looked into")
        return
    close = None if key in _NAMES else one_edit_away(key, _NAMES)
    hint = f" Did you mean {close!r}?" if close else ""
    what = f"a keyword of another draft than {draft}" if key in _NAMES else "a keyword of no draft"
    if unknown == "refuse":
        raise GrammarError(
            f"{located(place)}: {key!r:.60} is {what}; with unknown='refuse' none may stand there: remove it, or "
            f"pass unknown='note', under which it is an annotation.{hint}"
        )
    sign = WARNING if hint or key in _NAMES else ""
    notes.add(f"{key!r:.60}", place, f"{sign}{what}: {_IS_ANNOTATION}.{hint}")
