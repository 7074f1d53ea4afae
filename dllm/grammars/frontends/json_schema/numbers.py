"""JSON numbers as lexemes: all of them, whole ones, and those within bounds.

A number means what `json.loads` makes of it: an int of any size, or, with a point or an exponent, the nearest double.
So a bound must hold after rounding. Up to 15 significant digits, different decimals are different doubles, and rounding
never crosses a double: that is all these patterns rely on.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal

from dllm.grammars.regex import NOTHING, And, Regex, alt, chars, literal, optional, plus, repeat, seq

EXACT_DIGITS = 15
"""Decimals of so many significant digits survive a double."""

_PLAIN = 10**22  # whole numbers below it are written without an exponent if a double holds them
_DIGIT = chars("", ("0", "9"))
_ZEROS = seq(literal("."), plus(chars("0")))
_NATURAL = alt(chars("0"), seq(chars("", ("1", "9")), repeat(_DIGIT)))
_SHORT = alt(chars("0"), seq(chars("", ("1", "9")), repeat(_DIGIT, 0, EXACT_DIGITS - 1)))
_FRACTION = seq(literal("."), plus(_DIGIT))
_MINUS = literal("-")

NUMBER = seq(
    optional(_MINUS), _NATURAL, optional(_FRACTION), optional(seq(chars("eE"), optional(chars("+-")), plus(_DIGIT)))
)
"""Any JSON number."""


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


def value_text(value: int | float) -> Regex:
    """Spellings of one number: digits where they are few and mean just that, else as `json.dumps` writes it."""
    text = json.dumps(value)
    if abs(value) < _PLAIN and value == int(value) == float(value):
        whole = seq(literal(str(int(value))), optional(_ZEROS))
        return alt(whole, literal(text)) if "e" in text else seq(optional(_MINUS), whole) if value == 0 else whole
    if isinstance(value, float) and "e" not in text:
        return seq(literal(text), repeat(chars("0")))
    return literal(text)


def wholes(low: int | None, high: int | None, step: int = 1) -> Regex:
    """Whole numbers within inclusive bounds, perhaps with `.0` behind up to 15 digits.

    Args:
        low, high: no bound if None.
        step: they must be multiples of it; a divisor of 1000.
    """

    def magnitudes(least: int, most: int | None) -> Regex:
        found = _between(least, most)
        if step > 1:
            found = And(found, _multiples(step))
        if most is not None and most < 10**EXACT_DIGITS:
            return seq(found, optional(_ZEROS))
        short = _SHORT if found == _NATURAL else And(found, _SHORT)
        return alt(found, seq(short, _ZEROS))

    ways: list[Regex] = []
    if high is None or high >= 0:
        ways.append(magnitudes(max(low or 0, 0), high))
    if low is None or low <= 0:
        ways.append(seq(_MINUS, magnitudes(max(-(high or 0), 0), None if low is None else -low)))
    return alt(*ways)


def decimals(low: Decimal | None, high: Decimal | None) -> Regex:
    """Numbers without an exponent within inclusive bounds."""

    def magnitudes(least: Decimal, most: Decimal | None) -> Regex:
        above = _decimal_at_least(least)
        return above if most is None else And(above, _decimal_at_most(most))

    zero = Decimal(0)
    ways: list[Regex] = []
    if high is None or high >= 0:
        ways.append(magnitudes(max(low or zero, zero), high))
    if low is None or low <= 0:
        ways.append(seq(_MINUS, magnitudes(max(-(high or zero), zero), None if low is None else -low)))
    return alt(*ways)


def inclusive(bound: Decimal, exclusive: bool, sign: int) -> Decimal:
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


def _multiples(step: int) -> Regex:
    """Digits of the multiples of a divisor of 10, 100 or 1000, which the last digits decide."""
    places = next(count for count in (1, 2, 3) if 10**count % step == 0)
    below = alt(*(literal(str(number)) for number in range(0, 10**places, step)))
    endings = alt(*(literal(f"{number:0{places}}") for number in range(0, 10**places, step)))
    return alt(below, seq(chars("", ("1", "9")), repeat(_DIGIT), endings))


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
