"""Multiples of a number, as digits: what `multipleOf` asks for.

A step is `2^a 5^b p / 10^f`. The last digits tell whether a number is a multiple of `2^a 5^b`, and an automaton that
counts modulo p whether it is one of p. Numbers are decimals, as they are written: 0.07 is a multiple of 0.01, though
their nearest doubles do not divide.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import gcd, lcm

from dllm.grammars.regex import EMPTY, And, Regex, alt, chars, literal, repeat, seq

MAX_PLACES = 3
"""Last digits that are looked at, at most."""
MAX_DECIMALS = 9
"""Decimal places of a step."""
LEGAL_STEPS = (
    f"it may be a divisor of {10**MAX_PLACES}, which last digits tell, perhaps times 3 or 7, with up to {MAX_DECIMALS} "
    "decimal places: use one, or remove it"
)
ODD = (1, 3, 7)
"""What a step may have as a factor beside 2 and 5."""
_DIGIT = chars("", ("0", "9"))
_NATURAL = alt(chars("0"), seq(chars("", ("1", "9")), repeat(_DIGIT)))


def common_step(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    """Of what is a multiple of both; None is no step."""
    if left is None or right is None:
        return right if left is None else left
    return Fraction(lcm(left.numerator * right.denominator, right.numerator * left.denominator)) / (
        left.denominator * right.denominator
    )


def possible_step(step: Fraction) -> bool:
    """Whether its multiples can be told."""
    ten, odd = _factors(_scaled(step)[0])
    return odd in ODD and _places(ten) is not None and _scaled(step)[1] <= MAX_DECIMALS


def whole_multiples(step: int) -> Regex:
    """Digits of the natural numbers that are multiples of a step."""
    ten, odd = _factors(step)
    found = _ending(ten, 0)
    return found if odd == 1 else And(found, _modulo(odd))


def decimal_multiples(step: Fraction, digits: int) -> Regex:
    """Digits of the decimals without a sign that are multiples of a step.

    Args:
        digits: of those that are written with a fraction, at most, but for zeros at the end.
    """
    whole, places = _scaled(step)
    ten, odd = _factors(whole)
    ways = [_ending(ten // gcd(ten, 10**places), 0)]
    short = repeat(_DIGIT, 1, digits - places)
    for written in range(1, places + 1):
        fraction = _ending(ten // gcd(ten, 10 ** (places - written)), written)
        zeros = repeat(chars("0")) if written == places else EMPTY
        ways.append(seq(And(fraction, seq(short, literal("."), repeat(_DIGIT))), zeros))
    if not places:
        ways.append(seq(And(_ending(ten, 0), repeat(_DIGIT, 1, digits)), literal("."), repeat(chars("0"), 1)))
    found = alt(*ways)
    return found if odd == 1 else And(found, _modulo(odd))


def _scaled(step: Fraction) -> tuple[int, int]:
    """A whole number, and how many places it is moved by."""
    places = 0
    while (step * 10**places).denominator > 1:
        places += 1
    return int(step * 10**places), places


def _factors(number: int) -> tuple[int, int]:
    """Its part of twos and fives, and the rest."""
    rest = number
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return number // rest, rest


def _places(ten: int) -> int | None:
    """Last digits that tell whether a number is a multiple; None if they are too many."""
    return next((places for places in range(MAX_PLACES + 1) if 10**places % ten == 0), None)


def _ending(ten: int, written: int) -> Regex:
    """Natural numbers with a point before the last `written` digits, if any, that are multiples of `ten` without it."""
    places = _places(ten)
    assert places is not None, "it was looked at before"
    point = literal(".") if written else EMPTY
    if places <= written:
        free = repeat(_DIGIT, written - places, written - places)
        return seq(_NATURAL, point, free, alt(*(literal(text) for text in _multiples(ten, places))))
    pairs = [(text[: places - written], text[places - written :]) for text in _multiples(ten, places)]
    ends = alt(*(seq(literal(whole), point, literal(fraction)) for whole, fraction in pairs))
    short = alt(*(seq(literal(whole.lstrip("0") or "0"), point, literal(fraction)) for whole, fraction in pairs))
    return alt(short, seq(chars("", ("1", "9")), repeat(_DIGIT), ends))


def _multiples(ten: int, places: int) -> list[str]:
    return [f"{number:0{places}}" if places else "" for number in range(0, 10**places, ten)]


@cache
def _modulo(odd: int) -> Regex:
    """Digits, points among them, of the multiples of a number: its automaton with one state taken out after another."""
    steps: dict[tuple[int, int], Regex] = {}
    for state in range(odd):
        for digit in range(10):
            after = (10 * state + digit) % odd
            steps[state, after] = alt(steps.get((state, after), chars("")), chars(str(digit)))
        steps[state, state] = alt(steps.get((state, state), chars("")), chars("."))
    for gone in range(odd - 1, 0, -1):
        loop = repeat(steps[gone, gone])
        befores = [state for state in range(gone) if (state, gone) in steps]
        afters = [state for state in range(gone) if (gone, state) in steps]
        for before in befores:
            for after in afters:
                way = seq(steps[before, gone], loop, steps[gone, after])
                steps[before, after] = alt(steps[before, after], way) if (before, after) in steps else way
    return repeat(steps[0, 0])
