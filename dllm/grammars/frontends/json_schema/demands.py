"""The keywords of JSON Schema: from a schema to its forms. A keyword that is not honoured is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema.arrays import arrays, objects
from dllm.grammars.frontends.json_schema.forms import (
    ANYTHING,
    NEVER,
    ArrayForm,
    Form,
    NumberForm,
    ObjectForm,
    StringForm,
    Wanted,
    WordForm,
    has_text,
    meet_all,
)
from dllm.grammars.frontends.json_schema.reading import (
    TYPES,
    checked,
    numbers,
    shown,
    strings,
    telling,
    wrong,
)
from dllm.grammars.frontends.json_schema.references import References, inside

MAX_CASES = 20_000
_ARRAY_OF_ITEMS = "give the schemas of the first items as prefixItems, that of the others as items"


class Loop(Exception):
    """A schema whose forms are being worked out is needed to work them out."""


class Keywords:
    """Reads the schemas of one document.

    Schemas are named by their text without annotations, so equal ones are one.

    Args:
        document: the root schema.
        wide: leave out what forms narrow (patterns and formats, on which dialects differ; discriminators) and how
            branches of `oneOf` exclude each other. All that is valid has then a form, which is what a proof that
            branches share no value needs: a value that a narrow form leaves out may still be valid.

    Attributes:
        places: name -> where it was found first.
        impossible: where no value was found to be valid.
    """

    def __init__(self, document: Any, wide: bool = False) -> None:
        self._wide = wide
        self._wider: Keywords | None = None
        self.references = References(document)
        self.places: dict[str, str] = {}
        self.impossible: list[str] = []
        self._schemas: dict[str, dict[str, Any]] = {}
        self._forms: dict[Wanted, tuple[Form, ...]] = {}
        self._open: list[str] = []
        self._possible: dict[Wanted, bool] = {(): True, NEVER: False}

    def wanted(self, schema: Any, place: str) -> Wanted:
        """The demand that `schema`, found at `place`, makes.

        Raises:
            GrammarError: it is not a schema, or has a keyword that is not supported.
        """
        seen = [place]
        while isinstance(schema, dict):
            told = telling(schema, place)
            if set(told) != {"$ref"}:
                break
            schema, place = self.references.target(told["$ref"], place)
            if place in seen:
                raise GrammarError(f"JSON schema at {seen[0]}: $ref leads back to itself; it must lead to a schema")
            seen.append(place)
        if isinstance(schema, bool):
            return () if schema else NEVER
        if not isinstance(schema, dict):
            raise GrammarError(
                f"JSON schema at {place}: a schema is an object or a boolean, but here is {shown(schema)}"
                + (f"; {_ARRAY_OF_ITEMS}" if place.endswith("/items") else "")
            )
        if not told:
            return ()
        if "discriminator" in schema and "oneOf" in told:
            told["discriminator"] = schema["discriminator"]
        name = json.dumps(told)
        self._schemas.setdefault(name, told)
        self.places.setdefault(name, place)
        return (name,)

    def forms(self, wanted: Wanted) -> tuple[Form, ...]:
        """The union that `wanted` stands for; none: no value is valid.

        Raises:
            GrammarError: as `wanted`; or a keyword's value is wrong, or not supported.
            Loop: a schema refers to itself for one and the same value; only where `possible` asks.
        """
        if wanted == NEVER:
            return ()
        if wanted not in self._forms:
            found = ANYTHING
            for name in wanted:
                found = self._met(found, self._of_schema(name), self.places[name])
            self._forms[wanted] = found
        return self._forms[wanted]

    def checked_forms(self, wanted: Wanted) -> tuple[Form, ...]:
        """As `forms`, where a loop is the user's mistake."""
        try:
            return self.forms(wanted)
        except Loop as loop:
            raise GrammarError(
                f"JSON schema at {self.places.get(str(loop), '#')}: it refers to itself for the same value, without "
                "end; a schema may refer to itself only inside properties, additionalProperties, items or prefixItems"
            ) from None

    def _of_schema(self, name: str) -> tuple[Form, ...]:
        if (name,) in self._forms:
            return self._forms[(name,)]
        if name in self._open:
            raise Loop(name)
        self._open.append(name)
        try:
            found = self._read(self._schemas[name], self.places[name])
        finally:
            self._open.pop()
        self._forms[(name,)] = found
        return found

    def _met(self, left: tuple[Form, ...], right: tuple[Form, ...], place: str) -> tuple[Form, ...]:
        if len(left) * len(right) > MAX_CASES:
            raise GrammarError(
                f"JSON schema at {place}: allOf, anyOf and oneOf combine to over {MAX_CASES} cases; simplify them"
            )
        return meet_all(left, right)

    def _read(self, schema: dict[str, Any], place: str) -> tuple[Form, ...]:
        found = tuple(self._by_type(schema, place))
        if "const" in schema:
            found = self._met(found, tuple(self._values([schema["const"]], f"{place}/const")), place)
        if "enum" in schema:
            values = checked(schema, place, "enum", list, "a list of values")
            found = self._met(found, tuple(self._values(values, f"{place}/enum")), place)
        if "$ref" in schema:
            found = self._met(found, self.forms(self.wanted(*self.references.target(schema["$ref"], place))), place)
        for wanted in self._branches(schema, place, "allOf"):
            found = self._met(found, self.forms(wanted), place)
        if "anyOf" in schema:
            ways = (self.forms(wanted) for wanted in self._branches(schema, place, "anyOf"))
            found = self._met(found, tuple(dict.fromkeys(form for way in ways for form in way)), place)
        if "oneOf" in schema:
            found = self._one_of(schema, place, found)
        return found

    def _branches(self, schema: dict[str, Any], place: str, keyword: str) -> Iterator[Wanted]:
        if keyword in schema:
            branches = checked(schema, place, keyword, list, "a list of schemas, at least one")
            if not branches:
                raise wrong(place, keyword, branches, "a list of schemas, at least one")
            for index, branch in enumerate(branches):
                yield self.wanted(branch, inside(place, keyword, index))

    def _one_of(self, schema: dict[str, Any], place: str, others: tuple[Form, ...]) -> tuple[Form, ...]:
        """The branches' union, once it is sure that no value is valid under two of them."""
        if self._wide:
            return self._ways(schema, place, others)
        if self._wider is None:
            self._wider = Keywords(self.references.document, wide=True)
        wider = self._wider
        outer = wider._read({keyword: value for keyword, value in schema.items() if keyword != "oneOf"}, place)
        if "discriminator" in schema:  # the key it names must be there: only then do branches exclude each other
            shape = schema["discriminator"]
            key = shape.get("propertyName") if isinstance(shape, dict) else None
            if not isinstance(key, str):
                raise wrong(place, "discriminator", shape, "an object whose propertyName is the key that differs")
            tagged = tuple(ObjectForm(((key, ()),), (key,)) if form == ObjectForm() else form for form in ANYTHING)
            others, outer = meet_all(others, tagged), meet_all(outer, tagged)
        ways = [meet_all(outer, wider.forms(wanted)) for wanted in wider._branches(schema, place, "oneOf")]
        for second, way in enumerate(ways):
            for first in range(second):
                if any(map(wider.possible_form, meet_all(ways[first], way))):
                    raise GrammarError(
                        f"JSON schema at {place}: the branches {first} and {second} of oneOf may be valid for the same "
                        "value, which is not supported; let them differ by type or by a required key with different "
                        "const or enum values, or use anyOf"
                    )
        return self._ways(schema, place, others)

    def _ways(self, schema: dict[str, Any], place: str, others: tuple[Form, ...]) -> tuple[Form, ...]:
        ways = [self._met(others, self.forms(wanted), place) for wanted in self._branches(schema, place, "oneOf")]
        return tuple(dict.fromkeys(form for way in ways for form in way))

    def _values(self, values: list[Any], place: str) -> Iterator[Form]:
        """The forms that have just these values."""
        words = tuple(json.dumps(value) for value in values if value is None or isinstance(value, bool))
        if words:
            yield WordForm(tuple(dict.fromkeys(words)))
        numbers = tuple(value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
        if numbers:
            yield NumberForm(values=tuple(dict.fromkeys(numbers)))
        texts = tuple(value for value in values if isinstance(value, str))
        if texts:
            yield StringForm(texts=tuple(dict.fromkeys(texts)))
        for value in values:
            if isinstance(value, list):
                items = tuple(self.wanted({"const": item}, place) for item in value)
                yield ArrayForm(items, NEVER, len(items), len(items))
            elif isinstance(value, dict):
                named = tuple((key, self.wanted({"const": item}, place)) for key, item in value.items())
                yield ObjectForm(named, tuple(value), NEVER, fixed=True)

    def _by_type(self, schema: dict[str, Any], place: str) -> Iterator[Form]:
        asked = schema.get("type", [name for name in TYPES if name != "integer"])
        types = [asked] if isinstance(asked, str) else asked
        legal = f"one of {', '.join(TYPES)}, or a list of them"
        if not isinstance(types, list) or not types:
            raise wrong(place, "type", asked, legal)
        for name in types:
            if name not in TYPES:
                raise wrong(place, "type", name, legal + "." + nearest(str(name), TYPES))
        words = [word for word in ("null", "true", "false") if ("null" if word == "null" else "boolean") in types]
        if words:
            yield WordForm(tuple(words))
        # keywords are read even where their type cannot come: a wrong value is a mistake anywhere
        readers: dict[str, Callable[[dict[str, Any], str], Form | None]] = {
            "number": lambda schema, place: numbers(schema, place, "number" not in types),
            "string": self._strings,
            "array": lambda schema, place: arrays(schema, place, self.wanted),
            "object": lambda schema, place: objects(schema, place, self.wanted),
        }
        for name, read in readers.items():
            form = read(schema, place)
            if form is not None and (name in types or (name == "number" and "integer" in types)):
                yield form

    def _strings(self, schema: dict[str, Any], place: str) -> Form | None:
        form = strings(schema, place)
        return replace(form, patterns=()) if form is not None and self._wide else form

    def possible(self, wanted: Wanted) -> bool:
        """Whether a value satisfies `wanted`; "yes" where that is not certain, "no" never by mistake."""
        if wanted not in self._possible:
            self._possible[wanted] = True  # what a value inside itself would have to be is left open
            try:
                found = any(map(self.possible_form, self.forms(wanted)))
            except Loop:
                del self._possible[wanted]
                return True
            self._possible[wanted] = found
            if not found:
                self.impossible.append(self.places[wanted[-1]])
        return self._possible[wanted]

    def possible_form(self, form: Form) -> bool:
        """As `possible`, for one form."""
        match form:
            case NumberForm():
                return self._wide or form.has_number()
            case StringForm():
                return has_text(form)
            case ArrayForm(low=low):
                return all(map(self.possible, {form.item(index) for index in range(low)}))
            case ObjectForm(named=named, required=required, free=free, low=low):
                if not all(self.possible(form.of(key)) for key in required):
                    return False
                return low <= len(named) or self.possible(free)
        return True
