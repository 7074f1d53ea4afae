"""Arrays: their keywords, what a schema asks of one, and its productions.

A text whose value is valid is rejected where

- *order*: the items of an array with `uniqueItems`, of which there are more than some, are not in the order of `enum`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Self

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.forms import NEVER, Context, Demand, Form, Forms, all_of, fits, lower, narrowed
from dllm.grammars.frontends.json_schema.productions import BEGIN, COMMA, END, Productions
from dllm.grammars.frontends.json_schema.reading import MAX_COUNT, MAX_LENGTH, Keyword, Schema
from dllm.grammars.frontends.json_schema.unique import distinct, finite_values
from dllm.grammars.rules import Body

MAX_COUNTED = 4_000
"""Places in an array, by how many items have been counted before, for which productions are made."""


@dataclass(frozen=True, slots=True)
class Count:
    """Of the items from `start` on, `low` to `high` satisfy `demand`."""

    demand: Demand
    low: int
    high: int | None = None
    start: int = 0

    def complement(self, context: Context) -> Iterable[Count]:
        """Too few, or too many."""
        if self.low:
            yield Count(self.demand, 0, self.low - 1, self.start)
        if self.high is not None:
            yield Count(self.demand, self.high + 1, None, self.start)

    def steps(self, context: Context, so_far: int) -> Iterable[tuple[Demand, int]]:
        """What the next item may satisfy, and the count then. Up to `low` it is enough to know of some that count."""
        if self.high is None:
            if so_far < self.low:
                yield self.demand, so_far + 1
            yield (), so_far
            return
        if so_far < self.high:
            yield self.demand, so_far + 1
        yield context.negation(self.demand), so_far


@dataclass(frozen=True, slots=True)
class ArrayForm(Form):
    """Arrays.

    Attributes:
        prefix: what the first items are.
        rest: what all others are.
        low, high: bounds of the number of items.
        counted: how many items satisfy something.
        unique: no two items are equal.
    """

    TYPES: ClassVar = ("array",)
    prefix: tuple[Demand, ...] = ()
    rest: Demand = ()
    low: int = 0
    high: int | None = None
    counted: tuple[Count, ...] = ()
    unique: bool = False

    @classmethod
    def among(cls, values: Sequence[Any], context: Context, place: str) -> Iterable[Self]:
        for value in values:
            if isinstance(value, list):
                items = tuple(context.constant(item, place) for item in value)
                yield cls(items, NEVER, len(items), len(items))

    def meet(self, other: Self) -> Self | None:
        low, high = max(self.low, other.low), lower(self.high, other.high)
        if not fits(low, high):
            return None
        size = max(len(self.prefix), len(other.prefix))
        prefix = tuple(all_of(self._item(index), other._item(index)) for index in range(size))
        counted = tuple(dict.fromkeys(self.counted + other.counted))
        return type(self)(prefix, all_of(self.rest, other.rest), low, high, counted, self.unique or other.unique)

    def possible(self, context: Context) -> bool:
        if not all(map(context.possible, dict.fromkeys(self._item(index) for index in range(self.low)))):
            return False
        return all(self._may_count(count, context) for count in self.counted if count.low)

    def _may_count(self, count: Count, context: Context) -> bool:
        """Whether an item may be there that counts."""
        end = len(self.prefix) + 1 if self.high is None else min(len(self.prefix) + 1, self.high)
        # with one item at least behind the prefix, if `start` is beyond it
        places = range(min(count.start, len(self.prefix)), end)
        return any(map(context.possible, dict.fromkeys(all_of(self._item(at), count.demand) for at in places)))

    def _item(self, index: int) -> Demand:
        return self.prefix[index] if index < len(self.prefix) else self.rest

    def plainer(self, context: Context) -> Self:
        return replace(self, prefix=tuple(map(context.plainer, self.prefix)), rest=context.plainer(self.rest))

    def complement(self, context: Context, place: str) -> Iterable[Self]:
        """Arrays of too few or too many items, with an item that is not what it should be, or counted otherwise."""
        kind = type(self)
        if self.low:
            yield kind(high=self.low - 1)
        if self.high is not None:
            yield kind(low=self.high + 1)
        for index, demand in enumerate(self.prefix):
            if demand:
                yield kind(((),) * index + (context.negation(demand),), low=index + 1)
        if self.rest == NEVER:
            yield kind(low=len(self.prefix) + 1)
        elif self.rest:
            yield kind(counted=(Count(context.negation(self.rest), 1, start=len(self.prefix)),))
        for count in self.counted:
            yield from (kind(counted=(other,)) for other in count.complement(context))
        if self.unique and fits(2, self.high):
            yield from self._with_equal_items(context, place)

    def _with_equal_items(self, context: Context, place: str) -> Iterable[Self]:
        """Arrays in which one of the values that items may have comes twice."""
        demands = dict.fromkeys(map(self._item, range(len(self.prefix) + 1)))
        try:
            values = finite_values(context, demands, place)
        except GrammarError:
            if not context.wide:
                raise
            return [type(self)(low=2)]
        return [type(self)(counted=(Count(context.constant(value, place), 2),)) for value in values]

    def bodies(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        if self.unique and (self.high is None or self.high > 1):
            if self.counted:
                raise GrammarError(
                    f"JSON schema at {name}: uniqueItems beside contains, or beside what not and oneOf make of items, "
                    "is not supported; remove it"
                )
            return distinct(grammar, context, name, self._item, self.low, self.high, len(self.prefix))
        if self.counted:
            return self._counting(grammar, context, name)
        known = len(self.prefix) if self.high is None else min(len(self.prefix), self.high)
        bodies: list[Body] = [(BEGIN, END)] if self.low == 0 else []
        # whatever is behind the items up to here; the items that must be there are written out in one body
        rest: str | None = None
        if self.high is None or self.high > known:
            high = None if self.high is None else self.high - known
            rest = grammar.listing(grammar.value(self.rest), max(self.low - known, 1), high, f"{name}:items")
        for index in range(known - 1, -1, -1):
            item = grammar.value(self.prefix[index])
            after = grammar.nonterminal(f"{name}:items")
            if self.low <= index + 1:
                grammar.add(after, (item,))
            if rest is not None:
                grammar.add(after, (item, COMMA, rest))
            rest = after
        return bodies if rest is None else [*bodies, (BEGIN, rest, END)]

    def _counting(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        """A nonterminal for each place and each of the counts there: all items from there on, at least one."""
        starts = [count.start for count in self.counted]
        far = max([len(self.prefix), self.low, *starts] if self.high is None else [self.high])
        begin = (0, (0,) * len(self.counted))
        names = {begin: grammar.nonterminal(f"{name}:items")}
        queue = [begin]

        def ends(place: tuple[int, tuple[int, ...]]) -> bool:
            enough = all(number >= count.low for number, count in zip(place[1], self.counted, strict=True))
            return place[0] >= self.low and enough

        for here in queue:  # grows
            index, numbers = here
            if index == self.high:
                continue
            ways = [
                count.steps(context, number) if index >= count.start else [((), number)]
                for number, count in zip(numbers, self.counted, strict=True)
            ]
            for way in product(*ways):
                demand = self._item(index)
                for also, _ in way:
                    demand = all_of(demand, also)
                if not context.possible(demand):
                    continue
                there = (min(index + 1, far), tuple(number for _, number in way))
                if there not in names:
                    names[there] = grammar.nonterminal(f"{name}:items")
                    queue.append(there)
                item = grammar.value(demand)
                grammar.add(names[here], *([(item,)] if ends(there) else []), (item, COMMA, names[there]))
            if len(queue) > MAX_COUNTED:
                raise GrammarError(
                    f"JSON schema at {name}: to count items as contains, not or oneOf asks for it takes over "
                    f"{MAX_COUNTED} places in the array; lower minItems, maxItems, minContains or maxContains"
                )
        return [*([(BEGIN, END)] if ends(begin) else []), (BEGIN, names[begin], END)]


def _prefix_items(schema: Schema, found: Forms) -> Forms:
    return _first_items(schema, found, "prefixItems")


def _first_items(schema: Schema, found: Forms, keyword: str) -> Forms:
    count = len(schema.value(keyword, list, "a list of schemas"))
    if count > MAX_COUNT:
        raise schema.too_many(keyword, count)
    return narrowed(found, ArrayForm(tuple(schema.demand(keyword, index) for index in range(count))))


def _items(schema: Schema, found: Forms) -> Forms:
    """All items behind `prefixItems`; before 2020-12 a list of schemas says what the first ones are."""
    if isinstance(schema.told["items"], list) and schema.draft <= Dialect.OF_2019:
        return _first_items(schema, found, "items")
    first = len(schema.told.get("prefixItems", ()))
    return narrowed(found, ArrayForm(((),) * first, schema.demand("items")))


def _additional_items(schema: Schema, found: Forms) -> Forms:
    """All items behind those of a list `items`; without one it asserts nothing."""
    first = schema.told.get("items")
    if not isinstance(first, list):
        return found
    return narrowed(found, ArrayForm(((),) * len(first), schema.demand("additionalItems")))


def _contains(schema: Schema, found: Forms) -> Forms:
    """Some items satisfy a schema; since 2019-09 as many as `minContains` and `maxContains` say."""
    demand, low, high = schema.demand("contains"), 1, None
    if "minContains" in schema.told:
        low = schema.count("minContains")
    if "maxContains" in schema.told:
        high = schema.count("maxContains")
    if not demand:
        low, high = (low, high) if fits(low, high) else (1, 0)
        return narrowed(found, ArrayForm(low=low, high=high))
    if not low and high is None:
        return found
    return narrowed(found, ArrayForm(counted=(Count(demand, low, high),)))


def _count_only(keyword: str) -> Keyword:
    """Read by `contains`, without which it asserts nothing."""

    def read(schema: Schema, found: Forms) -> Forms:
        schema.count(keyword)
        return found

    return Keyword(read, since=Dialect.OF_2019)


def _unique_items(schema: Schema, found: Forms) -> Forms:
    asked = schema.value("uniqueItems", bool, "true or false")
    return narrowed(found, ArrayForm(unique=True)) if asked else found


KEYWORDS = {
    "prefixItems": Keyword(_prefix_items, holds="schemas", since=Dialect.OF_2020),
    "uniqueItems": Keyword(_unique_items),
    "items": Keyword(_items, holds="schemas"),
    "additionalItems": Keyword(_additional_items, holds="schemas", until=Dialect.OF_2019),
    "minItems": Keyword(lambda schema, found: narrowed(found, ArrayForm(low=schema.count("minItems", MAX_LENGTH)))),
    "maxItems": Keyword(lambda schema, found: narrowed(found, ArrayForm(high=schema.count("maxItems", MAX_LENGTH)))),
    "contains": Keyword(_contains, holds="schemas", since=Dialect.SIX),
    "minContains": _count_only("minContains"),
    "maxContains": _count_only("maxContains"),
}
