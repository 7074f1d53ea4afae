"""Numbers: their keywords, what a schema asks of one, and their lexemes: all of them, whole ones, those within bounds.

A number means what `json.loads` makes of it: an int of any size, or, with a point or an exponent, the nearest double.
So a bound must hold after rounding. Up to 15 significant digits, different decimals are different doubles, and rounding
never crosses a double: that is all these patterns rely on. 1.0 is an integer.

A text whose value is valid is rejected where

- *number*: a whole number has an exponent, or over 15 digits before `.0`; a number with bounds has an exponent, or is
  closer to an exclusive one than its 15th digit; one under `multipleOf` has an exponent, or a fraction and over 15
  digits, those up to the last place of the step counted; one from `const` or `enum` has an exponent, or does not fit a
  double, and is not written as `json.dumps` does.

How `json.loads` is limited is no part of this: by default Python reads no integer of over 4300 digits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar, Self, TypeVar

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.forms import Context, Form, Forms, narrowed
from dllm.grammars.frontends.json_schema.multiples import (
    LEGAL_STEPS,
    common_step,
    decimal_multiples,
    possible_step,
    whole_multiples,
)
from dllm.grammars.frontends.json_schema.productions import Productions, choice
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, located, shown
from dllm.grammars.regex import NOTHING, And, Minus, Regex, alt, chars, literal, optional, plus, repeat, seq
from dllm.grammars.rules import Body
from dllm.grammars.tables.automata import dfa

EXACT_DIGITS = 15
"""Decimals of so many significant digits survive a double."""

_PLAIN = 10**22  # whole numbers below it are written without an exponent if a double holds them
_DIGIT = chars("", ("0", "9"))
_ZEROS = seq(literal("."), plus(chars("0")))
_NATURAL = alt(chars("0"), seq(chars("", ("1", "9")), repeat(_DIGIT)))
_SHORT = alt(chars("0"), seq(chars("", ("1", "9")), repeat(_DIGIT, 0, EXACT_DIGITS - 1)))
_FRACTION = seq(literal("."), plus(_DIGIT))
_MINUS = literal("-")
_N = TypeVar("_N", int, Decimal)


@dataclass(frozen=True, slots=True)
class Bound:
    """An end of a range of numbers."""

    value: int | float
    exclusive: bool

    def below(self, number: int | float) -> bool:
        """Whether this, as a lower bound, lets `number` through."""
        return self.value < number or (self.value == number and not self.exclusive)

    def above(self, number: int | float) -> bool:
        """Whether this, as an upper bound, lets `number` through."""
        return self.value > number or (self.value == number and not self.exclusive)

    def floor(self) -> int:
        """The highest whole number that this, as an upper bound, lets through."""
        found = math.floor(self.value)
        return found - 1 if self.exclusive and found == self.value else found

    def ceil(self) -> int:
        """The lowest whole number that this, as a lower bound, lets through."""
        found = math.ceil(self.value)
        return found + 1 if self.exclusive and found == self.value else found

    def decimal(self) -> Decimal | None:
        """The value as it is written, or None if it has too many digits to compare with decimals after rounding."""
        number = Decimal(repr(self.value))
        fraction = max(0, -int(number.as_tuple().exponent))
        return number if len(str(abs(int(number)))) + fraction <= EXACT_DIGITS else None


@dataclass(frozen=True, slots=True)
class NumberForm(Form):
    """Numbers within bounds.

    Attributes:
        whole: only whole numbers, 1.0 included.
        step: they are multiples of it; None is no step.
        values: if not None, one of these; they already satisfy all else but `plain`.
        plain: whole ones are written without `.0`, as integers are in draft 4; only if `whole` or `values`.
        broken: only numbers that are not whole.
        unlike: whole numbers are multiples of none of these; only if `whole`.
    """

    TYPES: ClassVar = ("integer", "number")
    whole: bool = False
    low: Bound | None = None
    high: Bound | None = None
    step: Fraction | None = None
    values: tuple[int | float, ...] | None = None
    plain: bool = False
    broken: bool = False
    unlike: tuple[int, ...] = ()

    @classmethod
    def of_types(cls, types: Collection[str]) -> Self | None:
        return None if set(cls.TYPES).isdisjoint(types) else cls(whole="number" not in types)

    def without_fraction(self) -> Self:
        """The integers of draft 4, if these are whole numbers; else the same."""
        return replace(self, plain=True) if self.whole else self

    @classmethod
    def among(cls, values: Sequence[Any], context: Context, place: str) -> Iterable[Self]:
        numbers = (value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
        found = tuple(dict.fromkeys(numbers))
        return [cls(values=found)] if found else []

    def meet(self, other: Self) -> Self | None:
        low, high = self.low, self.high
        if other.low and (low is None or (other.low.value, other.low.exclusive) > (low.value, low.exclusive)):
            low = other.low
        if other.high and (
            high is None or (other.high.value, not other.high.exclusive) < (high.value, not high.exclusive)
        ):
            high = other.high
        values = self.values
        if values is None or other.values is None:
            values = other.values if values is None else values
        else:
            values = tuple(value for value in values if value in other.values)
        whole, plain = self.whole or other.whole, self.plain or other.plain
        broken, unlike = self.broken or other.broken, tuple(dict.fromkeys(self.unlike + other.unlike))
        form = type(self)(whole, low, high, common_step(self.step, other.step), values, plain, broken, unlike)
        if values is not None:
            values = tuple(value for value in values if form.allows(value))
            return type(self)(values=values, plain=plain) if values else None
        if whole and (broken or any(form.whole_step % step == 0 for step in unlike)):
            return None
        if low is None or high is None:
            return form
        if form.whole:
            first = -(-low.ceil() // form.whole_step) * form.whole_step
            last = min(high.floor(), first + math.lcm(form.whole_step, *unlike))
            return form if any(map(form.allows, range(first, last + 1, form.whole_step))) else None
        if form.step is not None:
            start, end = (Fraction(repr(bound.value)) for bound in (low, high))
            count = -(-start // form.step)
            number = form.step * (count + 1 if low.exclusive and count * form.step == start else count)
            return form if number < end or (number == end and not high.exclusive) else None
        return form if low.value < high.value or (low.below(high.value) and high.above(low.value)) else None

    @property
    def whole_step(self) -> int:
        """The step of those that are whole."""
        return 1 if self.step is None else self.step.numerator

    def allows(self, value: int | float) -> bool:
        whole = value == value // 1
        if whole if self.broken else self.whole and not whole:
            return False
        if not all(value % step for step in self.unlike):
            return False
        if self.step is not None and Fraction(repr(value)) % self.step:
            return False
        return (self.low is None or self.low.below(value)) and (self.high is None or self.high.above(value))

    def possible(self, context: Context) -> bool:
        """`meet` has looked at whole ones and values."""
        low, high = self._ends()
        ends = [bound for bound in (self.low, self.high) if bound]
        if self.broken and self.values is None and (ends or self.step) and all(bound.decimal() for bound in ends):
            return context.wide or any(dfa([self._tree("")], ["numbers"]).accepts)
        return context.wide or self.whole or self.values is not None or low is None or high is None or low <= high

    def finite(self, most: int) -> tuple[int | float, ...] | None:
        """The numbers, if they are `most` at most, and it is plain which."""
        if self.values is not None or not self.whole or self.low is None or self.high is None:
            return self.values
        low, high = self.low.ceil(), self.high.floor()
        return tuple(filter(self.allows, range(low, high + 1))) if high - low < most else None

    def _ends(self) -> tuple[Decimal | None, Decimal | None]:
        """The bounds made inclusive, for numbers that need not be whole; one of over 15 digits counts as none."""
        found: list[Decimal | None] = []
        for bound, sign in ((self.low, 1), (self.high, -1)):
            value = None if bound is None else bound.decimal()
            found.append(None if bound is None or value is None else _inclusive(value, bound.exclusive, sign))
        return found[0], found[1]

    def complement(self, context: Context, place: str) -> Iterable[Self]:
        """Numbers on the other side of a bound, that are not whole, or are no multiples; those between `values`."""
        kind = type(self)
        if context.wide and (self.plain or (self.step is not None and self.step.denominator > 1)):
            return [kind()]  # what readers disagree about may be one of the others
        if self.values is not None:
            ends = [None, *(Bound(value, exclusive=True) for value in sorted(self.values)), None]
            return [kind(low=low, high=high) for low, high in pairwise(ends)]
        found = [kind(True, step=Fraction(step)) for step in self.unlike]
        if self.low:
            found.append(kind(high=Bound(self.low.value, not self.low.exclusive)))
        if self.high:
            found.append(kind(low=Bound(self.high.value, not self.high.exclusive)))
        if self.step is not None and self.step.denominator == 1 and self.step > 1:
            found.append(kind(True, unlike=(self.whole_step,)))
        if self.whole:
            found.append(kind(broken=True))
        if self.broken:
            found.append(kind(True))
        return found

    def bodies(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        if context.options.plain_integers and (self.whole or self.values is not None) and not self.plain:
            return replace(self, plain=True).bodies(grammar, context, name)
        if self.values is not None:
            texts = [
                literal(str(int(value))) if self.plain and value == value // 1 else _value_text(value)
                for value in self.values
            ]
            return [(grammar.terminal(choice(map(str, self.values)), alt(*texts), "enum"),)]
        return [(grammar.terminal("INTEGER" if self.whole else "NUMBER", self._tree(name), "numbers"),)]

    def _tree(self, place: str) -> Regex:
        low, high = self.low, self.high
        step = Fraction(self.whole_step) if self.whole else self.step
        if step is not None and not possible_step(step):
            raise GrammarError(
                f"{located(place)}: all values of multipleOf together ask for multiples of {step}, which is not "
                f"supported; {LEGAL_STEPS}"
            )
        if self.whole:
            ends = low.ceil() if low else None, high.floor() if high else None
            return _wholes(*ends, self.whole_step, self.plain, self.unlike)
        multiples = None if self.step is None else seq(optional(_MINUS), decimal_multiples(self.step, EXACT_DIGITS))
        if self.broken:
            multiples = _BROKEN if multiples is None else And(multiples, _BROKEN)
        if low is None and high is None:
            return _NUMBER if multiples is None else multiples
        for bound in (low, high):
            if bound is not None and bound.decimal() is None:
                raise GrammarError(
                    f"{located(place)}: {shown(bound.value)} as a bound of numbers has over 15 digits, which "
                    "rounding to a double may change; use a shorter one, or the type integer"
                )
        within = _decimals(*self._ends())
        return within if multiples is None else And(within, multiples)


def _bound(keyword: str) -> Keyword:
    exclusive = keyword.startswith("exclusive")

    def read(schema: Schema, found: Forms) -> Forms:
        flag = f"exclusive{keyword.capitalize()}"
        if schema.draft is not Dialect.FOUR:
            bound = Bound(schema.number(keyword), exclusive)
        elif exclusive:  # in draft 4 it is a flag of `minimum` or `maximum`
            schema.value(keyword, bool, "true or false in draft 4")
            return found
        else:
            bound = Bound(schema.number(keyword), schema.told.get(flag) is True)
        return narrowed(found, NumberForm(low=bound) if keyword.endswith("inimum") else NumberForm(high=bound))

    return Keyword(read)


def _multiple_of(schema: Schema, found: Forms) -> Forms:
    step = schema.told["multipleOf"]
    if isinstance(step, bool) or not isinstance(step, int | float) or step <= 0:
        raise schema.wrong("multipleOf", "a number above 0")
    exact = Fraction(repr(step))
    if not possible_step(exact):
        raise schema.refused("multipleOf", f"; {LEGAL_STEPS}")
    if schema.context.wide and exact.denominator > 1:
        return found  # some readers divide doubles
    return narrowed(found, NumberForm(exact.denominator == 1, step=exact))


KEYWORDS = {
    **{name: _bound(name) for name in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")},
    "multipleOf": Keyword(_multiple_of),
}


# lexemes

_NUMBER = seq(
    optional(_MINUS), _NATURAL, optional(_FRACTION), optional(seq(chars("eE"), optional(chars("+-")), plus(_DIGIT)))
)
"""Any JSON number."""
_BROKEN = And(
    seq(optional(_MINUS), _NATURAL, literal("."), repeat(_DIGIT), chars("", ("1", "9")), repeat(_DIGIT)),
    seq(optional(_MINUS), repeat(chars(".", ("0", "9")), 0, EXACT_DIGITS + 1)),
)
"""Numbers that are not whole, even after rounding: of so few digits."""


def _value_text(value: int | float) -> Regex:
    """Spellings of one number: digits where they are few and mean just that, else as `json.dumps` writes it."""
    text = json.dumps(value)
    if abs(value) < _PLAIN and value == int(value) == float(value):
        whole = seq(literal(str(int(value))), optional(_ZEROS))
        return alt(whole, literal(text)) if "e" in text else seq(optional(_MINUS), whole) if value == 0 else whole
    if isinstance(value, float) and "e" not in text:
        return seq(literal(text), repeat(chars("0")))
    return literal(text)


def _wholes(low: int | None, high: int | None, step: int = 1, plain: bool = False, unlike: Sequence[int] = ()) -> Regex:
    """Whole numbers within inclusive bounds, perhaps with `.0` behind up to 15 digits.

    Args:
        low, high: no bound if None.
        step: they must be multiples of it.
        plain: none has `.0`.
        unlike: they must be multiples of none of these.
    """

    def magnitudes(least: int, most: int | None) -> Regex:
        found = _between(least, most)
        if step > 1:
            found = And(found, whole_multiples(step))
        for other in unlike:
            found = Minus(found, whole_multiples(other))
        if plain:
            return found
        if most is not None and most < 10**EXACT_DIGITS:
            return seq(found, optional(_ZEROS))
        short = _SHORT if found == _NATURAL else And(found, _SHORT)
        return alt(found, seq(short, _ZEROS))

    return _signed(low, high, 0, magnitudes)


def _decimals(low: Decimal | None, high: Decimal | None) -> Regex:
    """Numbers without an exponent within inclusive bounds."""

    def magnitudes(least: Decimal, most: Decimal | None) -> Regex:
        above = _decimal_at_least(least)
        return above if most is None else And(above, _decimal_at_most(most))

    return _signed(low, high, Decimal(0), magnitudes)


def _signed(low: _N | None, high: _N | None, zero: _N, magnitudes: Callable[[_N, _N | None], Regex]) -> Regex:
    """Numbers within inclusive bounds, where `magnitudes` has those from 0 on without their sign."""
    ways: list[Regex] = []
    if high is None or high >= zero:
        ways.append(magnitudes(max(low or zero, zero), high))
    if low is None or low <= zero:
        ways.append(seq(_MINUS, magnitudes(max(-(high or zero), zero), None if low is None else -low)))
    return alt(*ways)


def _inclusive(bound: Decimal, exclusive: bool, sign: int) -> Decimal:
    """An inclusive bound of at most 15 digits for an exclusive one; `sign` is 1 if the range is above it, else -1."""
    if not exclusive:
        return bound
    return bound + sign * Decimal(1).scaleb(len(str(abs(int(bound)))) - EXACT_DIGITS)


def _between(least: int, most: int | None) -> Regex:
    """Digits of natural numbers within inclusive bounds."""
    if most is None:
        return _at_least(least)
    return _at_most(most) if least == 0 else And(_at_least(least), _at_most(most))


def _at_least(number: int) -> Regex:
    if number == 0:
        return _NATURAL
    text = str(number)
    longer = seq(chars("", ("1", "9")), repeat(_DIGIT, len(text)))
    larger = [
        seq(literal(text[:at]), chars("", (chr(ord(digit) + 1), "9")), _any_digits(len(text) - at - 1))
        for at, digit in enumerate(text)
        if digit != "9"
    ]
    return alt(literal(text), *larger, longer)


def _at_most(number: int) -> Regex:
    if number < 0:
        return NOTHING
    text = str(number)
    ways = [literal(text)]
    for at, digit in enumerate(text):
        lowest = "1" if at == 0 and len(text) > 1 else "0"
        if digit > lowest:
            smaller = chars("", (lowest, chr(ord(digit) - 1)))
            ways.append(seq(literal(text[:at]), smaller, _any_digits(len(text) - at - 1)))
    if len(text) > 1:
        ways.append(alt(chars("0"), seq(chars("", ("1", "9")), repeat(_DIGIT, 0, len(text) - 2))))
    return alt(*ways)


def _any_digits(count: int) -> Regex:
    return repeat(_DIGIT, count, count)


def _decimal_at_least(number: Decimal) -> Regex:
    whole, fraction = _split(number)

    def digits(rest: str) -> Regex:
        if not rest:
            return repeat(_DIGIT)
        larger = NOTHING if rest[0] == "9" else chars("", (chr(ord(rest[0]) + 1), "9"))
        return alt(seq(larger, repeat(_DIGIT)), seq(literal(rest[0]), digits(rest[1:])))

    same = seq(literal("."), digits(fraction)) if fraction else optional(_FRACTION)
    return alt(seq(_at_least(whole + 1), optional(_FRACTION)), seq(literal(str(whole)), same))


def _decimal_at_most(number: Decimal) -> Regex:
    whole, fraction = _split(number)

    def digits(rest: str) -> Regex:
        if not rest:
            return plus(chars("0"))
        smaller = NOTHING if rest[0] == "0" else chars("", ("0", chr(ord(rest[0]) - 1)))
        return alt(seq(smaller, repeat(_DIGIT)), seq(literal(rest[0]), optional(digits(rest[1:]))))

    same = optional(seq(literal("."), digits(fraction)))
    return alt(seq(_at_most(whole - 1), optional(_FRACTION)), seq(literal(str(whole)), same))


def _split(number: Decimal) -> tuple[int, str]:
    """The whole part and the digits of the fraction, without zeros at its end."""
    whole = int(number)
    digits = format(number - whole, "f").partition(".")[2]
    return whole, digits.rstrip("0")
