"""`unevaluatedProperties` and `unevaluatedItems`: what no keyword tells, of a schema and of those for the same value.

What is told depends on which of those schemas a value satisfies. So all ways are gone through in which it may, each
with the keys and items that are told then, whose values may be anything: the keywords themselves have spoken of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product

from dllm.grammars.frontends.json_schema.arrays import ArrayForm
from dllm.grammars.frontends.json_schema.complements import overlapping, without
from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.forms import NEVER, Context, Demand, Form, Forms, all_of, narrowed
from dllm.grammars.frontends.json_schema.keys import ANY_KEY
from dllm.grammars.frontends.json_schema.objects import ObjectForm
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, located
from dllm.grammars.frontends.json_schema.strings import in_both, in_either, readings
from dllm.grammars.frontends.json_schema.types import ANYTHING, MAX_CASES, meet_all
from dllm.grammars.regex import Minus, Regex, alt

MAX_BRANCHES = 6
"""Of `anyOf`, any of which a value may satisfy together."""
_EVERY_KEY = ("additionalProperties", "unevaluatedProperties")


@dataclass(frozen=True, slots=True)
class Told:
    """The keys and items that are told.

    Attributes:
        keys: by name.
        trees: by pattern.
        all_keys: all of them.
        items: so many first ones.
        all_items: all of them.
        counted: those that satisfy one of these, by `contains`.
    """

    keys: tuple[str, ...] = ()
    trees: tuple[Regex, ...] = ()
    all_keys: bool = False
    items: int = 0
    all_items: bool = False
    counted: tuple[Demand, ...] = ()

    def __or__(self, other: Told) -> Told:
        return Told(
            tuple(dict.fromkeys(self.keys + other.keys)),
            tuple(dict.fromkeys(self.trees + other.trees)),
            self.all_keys or other.all_keys,
            max(self.items, other.items),
            self.all_items or other.all_items,
            tuple(dict.fromkeys(self.counted + other.counted)),
        )

    def object(self, demand: Demand) -> ObjectForm:
        """All other keys have values of `demand`."""
        if self.all_keys:
            return ObjectForm()
        tree = alt(*self.trees)
        others = ((tree, ()), (Minus(ANY_KEY, tree), demand)) if self.trees else ((ANY_KEY, demand),)
        return ObjectForm(tuple((key, ()) for key in self.keys), others=others)

    def array(self, demand: Demand, context: Context) -> ArrayForm:
        """All other items satisfy `demand`."""
        if self.all_items:
            return ArrayForm()
        if self.counted:  # or are counted: what neither is may not be
            neither = context.negation(demand)
            for counted in self.counted:
                neither = all_of(neither, context.negation(counted))
            demand = context.negation(neither)
        return ArrayForm(((),) * self.items, demand)


Way = tuple[Forms, Told]
"""Values that satisfy some schemas, and what these tell."""


def _ways(schema: Schema) -> list[Way]:
    """The ways to satisfy a schema, or those schemas in it that are for the same value; some overlap."""
    found: list[Way] = [(ANYTHING, _told(schema))]
    for keyword, read in _SAME_VALUE.items():
        if keyword in schema.told:
            found = _met(found, list(read(schema, keyword)), schema)
    return found


def _met(left: Iterable[Way], right: Iterable[Way], schema: Schema) -> list[Way]:
    found = [
        (forms, one | other)
        for (these, one), (those, other) in product(left, right)
        if (forms := meet_all(these, those, schema.place))
    ]
    if sum(len(forms) for forms, _ in found) > MAX_CASES:
        raise schema.refused(
            next(key for key in KEYWORDS if key in schema.told), f": what is told there is over {MAX_CASES} cases"
        )
    return list(dict.fromkeys(found))


def _of(schema: Schema, demand: Demand) -> list[Way]:
    """The ways to satisfy a demand of one schema."""
    if demand in ((), NEVER):
        return [] if demand else [(ANYTHING, Told())]
    context = schema.context
    inner = Schema(*context.told(demand), context)
    return [(meet_all(forms, context.forms(demand), inner.place), told) for forms, told in _ways(inner)]


def _told(schema: Schema) -> Told:
    """What the keywords of one schema tell by themselves."""
    told, trees = schema.told, []
    either = in_either if schema.context.wide else in_both
    for pattern in told.get("patternProperties", ()):
        trees.append(either(*readings(pattern, f"{located(schema.place)}: pattern")))
    listed = schema.draft is Dialect.OF_2019 and isinstance(told.get("items"), list)
    first = told["items"] if listed else told.get("prefixItems", ()) if schema.draft >= Dialect.OF_2020 else ()
    every = "unevaluatedItems" in told or ("additionalItems" in told if listed else "items" in told)
    # in 2019-09 `contains` tells nothing, but some readers think it does
    counts = "contains" in told and (schema.context.wide or schema.draft >= Dialect.OF_2020)
    return Told(
        tuple(told.get("properties", ())),
        tuple(trees),
        any(key in told for key in _EVERY_KEY),
        len(first),
        every,
        (schema.demand("contains"),) if counts else (),
    )


def _reference(schema: Schema, keyword: str) -> Iterator[Way]:
    context = schema.context
    yield from _of(schema, context.demand(*context.target(keyword, schema.told[keyword], schema.place)))


def _branches(schema: Schema, keyword: str) -> list[Demand]:
    return [schema.demand(keyword, index) for index in range(len(schema.told[keyword]))]


def _all_of(schema: Schema, keyword: str) -> Iterator[Way]:
    found: list[Way] = [(ANYTHING, Told())]
    for branch in _branches(schema, keyword):
        found = _met(found, _of(schema, branch), schema)
    yield from found


def _any_of(schema: Schema, keyword: str) -> Iterator[Way]:
    """What satisfies several branches is told by them all. That it does not satisfy others need not be said."""
    branches = _branches(schema, keyword)
    if len(branches) > MAX_BRANCHES:
        raise schema.refused(keyword, f" beside unevaluated...: up to {MAX_BRANCHES} branches are; use oneOf")
    ways = [_of(schema, branch) for branch in branches]
    for count in range(1, len(ways) + 1):
        for some in combinations(ways, count):
            found: list[Way] = [(ANYTHING, Told())]
            for way in some:
                found = _met(found, way, schema)
            yield from found


def _one_of(schema: Schema, keyword: str) -> Iterator[Way]:
    context, branches = schema.context, _branches(schema, keyword)
    pairs = list(overlapping(branches, context))
    for at, branch in enumerate(branches):
        for forms, told in _of(schema, branch):
            for other in (other for one, other in pairs if one == at):
                forms = without(forms, context.flipped().forms(branches[other]), context, schema.place)
            yield forms, told


def _if(schema: Schema, keyword: str) -> Iterator[Way]:
    context, condition = schema.context, schema.demand(keyword)
    then = _of(schema, schema.demand("then")) if "then" in schema.told else [(ANYTHING, Told())]
    otherwise = _of(schema, schema.demand("else")) if "else" in schema.told else [(ANYTHING, Told())]
    yield from _met(_of(schema, condition), then, schema)
    unmet = without(ANYTHING, context.flipped().forms(condition), context, schema.place)
    yield from _met([(unmet, Told())], otherwise, schema)


def _dependent(schema: Schema, keyword: str) -> Iterator[Way]:
    found: list[Way] = [(ANYTHING, Told())]
    for key in schema.told[keyword]:
        lacking = narrowed(ANYTHING, ObjectForm(((key, NEVER),)))
        having: Forms = (ObjectForm.requiring([key]),)
        ways = [(lacking, Told()), *_met([(having, Told())], _of(schema, schema.demand(keyword, key)), schema)]
        found = _met(found, ways, schema)
    yield from found


def _old_dependencies(schema: Schema, keyword: str) -> Iterator[Way]:
    raise schema.refused(keyword, " beside unevaluated...; say it by dependentSchemas")


_SAME_VALUE: dict[str, Callable[[Schema, str], Iterator[Way]]] = {
    **dict.fromkeys(("$ref", "$recursiveRef", "$dynamicRef"), _reference),
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "if": _if,
    "dependentSchemas": _dependent,
    "dependencies": _old_dependencies,
}
"""Keywords with schemas for the same value: the ways to satisfy them. (`not` tells nothing.)"""


def _rest(keyword: str, form: Callable[[Told, Demand, Context], Form]) -> Keyword:
    def read(schema: Schema, found: Forms) -> Forms:
        demand = schema.demand(keyword)
        if not demand:
            return found
        outer = Schema(
            {key: value for key, value in schema.told.items() if key != keyword}, schema.place, schema.context
        )
        ways = [
            narrowed(meet_all(found, forms, schema.place), form(told, demand, schema.context))
            for forms, told in _ways(outer)
        ]
        return schema.context.fewer(tuple(dict.fromkeys(one for way in ways for one in way)))

    return Keyword(read, holds="schemas", since=Dialect.OF_2019)


KEYWORDS = {
    "unevaluatedProperties": _rest("unevaluatedProperties", lambda told, demand, _: told.object(demand)),
    "unevaluatedItems": _rest("unevaluatedItems", lambda told, demand, context: told.array(demand, context)),
}
