"""What the schemas of one document ask for: by name, as forms, and whether any value is left."""

from __future__ import annotations

import json
from typing import Any

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.drafts import NEWEST, Dialect
from dllm.grammars.frontends.json_schema.forms import DEFAULT, NEVER, Context, Demand, Forms, Options
from dllm.grammars.frontends.json_schema.keywords import KEYWORDS, telling
from dllm.grammars.frontends.json_schema.notes import Notes
from dllm.grammars.frontends.json_schema.reading import Schema, located, shown
from dllm.grammars.frontends.json_schema.references import References
from dllm.grammars.frontends.json_schema.types import ANYTHING, meet_all
from dllm.grammars.tables.limits import naming

_ARRAY_OF_ITEMS = "give the schemas of the first items as prefixItems, that of the others as items"


class Loop(Exception):
    """A schema whose forms are being worked out is needed to work them out."""


class Demands(Context):
    """Reads the schemas of one document.

    Schemas are named by their text without annotations, so equal ones are one.

    Args:
        document: the root schema.
        wide, options, notes: as in `Context`.

    Attributes:
        document: as above.
        places: name -> where it was found first.
        impossible: where no value was found to be valid.
    """

    def __init__(
        self, document: Any, options: Options = DEFAULT, *, wide: bool = False, notes: Notes | None = None
    ) -> None:
        self.wide, self.options, self.notes = wide, options, notes or Notes()
        self.places: dict[str, str] = {}
        self.impossible: list[str] = []
        self.document = document
        self._wider: Demands | None = None
        self._references = References(document)
        self._schemas: dict[str, dict[str, Any]] = {}
        self._forms: dict[Demand, Forms] = {}
        self._open: list[str] = []
        self._possible: dict[Demand, bool] = {(): True, NEVER: False}

    def widened(self) -> Demands:
        if self._wider is None:
            self._wider = Demands(self.document, self.options, wide=True, notes=self.notes)
        return self._wider

    def target(self, keyword: str, reference: Any, place: str) -> tuple[Any, str]:
        return self._references.target(keyword, reference, place)

    def draft(self, place: str) -> Dialect:
        return self._references.resource(place).draft

    def constant(self, value: Any, place: str) -> Demand:
        return self._named({"const": value}, place)

    def demand(self, schema: Any, place: str) -> Demand:
        """The demand that `schema`, found at `place`, makes.

        Raises:
            GrammarError: it is not a schema, or has a keyword that is not supported.
        """
        seen = [place]
        while isinstance(schema, dict):
            told = telling(schema, place, self.draft(place), self.notes, self.options.unknown)
            if set(told) != {"$ref"}:
                break
            schema, place = self.target("$ref", told["$ref"], place)
            if place in seen:
                raise GrammarError(f"{located(seen[0])}: $ref leads back to itself; it must lead to a schema")
            seen.append(place)
        if isinstance(schema, bool):
            return () if schema else NEVER
        if not isinstance(schema, dict):
            raise GrammarError(
                f"{located(place)}: a schema is an object or a boolean, but here is {shown(schema)}"
                + (f"; {_ARRAY_OF_ITEMS}" if place.endswith("/items") and self.draft(place) is NEWEST else "")
            )
        if not told:
            return ()
        return self._named(told, place)

    def _named(self, told: dict[str, Any], place: str) -> Demand:
        resource = self._references.resource(place)
        # what is equal elsewhere may be of another draft, and its references may lead elsewhere
        name = json.dumps(told)
        if resource is not self._references.root:
            name += f" in {resource.place} of draft {resource.draft}"
        self._schemas.setdefault(name, told)
        self.places.setdefault(name, place)
        return (name,)

    def forms(self, demand: Demand) -> Forms:
        """The union that `demand` stands for; none: no value is valid.

        Raises:
            GrammarError: as `demand`; or a keyword's value is wrong, or not supported.
            Loop: a schema refers to itself for one and the same value; only where `possible` asks.
        """
        if demand == NEVER:
            return ()
        if demand not in self._forms:
            found = ANYTHING
            for name in demand:
                found = meet_all(found, self._of_schema(name), self.places[name])
            self._forms[demand] = found
        return self._forms[demand]

    def checked_forms(self, demand: Demand) -> Forms:
        """As `forms`, where a loop is the user's mistake."""
        try:
            return self.forms(demand)
        except Loop as loop:
            raise GrammarError(
                f"{located(self.places.get(str(loop), '#'))}: it refers to itself for the same value, without "
                "end; a schema may refer to itself only inside properties, additionalProperties, items or prefixItems"
            ) from None

    def _of_schema(self, name: str) -> Forms:
        if (name,) in self._forms:
            return self._forms[(name,)]
        if name in self._open:
            raise Loop(name)
        self._open.append(name)
        try:
            found = self.read(self._schemas[name], self.places[name])
        finally:
            self._open.pop()
        self._forms[(name,)] = found
        return found

    def read(self, told: dict[str, Any], place: str) -> Forms:
        schema, found = Schema(told, place, self), ANYTHING
        for name, keyword in KEYWORDS.items():
            if name in told:
                found = keyword.read(schema, found)
        return found

    def possible(self, demand: Demand) -> bool:
        if demand not in self._possible:
            self._possible[demand] = True  # what a value inside itself would have to be is left open
            try:
                with naming(f"JSON schema at {self.places[demand[-1]]}"):
                    found = any(form.possible(self) for form in self.forms(demand))
            except Loop:
                del self._possible[demand]
                return True
            self._possible[demand] = found
            if not found:
                self.impossible.append(self.places[demand[-1]])
        return self._possible[demand]
