"""Arrays: their keywords, what a schema asks of one, and its productions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.forms import NEVER, Context, Demand, Form, Forms, all_of, fits, lower, narrowed
from dllm.grammars.frontends.json_schema.productions import BEGIN, COMMA, END, Productions
from dllm.grammars.frontends.json_schema.reading import MAX_COUNT, MAX_LENGTH, Keyword, Schema
from dllm.grammars.rules import Body


@dataclass(frozen=True, slots=True)
class ArrayForm(Form):
    """Arrays: `prefix` says what the first items are, `rest` what all others are; `low` to `high` items."""

    TYPES: ClassVar = ("array",)
    prefix: tuple[Demand, ...] = ()
    rest: Demand = ()
    low: int = 0
    high: int | None = None

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
        return type(self)(prefix, all_of(self.rest, other.rest), low, high)

    def possible(self, context: Context) -> bool:
        return all(map(context.possible, dict.fromkeys(self._item(index) for index in range(self.low))))

    def _item(self, index: int) -> Demand:
        return self.prefix[index] if index < len(self.prefix) else self.rest

    def bodies(self, grammar: Productions, context: Context, name: str) -> list[Body]:
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


def _unique_items(schema: Schema, found: Forms) -> Forms:
    if schema.told["uniqueItems"] is not False:
        raise schema.refused("uniqueItems", ": no context-free grammar compares items; remove it")
    return found


KEYWORDS = {
    "prefixItems": Keyword(_prefix_items, holds="schemas", since=Dialect.OF_2020),
    "uniqueItems": Keyword(_unique_items),
    "items": Keyword(_items, holds="schemas"),
    "additionalItems": Keyword(_additional_items, holds="schemas", until=Dialect.OF_2019),
    "minItems": Keyword(lambda schema, found: narrowed(found, ArrayForm(low=schema.count("minItems", MAX_LENGTH)))),
    "maxItems": Keyword(lambda schema, found: narrowed(found, ArrayForm(high=schema.count("maxItems", MAX_LENGTH)))),
}
