"""Keywords that combine schemas of one and the same value: `$ref`, `allOf`, `anyOf`, `oneOf`, `dependentSchemas`.

`oneOf` is supported if no value can be valid under two branches, because they differ by type, by a required key with
different `const` or `enum`, by bounds or the like (patterns do not count).

A text whose value is valid is rejected where

- *discriminator*: `oneOf` has OpenAPI's `discriminator`, and the key it names is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.drafts import NEWEST, Dialect
from dllm.grammars.frontends.json_schema.forms import NEVER, Demand, Forms, narrowed
from dllm.grammars.frontends.json_schema.objects import ObjectForm
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, located, wrong
from dllm.grammars.frontends.json_schema.types import MAX_CASES, meet_all


def _reference(keyword: str, since: Dialect = Dialect.FOUR, until: Dialect = NEWEST) -> dict[str, Keyword]:
    def read(schema: Schema, found: Forms) -> Forms:
        context = schema.context
        target = context.target(keyword, schema.told[keyword], schema.place)
        return meet_all(found, context.forms(context.demand(*target)), schema.place)

    return {keyword: Keyword(read, since=since, until=until)}


def _dependencies(keyword: str) -> Callable[[Schema, Forms], Forms]:
    """What must hold where a key is there: other keys too, or a schema for the whole object."""

    def read(schema: Schema, found: Forms) -> Forms:
        legal = "an object of lists of keys" if keyword == "dependentRequired" else "an object of schemas"
        told = schema.value(keyword, dict, legal if keyword != "dependencies" else f"{legal} or lists of keys")
        for key, asked in told.items():
            without, having = ObjectForm(((key, NEVER),)), ObjectForm.requiring([key])
            if isinstance(asked, list) and keyword != "dependentSchemas":
                if not all(isinstance(other, str) for other in asked):
                    raise schema.wrong(keyword, "an object of lists of keys")
                found = narrowed(found, without, ObjectForm.requiring([key, *asked]))
            elif keyword == "dependentRequired":
                raise schema.wrong(keyword, legal)
            else:
                others = tuple(form for form in found if not isinstance(form, ObjectForm))
                objects = tuple(form for form in found if isinstance(form, ObjectForm))
                bound = meet_all(narrowed(objects, having), schema.context.forms(schema.demand(keyword, key)))
                found = _union((others, narrowed(objects, without), bound)) if objects else found
            if len(found) > MAX_CASES:
                raise schema.refused(keyword, f": with the keys that may be there or not it is over {MAX_CASES} cases")
        return found

    return read


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
    **_reference("$ref"),
    **_reference("$recursiveRef", Dialect.OF_2019, Dialect.OF_2019),
    **_reference("$dynamicRef", Dialect.OF_2020),
    "dependencies": Keyword(_dependencies("dependencies"), "named schemas"),
    "dependentRequired": Keyword(_dependencies("dependentRequired"), since=Dialect.OF_2019),
    "dependentSchemas": Keyword(_dependencies("dependentSchemas"), "named schemas", since=Dialect.OF_2019),
    "allOf": Keyword(_all_of, holds="schemas"),
    "anyOf": Keyword(_any_of, holds="schemas"),
    "oneOf": Keyword(_one_of, holds="schemas"),
}
