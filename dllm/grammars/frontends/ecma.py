r"""ECMA-262's notation for what Python's has otherwise or not at all: `(?<name>...)`, `\p{...}`, `\u{...}`, `\cX`.

Such patterns mean the same once they are written in Python's notation; so that is done first, and then both dialects
read them. Properties of characters are those of this Python's version of Unicode.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

from dllm.errors import GrammarError, nearest
from dllm.grammars.regex import MAX_CHAR, Ranges, inverted, ranges_of

_CATEGORIES = {
    "LC": "Lu Ll Lt",
    "L": "Lu Ll Lt Lm Lo",
    "M": "Mn Mc Me",
    "N": "Nd Nl No",
    "P": "Pc Pd Ps Pe Pi Pf Po",
    "S": "Sm Sc Sk So",
    "Z": "Zs Zl Zp",
    "C": "Cc Cf Cs Co Cn",
}
_LONG = {
    **{"Cased_Letter": "LC", "Letter": "L", "Mark": "M", "Number": "N", "Punctuation": "P", "Symbol": "S"},
    **{"Separator": "Z", "Other": "C", "Combining_Mark": "M", "punct": "P", "digit": "Nd", "cntrl": "Cc"},
    **{"Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm"},
    **{"Other_Letter": "Lo", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc", "Enclosing_Mark": "Me"},
    **{"Decimal_Number": "Nd", "Letter_Number": "Nl", "Other_Number": "No", "Connector_Punctuation": "Pc"},
    **{"Dash_Punctuation": "Pd", "Open_Punctuation": "Ps", "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi"},
    **{"Final_Punctuation": "Pf", "Other_Punctuation": "Po", "Math_Symbol": "Sm", "Currency_Symbol": "Sc"},
    **{"Modifier_Symbol": "Sk", "Other_Symbol": "So", "Space_Separator": "Zs", "Line_Separator": "Zl"},
    **{"Paragraph_Separator": "Zp", "Control": "Cc", "Format": "Cf", "Surrogate": "Cs", "Private_Use": "Co"},
    "Unassigned": "Cn",
}
_SHORT = frozenset(name for names in _CATEGORIES.values() for name in names.split()) | _CATEGORIES.keys()
_NAMES = (*_LONG, *_SHORT, "Any", "ASCII")
_PARTS = re.compile(
    r"\\(?P<property>[pP])\{(?P<name>[^{}]*)\}|\\u\{(?P<code>[0-9a-fA-F]{1,6})\}|\\c(?P<control>[a-zA-Z])"
    r"|(?P<group>\(\?<[A-Za-z_$][\w$]*>)|(?P<pass>\\.)|(?P<open>\[)|(?P<close>\])",
    re.DOTALL,
)


def in_python(pattern: str, where: str) -> str:
    """The pattern in Python's notation, but for what that has too.

    Raises:
        GrammarError: a property that is not known.
    """
    inside = False

    def written(match: re.Match[str]) -> str:
        nonlocal inside
        kind = match.lastgroup or ""
        if kind in ("open", "close"):
            inside = kind == "open"
        if match["group"] is not None and not inside:
            return "("
        if match["code"] is not None and int(match["code"], 16) <= MAX_CHAR:
            return _in_class(((int(match["code"], 16),) * 2,))
        if match["control"] is not None:
            return _in_class(((ord(match["control"]) % 32,) * 2,))
        if match["property"] is None:
            return match[0]
        found = _property(match["name"], where)
        found = inverted(found) if match["property"] == "P" else found
        return _in_class(found) if inside else f"[{_in_class(found)}]"

    return _PARTS.sub(written, pattern) if re.search(r"\\[pPcu]|\(\?<", pattern) else pattern


def _in_class(ranges: Ranges) -> str:
    """Characters as they stand in a class, and one of them anywhere."""
    return "".join(_escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}" for low, high in ranges)


def _escaped(code: int) -> str:
    char = chr(code)
    return f"\\x{code:02x}" if code < 128 and not (char.isalnum() and char.isascii()) else char


def _property(name: str, where: str) -> Ranges:
    kind, _, value = name.rpartition("=")
    if kind in ("", "gc", "General_Category"):
        short = _LONG.get(value, value)
        if short in _SHORT:
            return _of_categories(frozenset(_CATEGORIES.get(short, short).split()))
        if not kind and short in ("Any", "ASCII"):
            return ranges_of([(0, MAX_CHAR if short == "Any" else 127)])
    raise GrammarError(
        f"{where} has \\p{{{name:.60}}}, which is not supported; general categories are, and Any and ASCII: say it "
        "with those, or with ranges of characters." + nearest(value[:60], _NAMES)
    )


@cache
def _of_categories(names: frozenset[str]) -> Ranges:
    category = unicodedata.category
    return ranges_of((code, code) for code in range(sys.maxunicode + 1) if category(chr(code)) in names)
