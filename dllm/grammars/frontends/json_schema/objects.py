"""Objects: their keywords, what a schema asks of one, and its productions.

A text whose value is valid is rejected where

- *order*: the keys of an object from `const` or `enum` are in another order than there; or, under
  `property_order="schema"`, keys are not in the order of `properties`, `required`, then the others, where those of a
  schema itself precede those of its `$ref`, `allOf`, `anyOf` and `oneOf`;
- *repetition*: a required key comes twice, or repeated keys exceed `maxProperties`. An optional key may be repeated:
  the last one counts, and each is valid.

"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.forms import NEVER, Context, Demand, Form, Forms, all_of, fits, lower, narrowed
from dllm.grammars.frontends.json_schema.keys import (
    ANY_KEY,
    Classes,
    common_classes,
    demand_of,
    partition,
    spellings,
)
from dllm.grammars.frontends.json_schema.productions import CLOSE, COLON, COMMA, OPEN, Productions
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, located
from dllm.grammars.frontends.json_schema.spelling import STRING, as_json, quoted_text
from dllm.grammars.frontends.json_schema.strings import StringForm
from dllm.grammars.regex import Regex, alt
from dllm.grammars.rules import Body

_IN_ORDER = "they come in the order of the schema, since any order would take long"
MANY = 64
"""Required keys of an object up to which they come in any order, unless that is asked for."""


@dataclass(frozen=True, slots=True)
class ObjectForm(Form):
    """Objects.

    Attributes:
        named: keys with a demand of their own, in order; among them all required ones.
        required: keys that must be there, in the order of `named`.
        others: what the values of all other keys are, by classes of keys.
        low, high: bounds of the number of keys.
        fixed: the keys come in this order and once each, as in the value of a `const`.
    """

    TYPES: ClassVar = ("object",)
    named: tuple[tuple[str, Demand], ...] = ()
    required: tuple[str, ...] = ()
    others: Classes = ((ANY_KEY, ()),)
    low: int = 0
    high: int | None = None
    fixed: bool = False

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
        first, second = (other, self) if other.fixed else (self, other)
        left, right = dict(first.named), dict(second.named)
        named = {key: all_of(first.demand_of(key), second.demand_of(key)) for key in {**left, **right}}
        needed = {*self.required, *other.required}
        required = tuple(key for key in named if key in needed)
        low, high = max(self.low, other.low), lower(self.high, other.high)
        if not fits(max(low, len(required)), high):
            return None
        others = common_classes(first.others, second.others)
        return type(self)(tuple(named.items()), required, others, low, high, first.fixed)

    def demand_of(self, key: str) -> Demand:
        """What the value of `key` is."""
        own = dict(self.named).get(key)
        return demand_of(key, self.others) if own is None else own

    def possible(self, context: Context) -> bool:
        named = dict(self.named)
        if not all(context.possible(named[key]) for key in self.required):
            return False
        return self.low <= len(named) or any(context.possible(demand) for _, demand in self.others)

    def bodies(self, grammar: Productions, context: Context, name: str) -> list[Body]:
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
