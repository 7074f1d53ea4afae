"""The values of the JSON Schema keyword `format`, as patterns over the meant text.

Each is exact, or narrower where noted; none is wider than the standard it names.
"""

from __future__ import annotations

from dllm.grammars.regex import (
    NOTHING,
    And,
    Chars,
    Regex,
    alt,
    chars,
    inverted,
    joined,
    literal,
    optional,
    plus,
    repeat,
    seq,
)

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


def _hostname() -> Regex:
    """RFC 1123: up to 3 labels, or up to 8 of 30 letters; none has hyphens side by side."""
    hyphen = literal("-")

    def label(most: int) -> Regex:
        return And(seq(_ALNUM, repeat(alt(_ALNUM, seq(hyphen, _ALNUM)))), repeat(alt(_ALNUM, hyphen), 1, most))

    short = seq(label(30), repeat(seq(literal("."), label(30)), 0, 7))
    return alt(short, seq(label(63), repeat(seq(literal("."), label(63)), 0, 2)))


def _ipv6() -> Regex:
    """RFC 4291: eight groups, `::` for one or more of them; the last two may be an IPv4 address. No zone."""
    group, colon = repeat(_HEX, 1, 4), literal(":")
    led = seq(group, colon)

    def groups(least: int, most: int) -> Regex:
        """So many, of which an address at the end counts as two."""
        ways = []
        if least <= most:
            ways.append(seq(repeat(led, max(least - 1, 0), most - 1), group))
        if most >= 2:
            ways.append(seq(repeat(led, max(least - 2, 0), most - 2), _ipv4()))
        return alt(*ways)

    found = [groups(8, 8), seq(literal("::"), optional(groups(1, 7)))]
    for before in range(1, 8):
        rest = optional(groups(1, 7 - before)) if before < 7 else literal("")
        found.append(seq(repeat(led, before - 1, before - 1), group, literal("::"), rest))
    return alt(*found)


def _duration() -> Regex:
    """RFC 3339, appendix A: units in order and none left out between others; weeks alone."""

    def units(letters: str) -> Regex:
        """One or more of the units, side by side."""
        found: Regex | None = None
        ways = []
        for letter in reversed(letters):
            amount = seq(plus(_DIGIT), literal(letter))
            found = amount if found is None else seq(amount, optional(found))
            ways.append(found)
        return alt(*ways)

    time = seq(literal("T"), units("HMS"))
    return seq(literal("P"), alt(time, seq(units("YMD"), optional(time)), seq(plus(_DIGIT), literal("W"))))


# what RFC 3987 has beyond RFC 3986; private use is for queries only
_UCS = ("\u00a0", "\ud7ff"), ("\uf900", "\ufdcf"), ("\ufdf0", "\uffef"), ("\U00010000", "\U0001fffd")
_PRIVATE = (("\ue000", "\uf8ff"),)
_Ranges = tuple[tuple[str, str], ...]


def _uri(*, relative: bool = False, beyond: _Ranges = (), private: _Ranges = ()) -> Regex:
    """RFC 3986 (RFC 3987 with the ranges `beyond`), without IP literals in brackets.

    Args:
        relative: references too.
        beyond: other characters that may stand anywhere.
        private: in queries.
    """
    escaped = seq(literal("%"), _HEX, _HEX)

    def some(also: str, extra: _Ranges = ()) -> Regex:
        marks = "-._~!$&'()*+,;=" + also
        return alt(escaped, chars(marks, ("0", "9"), ("a", "z"), ("A", "Z"), *beyond, *extra))

    slash, segment = literal("/"), repeat(some(":@"))
    rest = repeat(seq(slash, segment))
    user, port = optional(seq(repeat(some(":")), literal("@"))), optional(seq(literal(":"), repeat(_DIGIT)))
    authority = seq(user, repeat(some("")), port)
    rooted = alt(seq(literal("//"), authority, rest), seq(slash, optional(seq(plus(some(":@")), rest))))
    ends = seq(
        optional(seq(literal("?"), repeat(some(":@/?", private)))), optional(seq(literal("#"), repeat(some(":@/?"))))
    )
    scheme = seq(chars("", ("a", "z"), ("A", "Z")), repeat(chars("+-.", ("0", "9"), ("a", "z"), ("A", "Z"))))
    whole = seq(scheme, literal(":"), optional(alt(rooted, seq(plus(some(":@")), rest))), ends)
    if not relative:
        return whole
    return alt(whole, seq(optional(alt(rooted, seq(plus(some("@")), rest))), ends))


def _uri_template() -> Regex:
    """RFC 6570, its literals in ASCII."""
    escaped = seq(literal("%"), _HEX, _HEX)
    plain = chars("!#$&()*+,-./:;=?@[]_~", ("0", "9"), ("a", "z"), ("A", "Z"))
    letter = alt(chars("_", ("0", "9"), ("a", "z"), ("A", "Z")), escaped)
    prefix = seq(literal(":"), chars("", ("1", "9")), repeat(_DIGIT, 0, 3))
    variable = seq(letter, repeat(seq(optional(literal(".")), letter)), optional(alt(literal("*"), prefix)))
    variables = seq(variable, repeat(seq(literal(","), variable)))
    return repeat(alt(plain, escaped, seq(literal("{"), optional(chars("+#./;?&")), variables, literal("}"))))


def _json_pointer() -> Regex:
    """RFC 6901."""
    return repeat(seq(literal("/"), repeat(alt(_POINTED, literal("~0"), literal("~1")))))


_POINTED = Chars(inverted(chars("/~").ranges))


def _relative_json_pointer() -> Regex:
    """A whole number, then a pointer or `#`."""
    number = alt(literal("0"), seq(chars("", ("1", "9")), repeat(_DIGIT)))
    return seq(number, alt(literal("#"), _json_pointer()))


def _regex() -> Regex:
    """Expressions that ECMA-262 and Python both read: characters, escapes and classes, counts, groups three deep."""
    plain = chars(" !\"#%&',-/:;<=>@_`~", ("0", "9"), ("a", "z"), ("A", "Z"))
    escape = seq(literal("\\"), chars("dDwWsSnrt\\/.*+?()[]{}|^$"))
    inner = chars(" !\"#%'(),/:;<=>?@_`.*+{}$", ("0", "9"), ("a", "z"), ("A", "Z"))
    ranges = alt(literal("a-z"), literal("A-Z"), literal("0-9"), inner, escape)
    one = alt(plain, literal("."), escape, seq(literal("["), optional(literal("^")), plus(ranges), literal("]")))
    count = seq(literal("{"), repeat(_DIGIT, 1, 2), optional(literal(",")), literal("}"))
    times = optional(alt(chars("*+?"), count))
    found: Regex = NOTHING
    for _ in range(4):
        group = seq(literal("("), optional(literal("?:")), found, literal(")"), times)
        branch = repeat(alt(seq(one, times), chars("^$"), group))
        found = seq(branch, repeat(seq(literal("|"), branch)))
    return found


def _base64() -> Regex:
    """RFC 4648, padded."""
    letter = chars("+/", ("0", "9"), ("a", "z"), ("A", "Z"))
    four, two = repeat(letter, 4, 4), seq(letter, letter)
    return seq(repeat(four), optional(alt(seq(two, literal("==")), seq(two, letter, literal("=")))))


FORMATS: dict[str, Regex] = {
    "date": _date(),
    "date-time": seq(_date(), chars("Tt"), _time()),
    "time": _time(),
    "uuid": _uuid(),
    "ipv4": _ipv4(),
    "email": _email(),
    "idn-email": _email(),
    "hostname": _hostname(),
    "idn-hostname": _hostname(),
    "ipv6": _ipv6(),
    "duration": _duration(),
    "uri": _uri(),
    "uri-reference": _uri(relative=True),
    "iri": _uri(beyond=_UCS, private=_PRIVATE),
    "iri-reference": _uri(relative=True, beyond=_UCS, private=_PRIVATE),
    "uri-template": _uri_template(),
    "json-pointer": _json_pointer(),
    "relative-json-pointer": _relative_json_pointer(),
    "regex": _regex(),
    "byte": _base64(),
    "base64": _base64(),
}
"""Name of a format -> the texts that have it."""

NUMBERS: dict[str, tuple[int, int] | None] = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "float": None,
    "double": None,
}
"""OpenAPI's formats of numbers: the ends of a range of whole numbers, or None, which any number has."""
