"""How an answer's text is read: a list of names, rows of cells, a grid of digits.

The benchmark reads leniently, so that a forgotten quote is no error: whatever stands between the last `[` and the first
`]` behind it is split at commas, and quotes and spaces around the parts fall away. Read strictly, a list is
`["a", "b"]` and nothing else.
"""

from __future__ import annotations

import json

_AROUND = " \t\r\n\"'"


def lenient_list(text: str) -> list[str]:
    """The parts of the last bracketed list, or of the whole text where there is no bracket; never an error."""
    inside = text.rpartition("[")[2].partition("]")[0]
    return [part.strip(_AROUND) for part in inside.split(",")]


def strict_list(text: str) -> list[str] | None:
    """The strings of a text that is just a list as `json.dumps` writes it, white space around it aside; else None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return value if json.dumps(value, ensure_ascii=False) == text.strip() else None


def rows(text: str) -> list[list[str]]:
    """Cells by line, split at commas; lines without any text are left out."""
    return [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]


def digits(text: str) -> list[str]:
    """The digits of each line that has any, as one string a line; what stands between them does not matter."""
    found = ("".join(char for char in line if char in "0123456789") for line in text.splitlines())
    return [line for line in found if line]
