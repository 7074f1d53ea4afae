"""Where references inside one JSON Schema document lead, by URI, JSON pointer (RFC 6901) and name.

Nothing is ever fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urljoin

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema.drafts import NEWEST, Dialect, draft_of
from dllm.grammars.frontends.json_schema.keywords import DEFINITIONS, keyword_of, names_schemas
from dllm.grammars.frontends.json_schema.reading import inside, located, shown

_INDEX = re.compile("0|[1-9][0-9]{0,9}")
Target = tuple[Any, str]
"""A schema, and the place of it."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What references in a schema are relative to: the document, or the schema around it with a URI of its own.

    Attributes:
        schema: the document or schema.
        place: where that is in the document.
        base: its URI, without a fragment; empty if it has none.
        draft: by which it is read.
    """

    schema: Any
    place: str
    base: str
    draft: Dialect


class References:
    """What references may lead to in a document.

    Raises:
        GrammarError: `$schema` names no draft, or is another one in a schema without `$id`; or `$id` is no URI.
    """

    def __init__(self, document: Any) -> None:
        self._complete = False
        self._resources: dict[str, Resource] = {}
        self._by_base: dict[str, list[Resource]] = {}
        self._anchors: dict[tuple[str, str], list[Target]] = {}
        self._dynamic: dict[str, list[str]] = {}
        self._recursive: list[str] = []
        self._seen: set[str] = set()
        self._resources["#"] = Resource(document, "#", "", NEWEST)
        self._look_through(document, "#")
        self._complete = True

    def _look_through(self, schema: Any, place: str) -> None:
        """Takes down how a schema and all inside it may be called."""
        level = [(schema, place, self.resource(place))]
        while level:
            inner = []
            for one, where, within in level:
                self._seen.add(where)
                if isinstance(one, dict):
                    here = self._read(one, where, within)
                    inner += [(other, there, here) for other, there in _inside(one, where, here.draft)]
            level = inner

    def _read(self, schema: dict[str, Any], place: str, within: Resource) -> Resource:
        """Takes down how one schema may be called; the resource to which it belongs."""
        draft = draft_of(schema["$schema"], located(place)) if "$schema" in schema else within.draft
        keyword = "id" if draft is Dialect.FOUR else "$id"
        given = schema.get(keyword)
        if given is not None and not isinstance(given, str):
            raise GrammarError(f"{located(place)}: {keyword}={shown(given)}, but it must be a str, a URI")
        if draft <= Dialect.SEVEN and "$ref" in schema:
            given = None
        base, _, fragment = (given or "").partition("#")
        here = within
        if place == "#" or base:
            here = Resource(schema, place, joined(within.base, base), draft)
            self._resources[place] = here
            self._by_base.setdefault(here.base, []).append(here)
        elif draft is not within.draft:  # another draft, but the same document for references
            here = self._resources[place] = replace(within, draft=draft)
        if fragment and draft > Dialect.SEVEN:
            raise GrammarError(f"{located(place)}: $id={shown(given)} has a fragment; call it by $anchor instead")
        names = [fragment] if fragment else []
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(key), str) and names_schemas(key, draft):
                names.append(schema[key])
        for name in names:
            self._anchors.setdefault((here.base, name), []).append((schema, place))
        dynamic = schema.get("$dynamicAnchor") if names_schemas("$dynamicAnchor", draft) else None
        recursive = schema.get("$recursiveAnchor") is True and names_schemas("$recursiveAnchor", draft)
        if self._complete and (dynamic is not None or recursive):
            raise GrammarError(
                f"{located(place)}: a schema that is called dynamically stands where no schemas are looked for, which "
                "is not supported; move it to $defs"
            )
        if isinstance(dynamic, str):
            self._dynamic.setdefault(dynamic, []).append(place)
        if recursive and here.place == place:
            self._recursive.append(place)
        return here

    @property
    def root(self) -> Resource:
        """The document."""
        return self._resources["#"]

    def resource(self, place: str) -> Resource:
        """That of the schema at `place`."""
        while place not in self._resources:
            place = place.rpartition("/")[0]
        return self._resources[place]

    def target(self, keyword: str, reference: Any, place: str) -> Target:
        """What a `$ref`, `$dynamicRef` or `$recursiveRef` at `place` leads to, and the place of that.

        Raises:
            GrammarError: it leads nowhere, or out of the document; or where it leads depends on the way to it.
        """
        where = f"{located(place)}: {keyword}={shown(reference)}"
        if not isinstance(reference, str):
            raise GrammarError(f"{where} must be a str such as '#/$defs/name'")
        within = self.resource(place)
        found = self._static(reference, within, where)
        fragment = unquote(reference.partition("#")[2])
        others: list[str] = []
        if keyword == "$dynamicRef" and isinstance(found[0], dict):
            others = self._dynamic[fragment] if fragment and found[0].get("$dynamicAnchor") == fragment else []
        elif keyword == "$recursiveRef" and found[1] in self._recursive:
            others = self._recursive
        if len(others) > 1:
            raise GrammarError(
                f"{where} may lead to {' or '.join(others[:2])}, by the way that led to it, which is not supported; "
                "name one of them by $ref"
            )
        return found

    def _static(self, reference: str, within: Resource, where: str) -> Target:
        base, _, fragment = joined(within.base, reference).partition("#")
        found = [within] if base == within.base else self._by_base.get(base, [])
        if not found:
            raise GrammarError(
                f"{where} leads out of this document, and nothing is fetched; copy that schema to $defs here and "
                "refer to it as '#/$defs/name'"
            )
        if len(found) > 1:
            raise GrammarError(f"{where}: {found[0].place} and {found[1].place} both have that URI; rename one")
        fragment = unquote(fragment)
        if not fragment or fragment.startswith("/"):
            return self._pointed(fragment, found[0], where)
        named = self._anchors.get((base, fragment), [])
        if not named:
            names = [name for known, name in self._anchors if known == base]
            raise GrammarError(
                f"{where}: no schema here has the $anchor {fragment!r:.60}; use a pointer such as '#/$defs/name'."
                + nearest(fragment, names)
            )
        if len(named) > 1:
            raise GrammarError(f"{where}: {named[0][1]} and {named[1][1]} both have that name; rename one")
        return named[0]

    def _pointed(self, pointer: str, within: Resource, where: str) -> Target:
        found, reached = within.schema, within.place
        for part in pointer.split("/")[1:]:
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
        if reached not in self._seen:  # it stands where only a pointer says that it is a schema
            self._look_through(found, reached)
        return found, reached


def joined(base: str, reference: str) -> str:
    """What a reference means where `base` is the URI of what it stands in (RFC 3986); an empty fragment is none."""
    if not reference or reference.startswith("#"):
        return base + reference.removesuffix("#") if reference != "#" else base
    try:
        return urljoin(base, reference).removesuffix("#")
    except ValueError:  # what is no URI is equal to itself only
        return reference


def _inside(schema: dict[str, Any], place: str, draft: Dialect) -> Iterator[tuple[Any, str]]:
    """The schemas directly inside one, and their places."""
    for name, inner in schema.items():
        keyword = keyword_of(name, draft)
        holds = "named schemas" if name in DEFINITIONS else keyword.holds if keyword else "nothing"
        if holds == "named schemas" and isinstance(inner, dict):
            yield from ((one, inside(place, name, key)) for key, one in inner.items())
        elif holds == "schemas" and isinstance(inner, list):
            yield from ((one, inside(place, name, index)) for index, one in enumerate(inner))
        elif holds == "schemas":
            yield inner, inside(place, name)
