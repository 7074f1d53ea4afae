"""A place in a text, for people: line, column, the line itself and a caret under it."""

from __future__ import annotations

import re

BEFORE, SHOWN = 59, 100
"""Characters of a line that are shown: before the place, and in all."""
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def placed(text: str, at: int) -> str:
    r"""`line 2, column 13` of the character at an offset; both count from 1, columns characters. Lines end at `\n`."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - _line(text, at)[0] + 1}"


def pointed(text: str, at: int, width: int, reason: str) -> str:
    """`line 2, column 13: reason`, and below it the line and carets.

    Of a long line, what is around the place is shown; tabs and other control characters are shown as spaces.

    Args:
        at: offset of the first character that is meant; the text's length for its end.
        width: characters that are meant; those on the same line get a caret, and there is one at least.
    """
    start, stop = _line(text, at)
    left = max(start, at - BEFORE)
    right = left + SHOWN
    carets = max(1, min(at + width, stop, right) - at)
    shown = _UNSEEN.sub(" ", text[start:stop].removesuffix("\r")[left - start : right - start])
    return f"{placed(text, at)}: {reason}\n{shown}\n{' ' * (at - left)}{'^' * carets}"


def _line(text: str, at: int) -> tuple[int, int]:
    """Where the line of a character begins and ends, without the line feed."""
    stop = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if stop < 0 else stop
