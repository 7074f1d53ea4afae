r"""The sets of characters that regular expressions name (`\d`, `\w`, `\s`) and what ignoring case adds to a set."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

from dllm.grammars.regex import MAX_CHAR, Ranges, inverted, ranges_of

ECMA_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_sre: Any = import_module("_sre")
# no character beyond these two planes has cases (the tests check it), which spares a scan of all Unicode
_CASED_END = 0x20000


def spans_of(text: str) -> Ranges:
    """The characters of `text` as ranges."""
    return ranges_of((ord(c), ord(c)) for c in text)


ECMA_LINE_ENDS = spans_of("\n\r\u2028\u2029")


@cache
def category(name: str, ascii_only: bool, ecma: bool) -> Ranges:
    """The characters of a category of `re`'s parser, e.g. `CATEGORY_NOT_DIGIT`, as `re` of this Python has them.

    Args:
        name: `CATEGORY_` and DIGIT, WORD or SPACE, perhaps with NOT_ between.
        ascii_only: as under `re.ASCII`.
        ecma: `\\s` is that of ECMA-262.
    """
    if "_NOT_" in name:
        return inverted(category(name.replace("_NOT_", "_"), ascii_only, ecma))
    kind = name.removeprefix("CATEGORY_")
    if kind == "SPACE" and ecma:
        return spans_of(ECMA_SPACE)
    finder = re.compile({"DIGIT": r"\d+", "WORD": r"\w+", "SPACE": r"\s+"}[kind], re.ASCII if ascii_only else 0)
    text = "".join(map(chr, range(128 if ascii_only else MAX_CHAR + 1)))
    return ranges_of((match.start(), match.end() - 1) for match in finder.finditer(text))


@cache
def _cases() -> dict[int, frozenset[int]]:
    """Cased character -> all characters that `re` takes for it when it ignores case, itself included."""
    extra: dict[int, tuple[int, ...]] = import_module("re._casefix")._EXTRA_CASES
    same: dict[int, set[int]] = {}
    for code in range(_CASED_END):
        same.setdefault(_sre.unicode_tolower(code), set()).add(code)
    found: dict[int, frozenset[int]] = {}
    for code in range(_CASED_END):
        if not _sre.unicode_iscased(code):
            continue
        lower = _sre.unicode_tolower(code)
        found[code] = frozenset().union(*(same[key] for key in (lower, *extra.get(lower, ()))))
    return found


def folded(pairs: Iterable[tuple[int, int]], ascii_only: bool) -> list[tuple[int, int]]:
    """The other cases of the characters in the inclusive `pairs`, as `re.IGNORECASE` adds them."""
    added: list[tuple[int, int]] = []
    for low, high in pairs:
        if ascii_only:
            for first, last, shift in ((ord("a"), ord("z"), -32), (ord("A"), ord("Z"), 32)):
                if max(low, first) <= min(high, last):
                    added.append((max(low, first) + shift, min(high, last) + shift))
        else:
            cases = _cases()
            for code in range(low, min(high, _CASED_END - 1) + 1):
                added += [(other, other) for other in cases.get(code, ())]
    return added
