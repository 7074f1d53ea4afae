"""Keywords that combine schemas of one and the same value: `$ref`, `allOf`, `anyOf`, `oneOf`.

`oneOf` is supported if no value can be valid under two branches, because they differ by type, by a required key with
different `const` or `enum`, by bounds or the like (patterns do not count).

A text whose value is valid is rejected where

- *discriminator*: `oneOf` has OpenAPI's `discriminator`, and the key it names is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.forms import Demand, Forms, narrowed
from dllm.grammars.frontends.json_schema.objects import ObjectForm
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, located, wrong
from dllm.grammars.frontends.json_schema.types import meet_all


def _ref(schema: Schema, found: Forms) -> Forms:
    context = schema.context
    target = context.target(schema.told["$ref"], schema.place)
    return meet_all(found, context.forms(context.demand(*target)), schema.place)


def _branches(schema: Schema, keyword: str) -> Iterator[Demand]:
    legal = "a list of schemas, at least one"
    branches = schema.value(keyword, list, legal)
    if not branches:
        raise schema.wrong(keyword, legal)
    for index in range(len(branches)):
        yield schema.demand(keyword, index)


def _union(ways: Iterable[Forms]) -> Forms:
    return tuple(dict.fromkeys(form for way in ways for form in way))


def _all_of(schema: Schema, found: Forms) -> Forms:
    for branch in _branches(schema, "allOf"):
        found = meet_all(found, schema.context.forms(branch), schema.place)
    return found


def _any_of(schema: Schema, found: Forms) -> Forms:
    return meet_all(found, _union(map(schema.context.forms, _branches(schema, "anyOf"))), schema.place)


def _one_of(schema: Schema, found: Forms) -> Forms:
    """The branches' union, once it is sure that no value is valid under two of them."""
    if not schema.context.wide:
        _require_exclusive_branches(schema)
        found = _discriminated(schema, found)
    return _union(meet_all(found, schema.context.forms(branch), schema.place) for branch in _branches(schema, "oneOf"))


def _discriminated(schema: Schema, found: Forms) -> Forms:
    """The key that a discriminator names must be there: only then do branches exclude each other."""
    if "discriminator" not in schema.told:
        return found
    told = schema.told["discriminator"]
    key = told.get("propertyName") if isinstance(told, dict) else None
    if not isinstance(key, str):
        raise wrong(schema.place, "discriminator", told, "an object whose propertyName is the key that differs")
    return narrowed(found, ObjectForm.requiring([key]))


def _require_exclusive_branches(schema: Schema) -> None:
    """Raises a GrammarError if a value may be valid under two branches of `oneOf`."""
    wider = schema.context.widened()
    others = {keyword: value for keyword, value in schema.told.items() if keyword != "oneOf"}
    outer = _discriminated(schema, wider.read(others, schema.place))
    branches = _branches(Schema(schema.told, schema.place, wider), "oneOf")
    ways = [meet_all(outer, wider.forms(branch)) for branch in branches]
    for second, way in enumerate(ways):
        for first in range(second):
            if any(form.possible(wider) for form in meet_all(ways[first], way)):
                raise GrammarError(
                    f"{located(schema.place)}: the branches {first} and {second} of oneOf may be valid for the "
                    "same value, which is not supported; let them differ by type or by a required key with different "
                    "const or enum values, or use anyOf"
                )


KEYWORDS = {
    "$ref": Keyword(_ref),
    "allOf": Keyword(_all_of, holds="schemas"),
    "anyOf": Keyword(_any_of, holds="schemas"),
    "oneOf": Keyword(_one_of, holds="schemas"),
}
