"""The values of the JSON Schema keyword `format`, as patterns over the meant text.

Each is exact, or narrower where noted; none is wider than the standard it names.
"""

from __future__ import annotations

from dllm.grammars.regex import Regex, alt, chars, joined, literal, optional, plus, repeat, seq

_DIGIT = chars("", ("0", "9"))
_HEX = chars("", ("0", "9"), ("a", "f"), ("A", "F"))
_ALNUM = chars("", ("0", "9"), ("a", "z"), ("A", "Z"))


def _numbers(low: int, high: int, width: int) -> Regex:
    return alt(*(literal(f"{number:0{width}}") for number in range(low, high + 1)))


def _date() -> Regex:
    """RFC 3339 full-date in the proleptic Gregorian calendar; there is no year 0000, as in Python."""
    year = alt(
        seq(repeat(_DIGIT, 3, 3), chars("", ("1", "9"))),
        seq(repeat(_DIGIT, 2, 2), chars("", ("1", "9")), chars("0")),
        seq(_DIGIT, chars("", ("1", "9")), literal("00")),
        seq(chars("", ("1", "9")), literal("000")),
    )
    fourths = alt(*(literal(f"{number:02}") for number in range(4, 100, 4)))
    centuries = alt(*(literal(f"{number:02}00") for number in range(4, 100, 4)))
    leap = alt(seq(repeat(_DIGIT, 2, 2), fourths), centuries)
    months = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"]
    days = alt(
        seq(alt(*map(literal, months)), literal("-"), _numbers(1, 28, 2)),
        seq(alt(*(literal(month) for month in months if month != "02")), literal("-"), _numbers(29, 30, 2)),
        seq(alt(*map(literal, ["01", "03", "05", "07", "08", "10", "12"])), literal("-31")),
    )
    return alt(seq(year, literal("-"), days), seq(leap, literal("-02-29")))


def _time() -> Regex:
    """RFC 3339 full-time, without leap seconds: which minutes have them is a matter of record."""
    offset = alt(chars("Zz"), seq(chars("+-"), _numbers(0, 23, 2), literal(":"), _numbers(0, 59, 2)))
    clock = joined([_numbers(0, 23, 2), _numbers(0, 59, 2), _numbers(0, 59, 2)], literal(":"))
    return seq(clock, optional(seq(literal("."), plus(_DIGIT))), offset)


def _uuid() -> Regex:
    """RFC 9562: 8-4-4-4-12 hexadecimal digits."""
    return joined([repeat(_HEX, size, size) for size in (8, 4, 4, 4, 12)], literal("-"))


def _ipv4() -> Regex:
    """Four decimal numbers without leading zeros."""
    return joined([_numbers(0, 255, 1)] * 4, literal("."))


def _email() -> Regex:
    """RFC 5321 addresses of dot-separated atoms at a host name: no quoted local part, no address literal."""
    atom = plus(chars("!#$%&'*+-/=?^_`{|}~", ("0", "9"), ("a", "z"), ("A", "Z")))
    label = seq(_ALNUM, optional(seq(repeat(alt(_ALNUM, chars("-"))), _ALNUM)))
    dot = literal(".")
    return seq(atom, repeat(seq(dot, atom)), literal("@"), label, repeat(seq(dot, label)))


FORMATS: dict[str, Regex] = {
    "date": _date(),
    "date-time": seq(_date(), chars("Tt"), _time()),
    "time": _time(),
    "uuid": _uuid(),
    "ipv4": _ipv4(),
    "email": _email(),
}
"""Name of a format -> the texts that have it."""

REFUSED = (
    *("duration", "hostname", "ipv6", "uri", "uri-reference", "iri", "iri-reference", "regex", "json-pointer"),
    *("relative-json-pointer", "uri-template", "idn-email", "idn-hostname"),
)
"""Formats of JSON Schema that are not supported."""
