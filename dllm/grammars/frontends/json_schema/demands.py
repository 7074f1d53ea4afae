"""What the schemas of one document ask for: by name, as forms, and whether any value is left."""

from __future__ import annotations

import json
from typing import Any

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.arrays import ArrayForm
from dllm.grammars.frontends.json_schema.complements import fewer, without
from dllm.grammars.frontends.json_schema.drafts import NEWEST, Dialect
from dllm.grammars.frontends.json_schema.forms import DEFAULT, NEVER, Context, Demand, Forms, Options, all_of
from dllm.grammars.frontends.json_schema.keywords import KEYWORDS, telling
from dllm.grammars.frontends.json_schema.notes import Notes
from dllm.grammars.frontends.json_schema.objects import ObjectForm
from dllm.grammars.frontends.json_schema.reading import Schema, located, shown
from dllm.grammars.frontends.json_schema.references import References
from dllm.grammars.frontends.json_schema.types import ANYTHING, meet_all
from dllm.grammars.tables.limits import naming

MAX_NEGATIONS = 12
"""A negation of what has a negation inside is one of so many steps at most."""
_ARRAY_OF_ITEMS = "give the schemas of the first items as prefixItems, that of the others as items"


class Loop(Exception):
    """A schema whose forms are being worked out is needed to work them out."""


class SchemaNames:
    """The schemas of a document by name, for both ways in which it is read.

    Attributes:
        references: where `$ref` leads in it.
        schemas: name -> keywords that assert something.
        places: name -> where it was found first.
        demands: place -> the demand of the schema there.
        negated: name of a negation -> what it negates.
        negations: the other way round.
    """

    def __init__(self, document: Any) -> None:
        self.references = References(document)
        self.schemas: dict[str, dict[str, Any]] = {}
        self.places: dict[str, str] = {}
        self.demands: dict[str, Demand] = {}
        self.negated: dict[str, Demand] = {}
        self.negations: dict[Demand, str] = {}


class Demands(Context):
    """Reads the schemas of one document.

    Schemas are named by their text without annotations, so equal ones are one.

    Args:
        document: the root schema.
        options, notes: as in `Context`.
        twin: the same document, read the other way.

    Attributes:
        document: as above.
        names: its schemas.
        places: those of `names`.
        impossible: where no value was found to be valid.
    """

    def __init__(self, document: Any, options: Options = DEFAULT, *, twin: Demands | None = None) -> None:
        self.document, self.options = document, options
        self.wide = twin is not None
        self.notes: Notes = twin.notes if twin else Notes()
        self.names: SchemaNames = twin.names if twin else SchemaNames(document)
        self.places = self.names.places
        self.impossible: list[str] = []
        self._twin = twin
        self._negated = self.names.negated
        self._read: dict[str, Forms] = {}
        self._forms: dict[Demand, Forms] = {}
        self._plainer: dict[Demand, Demand] = {}
        self._open: list[str] = []
        self._possible: dict[Demand, bool] = {(): True, NEVER: False}

    def flipped(self) -> Demands:
        if self._twin is None:
            self._twin = Demands(self.document, self.options, twin=self)
        return self._twin

    def negation(self, demand: Demand) -> Demand:
        """As in `Context`.

        Raises:
            GrammarError: it is one of one of one of ..., as recursive schemas can make it.
        """
        if demand in ((), NEVER):
            return () if demand else NEVER
        if len(demand) == 1 and demand[0] in self._negated:
            return self._negated[demand[0]]
        if demand not in self.names.negations:
            depth = 1 + max(self._depth(name) for name in demand)
            place = self.places[demand[-1]]
            if depth > MAX_NEGATIONS:
                raise GrammarError(
                    f"{located(place)}: by not, if, oneOf or contains it is negated inside its own negation over "
                    f"{MAX_NEGATIONS} times, which is not supported; use anyOf, or leave the recursion out of it"
                )
            name = f"not {depth} {len(self.names.negations)}"
            self.names.negations[demand], self._negated[name], self.places[name] = name, demand, place
        return (self.names.negations[demand],)

    def _depth(self, name: str) -> int:
        return int(name.split()[1]) if name in self._negated else 0

    def told(self, demand: Demand) -> tuple[dict[str, Any], str]:
        [name] = demand
        return self.names.schemas[name], self.places[name]

    def target(self, keyword: str, reference: Any, place: str) -> tuple[Any, str]:
        return self.names.references.target(keyword, reference, place)

    def draft(self, place: str) -> Dialect:
        return self.names.references.resource(place).draft

    def constant(self, value: Any, place: str) -> Demand:
        return self._named({"const": value}, place)

    def demand(self, schema: Any, place: str) -> Demand:
        """The demand that `schema`, found at `place`, makes.

        Raises:
            GrammarError: it is not a schema, or has a keyword that is not supported.
        """
        found = self.names.demands.get(place)
        if found is None:
            found = self.names.demands[place] = self._demand(schema, place)
        return found

    def _demand(self, schema: Any, place: str) -> Demand:
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
        resource = self.names.references.resource(place)
        # what is equal elsewhere may be of another draft, and its references may lead elsewhere
        name = json.dumps(told)
        if resource is not self.names.references.root:
            name += f" in {resource.place} of draft {resource.draft}"
        self.names.schemas.setdefault(name, told)
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
        found, known = ANYTHING, len(demand)
        while known and demand[:known] not in self._forms:
            known -= 1
        if known:
            found = self._forms[demand[:known]]
        for end in range(known + 1, len(demand) + 1):
            found = self._forms[demand[:end]] = self._with(found, demand[end - 1], demand[:end])
        return found

    def _with(self, found: Forms, name: str, demand: Demand) -> Forms:
        """Those of `found`, which are of the rest of `demand`, that satisfy the schema `name` too."""
        if self._contradicts_itself(demand):
            return ()
        if name in self._negated:
            return without(found, self.flipped().forms(self._negated[name]), self, self.places[name])
        return self.fewer(meet_all(found, self._of_schema(name), self.places[name]))

    def fewer(self, found: Forms) -> Forms:
        return fewer(found, self) if self._negated else found

    def plainer(self, demand: Demand) -> Demand:
        if len(demand) < 2:
            return demand
        if demand not in self._plainer:
            wider = self if self.wide else self.flipped()
            kept = demand
            for name in demand:
                if name in self._negated:
                    others = tuple(other for other in kept if other != name)
                    if others and not wider.possible(all_of(others, self._negated[name])):
                        kept = others
            self._plainer[demand] = kept if self.possible(kept) else NEVER
        return self._plainer[demand]

    def _contradicts_itself(self, demand: Demand) -> bool:
        """Whether something is asked for, and plainly its negation too; what is in doubt, `wide` has in both."""
        return not self.wide and any(set(self._negated.get(name, NEVER)) <= set(demand) for name in demand)

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
        if name in self._read:
            return self._read[name]
        if name in self._open:
            raise Loop(name)
        self._open.append(name)
        try:
            found = self.read(self.names.schemas[name], self.places[name])
        finally:
            self._open.pop()
        self._read[name] = found
        return found

    def read(self, told: dict[str, Any], place: str) -> Forms:
        schema, found = Schema(told, place, self), ANYTHING
        for name, keyword in KEYWORDS.items():
            if name in told:
                found = keyword.read(schema, found)
        return found

    def possible(self, demand: Demand) -> bool:
        """As in `Context`. Into arrays and objects without what is negated it is not looked: that may take long."""
        if self._negated:
            asked = tuple(name for name in demand if name not in self._negated)
            if len(asked) < len(demand):
                if not asked:
                    return True
                if not self.possible(asked):
                    return False
                if any(isinstance(form, ArrayForm | ObjectForm) for form in self.forms(asked)):
                    return True
        return self._looked_into(demand)

    def _looked_into(self, demand: Demand) -> bool:
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
