"""Keywords that combine schemas of one and the same value: `$ref`, `allOf`, `anyOf`, `oneOf`, `not`, `if` and others.

A text whose value is valid is rejected where

- *discriminator*: `oneOf` has OpenAPI's `discriminator`, and the key it names is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dllm.grammars.frontends.json_schema.complements import fewer, overlapping, without
from dllm.grammars.frontends.json_schema.drafts import NEWEST, Dialect
from dllm.grammars.frontends.json_schema.forms import NEVER, Demand, Forms, narrowed
from dllm.grammars.frontends.json_schema.objects import ObjectForm
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, wrong
from dllm.grammars.frontends.json_schema.types import MAX_CASES, meet_all


def _reference(keyword: str, since: Dialect = Dialect.FOUR, until: Dialect = NEWEST) -> dict[str, Keyword]:
    def read(schema: Schema, found: Forms) -> Forms:
        context = schema.context
        target = context.target(keyword, schema.told[keyword], schema.place)
        return context.fewer(meet_all(found, context.forms(context.demand(*target)), schema.place))

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
        found = schema.context.fewer(meet_all(found, schema.context.forms(branch), schema.place))
    return found


def _any_of(schema: Schema, found: Forms) -> Forms:
    return meet_all(found, _union(map(schema.context.forms, _branches(schema, "anyOf"))), schema.place)


def _one_of(schema: Schema, found: Forms) -> Forms:
    """The branches' union, each without the others that share values with it."""
    context = schema.context
    if not context.wide:
        found = _discriminated(schema, found)
    branches = list(_branches(schema, "oneOf"))
    ways = [meet_all(found, context.forms(branch), schema.place) for branch in branches]
    for one, other in overlapping(branches, context):
        ways[one] = without(ways[one], context.flipped().forms(branches[other]), context, schema.place)
    return _union(ways)


def _not(schema: Schema, found: Forms) -> Forms:
    return without(found, schema.context.flipped().forms(schema.demand("not")), schema.context, schema.place)


def _if(schema: Schema, found: Forms) -> Forms:
    """What satisfies `if` and `then`, or `else` and not `if`."""
    context, condition = schema.context, schema.demand("if")
    if "then" not in schema.told and "else" not in schema.told:
        return found
    met = meet_all(found, context.forms(condition), schema.place)
    if "then" in schema.told:
        met = meet_all(met, context.forms(schema.demand("then")), schema.place)
    unmet = without(found, context.flipped().forms(condition), context, schema.place)
    if "else" in schema.told:
        unmet = meet_all(unmet, context.forms(schema.demand("else")), schema.place)
    return fewer(_union((met, unmet)), context)


def _discriminated(schema: Schema, found: Forms) -> Forms:
    """The key that a discriminator names must be there: only then do branches exclude each other."""
    if "discriminator" not in schema.told:
        return found
    told = schema.told["discriminator"]
    key = told.get("propertyName") if isinstance(told, dict) else None
    if not isinstance(key, str):
        raise wrong(schema.place, "discriminator", told, "an object whose propertyName is the key that differs")
    return narrowed(found, ObjectForm.requiring([key]))


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
    "not": Keyword(_not, holds="schemas"),
    "if": Keyword(_if, holds="schemas", since=Dialect.SEVEN),
    "then": Keyword(lambda _, found: found, holds="schemas", since=Dialect.SEVEN),
    "else": Keyword(lambda _, found: found, holds="schemas", since=Dialect.SEVEN),
}
