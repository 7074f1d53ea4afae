"""How an answer's text is read: a list of names, rows of cells, a grid of digits.

A list is what stands between the last `[` and the first `]` behind it; without the one it begins with the text, without
the other it ends with it. Strictly it is `"a", "b"`.

Leniently, which is the benchmark's headline score, a missing quote is no error. Its rule: split at every comma; drop
the parts that hold nothing but white space (of any kind); of the others take double quotes and spaces, and nothing
else, off both ends. The order matters: `a, , b` has two parts, but `"a", "", "b"` has three, for the part `""` is not
blank when blank parts are dropped, and is an empty name afterwards. So is `"` alone. White space inside of a part, and
a line break at its end, stay.
"""

from __future__ import annotations


def lenient_list(text: str) -> list[str]:
    """The parts of the last bracketed list, or of the whole text where there is no bracket; never an error."""
    inside = text.rpartition("[")[2].partition("]")[0]
    return [part.strip('" ') for part in inside.split(",") if part.strip()]


def strict_list(text: str) -> list[str] | None:
    """The strings of the last bracketed list, each in double quotes, with a comma and a space between; else None."""
    _, opened, rest = text.rpartition("[")
    inside, closed, _ = rest.partition("]")
    if not (opened and closed) or len(inside) < 2 or inside[0] != '"' or inside[-1] != '"':
        return None
    items = inside[1:-1].split('", "')
    return None if any('"' in item for item in items) else items


def rows(text: str) -> list[list[str]]:
    """Cells by line, split at commas; lines without any text are left out."""
    return [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]


def digits(text: str, count: int) -> list[str]:
    """The digits of each line that has just so many, as one string a line; what else is on the line does not matter."""
    found = ("".join(char for char in line if char in "0123456789") for line in text.splitlines())
    return [line for line in found if len(line) == count]
