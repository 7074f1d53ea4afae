"""Python's f-strings as one regular expression: what their braces hold is nested once, so that no stack is needed.

A Python of before 3.12 reads an f-string as one lexeme, too, and parses what is in braces when it has it. Its rules are
the narrower ones and are kept here: no `\\` in braces, and not the quote that the text is in.
"""

from __future__ import annotations

import keyword
import string
from collections.abc import Collection

from dllm.grammars.regex import (
    EMPTY,
    Chars,
    Regex,
    alt,
    chars,
    inverted,
    literal,
    optional,
    plus,
    ranges_of,
    repeat,
    seq,
)

_LETTERS = frozenset(string.ascii_letters + "_")
_CONSTANTS = ("None", "True", "False")
_SIGNS = ("+", "-", "*", "/", "//", "%", "**", "@", "&", "|", "<<", ">>", "<", ">", "<=", ">=", "==", "!=")
_WORDS = ("in", "not in", "is", "is not", "and", "or")

_BLANKS = repeat(literal(" "))
_SPACE = plus(literal(" "))
_DIGITS = plus(chars("", ("0", "9")))
_WHOLE = alt(literal("0"), seq(chars("", ("1", "9")), repeat(chars("", ("0", "9")))))
_NUMBER = seq(_WHOLE, optional(seq(literal("."), _DIGITS)))
_CONTROLS = ((0x00, 0x08), (0x0A, 0x1F), (0x7F, 0x7F))
_COUNT = optional(seq(optional(literal("-")), _WHOLE))
_ITEM = seq(literal("["), optional(literal("-")), _WHOLE, literal("]"))


def _names_but(words: Collection[str], begun: str = "") -> Regex:
    """What follows `begun` in names that are none of these words."""
    letters = _LETTERS | frozenset(string.digits if begun else "")
    onward = {word[0] for word in words if word}
    free = seq(chars("".join(sorted(letters - onward))), repeat(chars("".join(sorted(_LETTERS | set(string.digits))))))
    ways = [
        seq(literal(one), _names_but([word[1:] for word in words if word[:1] == one], begun + one))
        for one in sorted(onward)
    ]
    return alt(free, *ways, *([EMPTY] if begun and "" not in words else []))


_NAME = _names_but(keyword.kwlist)


def f_string() -> Regex:
    """All f-strings, raw ones and those of many lines among them."""
    prefix = alt(chars("fF"), seq(chars("fF"), chars("rR")), seq(chars("rR"), chars("fF")))
    return seq(prefix, alt(*(_body(quote, count) for quote in "\"'" for count in (3, 1))))


def _body(quote: str, count: int) -> Regex:
    """Behind the prefix, between `count` quotes of a kind; one of them is no text in a text of many lines here."""
    other = "'" if quote == '"' else '"'
    end = seq(optional(literal("\r")), literal("\n"))
    code = alt(
        _without("xuUN{}"),
        seq(literal("x"), repeat(_hex(), 2, 2)),
        seq(literal("u"), repeat(_hex(), 4, 4)),
        end,
    )
    text = alt(_without("\\{}'\""), literal(other), literal("{{"), literal("}}"), seq(literal("\\"), code))
    field = _field(other)
    if count == 1:
        return seq(literal(quote), repeat(alt(text, field)), literal(quote))
    inner = seq(repeat(literal(quote), 0, 2), alt(text, field, end))
    return seq(literal(quote * 3), repeat(inner), literal(quote * 3))


def _hex() -> Regex:
    return chars("", ("0", "9"), ("a", "f"), ("A", "F"))


def _without(text: str) -> Regex:
    """A character that is none of these, and no control character but a tab."""
    return Chars(inverted(ranges_of([*((ord(one), ord(one)) for one in text), *_CONTROLS])))


def _field(other: str) -> Regex:
    """What braces hold, with them: an expression, `=`, a conversion and a format.

    Names, indices and calls stand in the same way at the beginning and behind a point, which keeps the automaton small:
    that is why a constant stands only inside parentheses, and a call takes what a tuple may hold.
    """
    text = seq(literal(other), repeat(_without("\\{}#'\"")), literal(other))
    minus = optional(literal("-"))
    dotted = seq(_NAME, repeat(seq(literal("."), _NAME)))
    index = seq(literal("["), alt(seq(minus, _WHOLE), text, dotted, seq(_COUNT, literal(":"), _COUNT)), literal("]"))
    called = seq(dotted, optional(alt(literal("()"), _ITEM)))
    member = _expression(seq(minus, alt(called, _NUMBER, text, *map(literal, _CONSTANTS))))
    members = seq(literal("("), optional(seq(repeat(seq(member, literal(","), _BLANKS)), member)), literal(")"))
    part = alt(seq(literal("."), _NAME), members, index)
    operand = seq(minus, alt(seq(alt(_NAME, text, members), repeat(part)), _NUMBER))
    form = seq(literal(":"), repeat(_without("\\{}'\"")))
    conversion = seq(optional(literal("=")), optional(seq(literal("!"), chars("rsa"))), optional(form))
    return seq(literal("{"), _BLANKS, _expression(operand), _BLANKS, conversion, literal("}"))


def _expression(operand: Regex) -> Regex:
    """Operands with operators between them."""
    signed = seq(_BLANKS, alt(*map(literal, _SIGNS)), _BLANKS)
    worded = seq(_SPACE, alt(*map(literal, _WORDS)), _SPACE)
    return seq(repeat(seq(operand, alt(signed, worded))), operand)
