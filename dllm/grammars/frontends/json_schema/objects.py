"""Objects: their keywords, what a schema asks of one, and its productions.

A text whose value is valid is rejected where

- *order*: the keys of an object from `const` or `enum` are in another order than there; or, under
  `property_order="schema"`, keys are not in the order of `properties`, `required`, then the others, where those of a
  schema itself precede those of its `$ref`, `allOf`, `anyOf` and `oneOf`; or a key that no keyword names, but that must
  be there, as `not` and `oneOf` make it, is not the last one;
- *repetition*: a required key comes twice, or repeated keys exceed `maxProperties`. An optional key may be repeated:
  the last one counts, and each is valid.

"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.forms import NEVER, Context, Demand, Form, Forms, all_of, fits, lower, narrowed
from dllm.grammars.frontends.json_schema.keys import (
    ANY_KEY,
    Classes,
    common_classes,
    demand_of,
    none_of,
    partition,
    spellings,
)
from dllm.grammars.frontends.json_schema.productions import CLOSE, COLON, COMMA, OPEN, Productions
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, located
from dllm.grammars.frontends.json_schema.spelling import STRING, as_json, quoted_text
from dllm.grammars.frontends.json_schema.strings import StringForm, matches
from dllm.grammars.regex import NOTHING, Minus, Regex, alt
from dllm.grammars.rules import Body

_IN_ORDER = "they come in the order of the schema, since any order would take long"
MANY = 64
"""Required keys of an object up to which they come in any order, unless that is asked for."""
MAX_WAYS = 200
"""In which keys may be there of which only some are told."""


@dataclass(frozen=True, slots=True)
class SomeKey:
    """A key of `tree`, but none of `names`, is there, and its value satisfies `demand`."""

    tree: Regex
    names: tuple[str, ...]
    demand: Demand

    def has(self, key: str) -> bool:
        return key not in self.names and (self.tree == ANY_KEY or matches(self.tree, key))

    def spelled(self, others: Classes, context: Context) -> dict[Regex, Demand]:
        """How such keys are spelled, and what the values are, where those of keys that none names are `others`."""
        return {
            spelled: demand
            for tree, demand in common_classes(((self.tree, self.demand),), others)
            if context.possible(demand) and (spelled := spellings(tree, self.names)) is not None
        }


@dataclass(frozen=True, slots=True)
class ObjectForm(Form):
    """Objects.

    Attributes:
        named: keys with a demand of their own, in order; among them all required ones.
        required: keys that must be there, in the order of `named`.
        others: what the values of all other keys are, by classes of keys.
        low, high: bounds of the number of keys.
        fixed: the keys come in this order and once each, as in the value of a `const`.
        some: keys, of some that are not told, that must be there.
    """

    TYPES: ClassVar = ("object",)
    named: tuple[tuple[str, Demand], ...] = ()
    required: tuple[str, ...] = ()
    others: Classes = ((ANY_KEY, ()),)
    low: int = 0
    high: int | None = None
    fixed: bool = False
    some: tuple[SomeKey, ...] = ()

    @classmethod
    def requiring(cls, keys: Iterable[str]) -> Self:
        """Those that have all of `keys`."""
        found = tuple(dict.fromkeys(keys))
        return cls(tuple((key, ()) for key in found), found)

    @classmethod
    def among(cls, values: Sequence[Any], context: Context, place: str) -> Iterable[Self]:
        for value in values:
            if isinstance(value, dict):
                named = tuple((key, context.constant(item, place)) for key, item in value.items())
                yield cls(named, tuple(value), ((ANY_KEY, NEVER),), fixed=True)

    def meet(self, other: Self) -> Self | None:
        if self == type(self)():
            return other
        first, second = (other, self) if other.fixed else (self, other)
        left, right = dict(first.named), dict(second.named)
        named = {
            key: all_of(
                left[key] if key in left else demand_of(key, first.others),
                right[key] if key in right else demand_of(key, second.others),
            )
            for key in {**left, **right}
        }
        needed = {*self.required, *other.required}
        required = tuple(key for key in named if key in needed)
        low, high = max(self.low, other.low), lower(self.high, other.high)
        if not fits(max(low, len(required)), high):
            return None
        others = common_classes(first.others, second.others)
        some = tuple(dict.fromkeys(self.some + other.some))
        return type(self)(tuple(named.items()), required, others, low, high, first.fixed, some)

    def demand_of(self, key: str) -> Demand:
        """What the value of `key` is."""
        own = dict(self.named).get(key)
        return demand_of(key, self.others) if own is None else own

    def possible(self, context: Context) -> bool:
        if not all(any(True for _ in _with(self, one, context)) for one in self.some):
            return False
        named = dict(self.named)
        if not all(context.possible(named[key]) for key in self.required):
            return False
        return self.low <= len(named) or any(context.possible(demand) for _, demand in self.others)

    def holds(self, other: Self) -> bool:
        if self.fixed or not set(self.required) <= set(other.required) or not set(self.some) <= set(other.some):
            return False
        if self.low > other.low or lower(self.high, other.high) != other.high:
            return False
        mine, others = dict(self.named), dict(other.named)
        for key in {**mine, **others}:
            asked = mine[key] if key in mine else demand_of(key, self.others)
            there = others[key] if key in others else demand_of(key, other.others)
            if there != NEVER and not set(asked) <= set(there):
                return False
        if self.others == ((ANY_KEY, ()),):
            return True
        same = [tree for tree, _ in self.others] == [tree for tree, _ in other.others]
        pairs = zip(self.others, other.others, strict=False)
        return same and all(there == NEVER or set(asked) <= set(there) for (_, asked), (_, there) in pairs)

    def plainer(self, context: Context) -> Self:
        form = replace(self, named=tuple((key, context.plainer(demand)) for key, demand in self.named))
        if not self.some:
            return form
        return replace(form, some=tuple(one for one in self.some if not _has_surely(form, one)))

    def complement(self, context: Context, place: str) -> Iterable[Self]:
        """Objects without a required key, with one too few or too many, or with one whose value is another."""
        kind, names = type(self), tuple(key for key, _ in self.named)
        free = tuple((key, ()) for key in names)
        for key in self.required:
            yield kind(((key, NEVER),))
        for key, demand in self.named:
            if demand:
                yield kind(((key, context.negation(demand)),), (key,))
        for tree, demand in (*self.others, (none_of(self.others), NEVER)):
            if demand and tree != NOTHING:
                yield kind(free, some=(SomeKey(tree, names, context.negation(demand)),))
        for one in self.some:
            rest = () if one.tree == ANY_KEY else ((Minus(ANY_KEY, one.tree), ()),)
            named = tuple((key, ()) for key in one.names)
            yield kind(named, others=((one.tree, context.negation(one.demand)), *rest))
        if self.low:
            yield kind(high=self.low - 1)
        if self.high is not None:
            yield kind(low=self.high + 1)

    def bodies(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        """Its bodies, those of all ways to have the keys of `some`."""
        ways = _settled(self, context) if self.some else [self]
        return [body for way in ways for body in way.bodies_of_settled(grammar, context, name)]

    def bodies_of_settled(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        """A key of `some` that is not named comes last: so it is sure not to be repeated with another value."""
        if not self.some:
            return self.bodies_without_some(grammar, context, name)
        if len(self.some) > 1:
            raise GrammarError(
                f"JSON schema at {name}: that two keys must be there which no keyword names, as not and oneOf make it, "
                "is not supported; name them by required"
            )
        pairs = [
            _pair(grammar, grammar.terminal("KEY", tree, "names of other properties"), demand)
            for tree, demand in self.some[0].spelled(self.others, context).items()
        ]
        last = _one_of(grammar, pairs, name)
        if last is None:
            return []
        high = None if self.high is None else self.high - 1
        before = replace(self, some=(), low=self.low if self.low > 1 else 0, high=high)
        found = before.bodies_without_some(grammar, context, name)
        return [(*body[:-1], *([COMMA] if len(body) > 2 else []), last, CLOSE) for body in found]

    def bodies_without_some(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        """Its bodies. Optional keys may come again and again: the last counts, and each alone is valid."""
        possible = context.possible
        optional = [key for key, demand in self.named if key not in self.required and possible(demand)]
        names = [key for key, _ in self.named]
        free = {
            spelled: demand
            for tree, demand in self.others
            if possible(demand) and (spelled := spellings(tree, names)) is not None
        }
        if self.high == len(self.required):
            optional, free = [], {}
        most = None if free else len(self.required) + len(optional)
        least = max(len(self.required), 1)
        if most is not None and self.low > most:
            return []
        bounded = self.high is not None and (most is None or self.high < most)
        if self.low > least or (bounded and self.required):
            raise GrammarError(
                f"JSON schema at {name}: minProperties={self.low} and maxProperties={self.high} are not supported "
                f"here, where {len(self.required)} keys are required and others may come: a grammar cannot tell "
                "repeated keys apart; remove them, or require the keys by name"
            )
        pairs = {
            key: _pair(grammar, grammar.terminal(as_json(key), quoted_text(key), "properties"), demand)
            for key, demand in self.named
        }
        other = "STRING" if free.keys() == {STRING} else "KEY"
        rest = [
            _pair(grammar, grammar.terminal(other, tree, "names of other properties"), demand)
            for tree, demand in free.items()
        ]
        bodies: list[Body] = [] if self.required or self.low else [(OPEN, CLOSE)]
        many = grammar.order == "auto" and len(self.required) > MANY
        if many and not self.fixed:
            context.notes.add(f"property_order='auto', and over {MANY} required keys", grammar.place, _IN_ORDER)
        if not bounded and (grammar.order == "schema" or many or self.fixed):
            kept = [(pairs[key], key in self.required) for key in pairs if key in self.required or key in optional]
            return [*bodies, (OPEN, _in_order(grammar, kept, _one_of(grammar, rest, name), name), CLOSE)]
        others = [*(pairs[key] for key in optional), *rest]
        if bounded:
            extra = grammar.nonterminal(f"{name}:extra")
            grammar.add(extra, *((symbol,) for symbol in others))
            members = grammar.listing(extra, 1, self.high, name)
        else:
            members = _any_order(grammar, [pairs[key] for key in self.required], others, name)
        return [*bodies, (OPEN, members, CLOSE)]


def _settled(form: ObjectForm, context: Context) -> list[ObjectForm]:
    """The forms, as a union, in which `some` is of keys that are not named.

    Raises:
        GrammarError: they are too many.
    """
    found = [replace(form, some=())]
    for one in form.some:
        found = list(dict.fromkeys(way for before in found for way in _with(before, one, context)))
        if len(found) > MAX_WAYS:
            raise GrammarError(
                f"JSON schema: that one of some keys must be there, as not and oneOf make it, is over {MAX_WAYS} "
                "cases, which is not supported; use anyOf, or name the keys by required"
            )
    return found


def _has_surely(form: ObjectForm, one: SomeKey) -> bool:
    """Whether a required key is one."""
    named = dict(form.named)
    return any(set(one.demand) <= set(named[key]) and one.has(key) for key in form.required)


def _with(form: ObjectForm, one: SomeKey, context: Context) -> Iterator[ObjectForm]:
    """The ways to have the key too: as one that is named, or as another."""
    if _has_surely(form, one):
        yield form
        return
    named = dict(form.named)
    for key in filter(one.has, named):
        demand = all_of(named[key], one.demand)
        if not context.possible(demand):
            continue
        required = tuple(other for other in named if other == key or other in form.required)
        if fits(len(required), form.high):
            named_so = tuple((other, demand if other == key else asked) for other, asked in form.named)
            yield replace(form, named=named_so, required=required)
    free = SomeKey(one.tree, tuple(named), one.demand)
    common = common_classes(((one.tree, one.demand),), form.others)
    if fits(len(form.required) + 1, form.high) and any(context.possible(demand) for _, demand in common):
        yield replace(form, some=tuple(dict.fromkeys((*form.some, free))))


def _pair(grammar: Productions, key: str, demand: Demand) -> str:
    value = grammar.value(demand)
    return grammar.shared(("pair", key, value), f"{value}:pair", lambda _: [(key, COLON, value)])


def _one_of(grammar: Productions, symbols: Sequence[str], name: str) -> str | None:
    """A symbol for any of some; None if there are none."""
    if len(symbols) < 2:
        return symbols[0] if symbols else None
    found = grammar.nonterminal(f"{name}:other")
    grammar.add(found, *((symbol,) for symbol in symbols))
    return found


def _in_order(grammar: Productions, pairs: list[tuple[str, bool]], others: str | None, name: str) -> str:
    """At least one member: `pairs` one after the other, those that are not required perhaps left out."""
    rest: str | None = None if others is None else grammar.listing(others, 1, None, f"{name}:more")
    may_end = True  # whether nothing need come behind
    for pair, needed in reversed(pairs):
        here = grammar.nonterminal(f"{name}:members")
        if may_end:
            grammar.add(here, (pair,))
        if rest is not None:
            grammar.add(here, (pair, COMMA, rest))
            if not needed:
                grammar.add(here, (rest,))
        rest, may_end = here, may_end and not needed
    return rest or grammar.nonterminal(f"{name}:members")


def _any_order(grammar: Productions, required: Sequence[str], others: Sequence[str], name: str) -> str:
    """At least one member: each of `required` once, `others` any number of times between."""
    if len(required) > 1:
        return grammar.any_order(required, others, f"{name}:members")
    more = _one_of(grammar, others, name)
    if more is None:
        return required[0] if required else grammar.nonterminal(f"{name}:members")
    rest = grammar.listing(more, 1, None, f"{name}:more")
    if not required:
        return rest
    here = grammar.nonterminal(f"{name}:members")
    grammar.add(here, (required[0],), (required[0], COMMA, rest), (more, COMMA, here))
    return here


def _properties(schema: Schema, found: Forms) -> Forms:
    keys = schema.value("properties", dict, "an object of schemas")
    return narrowed(found, ObjectForm(tuple((key, schema.demand("properties", key)) for key in keys)))


def _classes(schema: Schema) -> tuple[tuple[Regex, frozenset[str] | None], ...]:
    """All keys, by which patterns of `patternProperties` match them."""
    told = schema.told.get("patternProperties", {})
    return partition(tuple(told), located(schema.place)) if isinstance(told, dict) else partition((), "")


def _pattern_properties(schema: Schema, found: Forms) -> Forms:
    """A key that is matched by one dialect only may not be there; or, where all is to be found, have any value."""
    schema.value("patternProperties", dict, "an object of schemas")
    doubtful = () if schema.context.wide else NEVER
    others = []
    for tree, matched in _classes(schema):
        demand: Demand = doubtful if matched is None else ()
        for pattern in sorted(matched or ()):
            demand = all_of(demand, schema.demand("patternProperties", pattern))
        others.append((tree, demand))
    return narrowed(found, ObjectForm(others=tuple(others)))


def _additional_properties(schema: Schema, found: Forms) -> Forms:
    named = tuple((key, ()) for key in schema.told.get("properties", ()))
    free = schema.demand("additionalProperties")
    others = tuple((tree, free if matched is not None and not matched else ()) for tree, matched in _classes(schema))
    return narrowed(found, ObjectForm(named, others=others))


def _property_names(schema: Schema, found: Forms) -> Forms:
    """Keys are strings of some forms; one of no form may not be there."""
    forms = schema.context.forms(schema.demand("propertyNames"))
    trees = [form.meant() for form in forms if isinstance(form, StringForm)]
    return narrowed(found, ObjectForm(others=((alt(*trees), ()),)))


def _required(schema: Schema, found: Forms) -> Forms:
    keys = schema.value("required", list, "a list of keys")
    if not all(isinstance(key, str) for key in keys):
        raise schema.wrong("required", "a list of keys")
    return narrowed(found, ObjectForm.requiring(keys))


KEYWORDS = {
    "properties": Keyword(_properties, holds="named schemas"),
    "patternProperties": Keyword(_pattern_properties, holds="named schemas"),
    "propertyNames": Keyword(_property_names, holds="schemas", since=Dialect.SIX),
    "additionalProperties": Keyword(_additional_properties, holds="schemas"),
    "required": Keyword(_required),
    "minProperties": Keyword(lambda schema, found: narrowed(found, ObjectForm(low=schema.count("minProperties")))),
    "maxProperties": Keyword(lambda schema, found: narrowed(found, ObjectForm(high=schema.count("maxProperties")))),
}
