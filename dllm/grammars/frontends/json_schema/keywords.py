"""The keywords of JSON Schema, all in one table.

What is no keyword of the draft is an annotation, as JSON Schema says: it is read past, and noted.
"""

from __future__ import annotations

from typing import Any, Literal

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema import arrays, combinations, numbers, objects, strings, types, unevaluated
from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.notes import WARNING, Notes, one_edit_away
from dllm.grammars.frontends.json_schema.reading import Keyword, located

KEYWORDS: dict[str, Keyword] = {
    **types.TYPE,
    **numbers.KEYWORDS,
    **strings.KEYWORDS,
    **arrays.KEYWORDS,
    **objects.KEYWORDS,
    **types.VALUES,
    **combinations.KEYWORDS,
    **unevaluated.KEYWORDS,
}
"""What is honoured, in the order in which it is read: each narrows what those before it leave."""

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
_NAMES = (*KEYWORDS, *_BASES, *_HEARD.split(), *DEFINITIONS, *_CONTENT)
_IS_ANNOTATION = "an annotation, which asserts nothing"


def keyword_of(name: str, draft: Dialect) -> Keyword | None:
    """The keyword of that name, if the draft has it and it asserts something."""
    keyword = KEYWORDS.get(name)
    return keyword if keyword is not None and keyword.since <= draft <= keyword.until else None


def names_schemas(name: str, draft: Dialect) -> bool:
    """Whether the keyword names the schema that has it, in that draft."""
    return draft in _BASES.get(name, ())


def telling(
    schema: dict[str, Any], place: str, draft: Dialect, notes: Notes, unknown: Literal["note", "refuse"]
) -> dict[str, Any]:
    """The keywords of a schema that assert something; `discriminator` does so beside `oneOf`.

    Raises:
        GrammarError: one is of no draft, with `unknown="refuse"`.
    """
    if "$ref" in schema and draft <= Dialect.SEVEN:
        for key in schema:
            if key != "$ref" and keyword_of(key, draft):
                notes.add(f"{key!r:.60} beside $ref", place, f"{WARNING}up to draft 7 nothing beside $ref is read")
        return {"$ref": schema["$ref"]}
    told = {}
    for key, value in schema.items():
        if keyword_of(key, draft):
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
