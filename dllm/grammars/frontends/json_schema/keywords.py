"""The keywords of JSON Schema, all in one table. One that is not honoured is refused by name, never ignored."""

from __future__ import annotations

from typing import Any

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema import arrays, combinations, numbers, objects, strings, types
from dllm.grammars.frontends.json_schema.reading import Keyword, located, shown

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

DEFINITIONS = ("$defs", "definitions")
"""They hold schemas by name, for others to refer to."""

# these say nothing about which values are valid; `discriminator` is OpenAPI's, and pydantic writes it
_HEARD = """
    title description default examples $comment $schema $id $anchor deprecated readOnly writeOnly discriminator
"""
_SILENT = frozenset((*DEFINITIONS, *_HEARD.split()))
_DRAFTS = tuple(f"json-schema.org/{name}/schema" for name in ("draft/2020-12", "draft/2019-09", "draft-07", "draft-06"))


def telling(schema: dict[str, Any], place: str) -> dict[str, Any]:
    """The keywords of a schema that assert something; `discriminator` does so beside `oneOf`.

    Raises:
        GrammarError: one is not supported.
    """
    for key, value in schema.items():
        if key not in KEYWORDS and key not in _SILENT:
            raise GrammarError(
                f"{located(place)}: the keyword {key!r:.60} is not supported, and ignoring it could let invalid "
                f"values through; remove it, or say the same with {', '.join(sorted(KEYWORDS))}."
                + nearest(key, KEYWORDS)
            )
        if key == "$id" and place != "#":
            raise GrammarError(
                f"{located(place)}: $id={shown(value)} inside a schema gives its references another base, "
                "which is not supported; move the schema to $defs without $id and refer to it there"
            )
        if key == "$schema" and str(value).partition("://")[2].rstrip("#") not in _DRAFTS:
            raise GrammarError(
                f"{located(place)}: $schema={shown(value)} is not supported; schemas are read as draft 2020-12 "
                f"(2019-09, 07 and 06 may be named too): remove it, or name https://{_DRAFTS[0]}"
            )
    told = {key: value for key, value in schema.items() if key in KEYWORDS}
    if "discriminator" in schema and "oneOf" in told:
        told["discriminator"] = schema["discriminator"]
    return told
