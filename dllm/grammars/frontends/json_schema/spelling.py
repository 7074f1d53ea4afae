r"""JSON strings as lexemes: from the text a string means to the ways it may be spelled.

Every character has a fixed set of spellings, the same wherever it stands in one pattern:

- printable ASCII as itself, except `\"`, `\\`, and `\/` beside `/`;
- control characters as `\b \f \n \r \t`, since JSON forbids them raw, and as `\uXXXX` unless `escapes` is off;
- all others, DEL included, raw, and as `\uXXXX` (above U+FFFF, a pair of surrogates) unless `escapes` is off.

No spelling begins another and no two characters share one, so a spelled string has one meaning. That is why `spelled`
may pass through intersection and difference: a difference of meanings is the difference of their spellings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, lru_cache

from dllm.grammars.regex import (
    ANY,
    EMPTY,
    MAX_CHAR,
    NOTHING,
    Alt,
    And,
    Chars,
    Minus,
    Ranges,
    Regex,
    Repeat,
    Seq,
    alt,
    chars,
    common,
    inverted,
    literal,
    ranges_of,
    repeat,
    seq,
)

_SHORT = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", '"': '"', "\\": "\\", "/": "/"}
_RAW = inverted(ranges_of([(0, 0x1F), (ord('"'), ord('"')), (ord("\\"), ord("\\"))]))
_ESCAPED = ranges_of([(0, 0x1F), (0x7F, MAX_CHAR)])
WITHOUT_ESCAPES = Chars(inverted(ranges_of((code, code) for code in range(0x20) if chr(code) not in _SHORT)))
"""Characters that have a spelling other than `\\uXXXX`."""
_HEX = tuple("0123456789abcdef")
QUOTE = chars('"')

# an escape as digits of mixed radix: what is written before each digit, and the digits it may be
_Places = tuple[tuple[str, Sequence[str]], ...]
_ONE_UNIT: _Places = (("\\u", _HEX), ("", _HEX), ("", _HEX), ("", _HEX))
_TWO_UNITS: _Places = (
    ("\\ud", _HEX[8:12]),
    ("", _HEX),
    ("", _HEX),
    ("\\ud", _HEX[12:]),
    ("", _HEX),
    ("", _HEX),
)


def quoted(tree: Regex, *, escapes: bool = True) -> Regex:
    r"""The JSON strings, quotes included, whose meaning is a text of `tree`.

    Args:
        tree: over the meant texts.
        escapes: whether `\uXXXX` is a spelling. It takes an automaton that counts characters from 9 states for each to
            24.
    """
    return seq(QUOTE, spelled(tree, escapes), QUOTE)


@lru_cache(4096)
def quoted_text(text: str) -> Regex:
    """The JSON strings that mean exactly `text`.

    Raises:
        GrammarError: it holds a lone surrogate.
    """
    return quoted(literal(text))


def spelled(tree: Regex, escapes: bool = True) -> Regex:
    """The spellings, without quotes, of the texts of `tree`."""
    match tree:
        case Chars(ranges):
            return _spelled_set(ranges, escapes)
        case Seq(parts):
            return seq(*(spelled(part, escapes) for part in parts))
        case Alt(options):
            return alt(*(spelled(option, escapes) for option in options))
        case Repeat(body, low, high):
            return repeat(spelled(body, escapes), low, high)
        case And(left, right):
            return And(spelled(left, escapes), spelled(right, escapes))
        case Minus(left, right):
            return Minus(spelled(left, escapes), spelled(right, escapes))


@cache
def _spelled_set(ranges: Ranges, escapes: bool) -> Regex:
    ways: list[Regex] = []
    if raw := common(ranges, _RAW):
        ways.append(Chars(raw))
    short = "".join(letter for char, letter in _SHORT.items() if common(ranges, ((ord(char), ord(char)),)))
    if short:
        ways.append(seq(chars("\\"), chars(short)))
    escaped = common(ranges, _ESCAPED) if escapes else ()
    if one := common(escaped, ((0, 0xFFFF),)):
        ways.append(_digits(one, _ONE_UNIT))
    if two := common(escaped, ((0x10000, MAX_CHAR),)):
        ways.append(_digits(tuple((low - 0x10000, high - 0x10000) for low, high in two), _TWO_UNITS))
    return alt(*ways)


def _digits(spans: Ranges, places: _Places) -> Regex:
    """The numbers of the inclusive `spans`, written with one digit for each of `places`."""
    if not places:
        return EMPTY
    before, digits = places[0]
    size = 1
    for _, rest in places[1:]:
        size *= len(rest)
    # digits that leave the same choice for what follows share one branch, which keeps the tree small
    shared: dict[Ranges, str] = {}
    for index, digit in enumerate(digits):
        start, end = index * size, (index + 1) * size - 1
        inner = tuple((max(low, start) - start, min(high, end) - start) for low, high in spans if low <= end)
        inner = tuple((low, high) for low, high in inner if low <= high)
        if inner:
            shared[inner] = shared.get(inner, "") + digit + digit.upper()
    return alt(*(seq(literal(before), chars(some), _digits(inner, places[1:])) for inner, some in shared.items()))


CHARACTER = spelled(ANY)
"""All ways to spell one character."""
STRING = quoted(repeat(ANY))
"""Any JSON string without lone surrogates."""


def any_but(texts: Sequence[str]) -> Regex:
    """The JSON strings that mean none of `texts`, however they are spelled."""
    return quoted(Minus(repeat(ANY), alt(*map(literal, texts)) if texts else NOTHING)) if texts else STRING


def as_json(text: str) -> str:
    """A text as JSON, for messages and names."""
    return json.dumps(text, ensure_ascii=False)
