"""`$ref` inside one JSON Schema document: JSON pointers (RFC 6901) and `$anchor` names. Nothing is ever fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema.keywords import DEFINITIONS, KEYWORDS
from dllm.grammars.frontends.json_schema.reading import inside, located, shown

_INDEX = re.compile("0|[1-9][0-9]{0,9}")


class References:
    """What `$ref` may lead to in a document."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self._anchors: dict[str, tuple[Any, str]] = {}
        for schema, place in _schemas(document, "#"):
            if isinstance(schema.get("$anchor"), str):
                self._anchors.setdefault(schema["$anchor"], (schema, place))

    def target(self, reference: Any, place: str) -> tuple[Any, str]:
        """What a `$ref` at `place` leads to, and the place of that.

        Raises:
            GrammarError: it leads nowhere, or out of the document.
        """
        where = f"{located(place)}: $ref={shown(reference)}"
        if not isinstance(reference, str):
            raise GrammarError(f"{where} must be a str such as '#/$defs/name'")
        own = self.document.get("$id") if isinstance(self.document, dict) else None
        if isinstance(own, str) and own.partition("#")[0] and reference.partition("#")[0] == own.partition("#")[0]:
            reference = "#" + reference.partition("#")[2]
        if not reference.startswith("#"):
            raise GrammarError(
                f"{where} leads out of this document, and nothing is fetched; copy that schema to $defs here and "
                "refer to it as '#/$defs/name'"
            )
        fragment = unquote(reference[1:])
        if fragment and not fragment.startswith("/"):
            if fragment not in self._anchors:
                raise GrammarError(
                    f"{where}: no schema here has the $anchor {fragment!r:.60}; use a pointer such as '#/$defs/name'."
                    + nearest(fragment, self._anchors)
                )
            return self._anchors[fragment]
        found, reached = self.document, "#"
        for part in fragment.split("/")[1:]:
            key: str | int = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and _INDEX.fullmatch(part) and int(part) < len(found):
                key = int(part)
            elif not (isinstance(found, dict) and key in found):
                legal = map(str, found) if isinstance(found, dict) else ()
                raise GrammarError(
                    f"{where}: there is no {key!r:.60} at {reached:.300}; point to a schema that is there."
                    + nearest(str(key), legal)
                )
            found, reached = found[key], inside(reached, key)
            if isinstance(found, dict) and isinstance(found.get("$id"), str):
                raise GrammarError(
                    f"{where} leads into the schema with the $id {found['$id']!r:.60}, where references have another "
                    "base; remove that $id"
                )
        return found, reached


def _schemas(schema: Any, place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """A schema and those inside it, but not those with an `$id`: anchors there belong to another document."""
    if not isinstance(schema, dict) or ("$id" in schema and place != "#"):
        return
    yield schema, place
    for keyword, inner in schema.items():
        holds = KEYWORDS[keyword].holds if keyword in KEYWORDS else "nothing"
        if holds == "schemas" and isinstance(inner, list):
            for index, one in enumerate(inner):
                yield from _schemas(one, inside(place, keyword, index))
        elif holds == "schemas":
            yield from _schemas(inner, inside(place, keyword))
        elif isinstance(inner, dict) and (holds == "named schemas" or keyword in DEFINITIONS):
            for name, one in inner.items():
                yield from _schemas(one, inside(place, keyword, name))
