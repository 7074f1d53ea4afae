"""4x4 Latin squares: four rows of digits, 0 for an empty cell, then the instruction; the answer is the full square.

Every cell depends on its row and column, so independent commits break it: the sharpest of the joint tasks.
"""

from __future__ import annotations

import random
from itertools import permutations

from dllm.eval.tiny.example import Example, pick

FORMS = ("Complete the Latin square.", "Fill in the Latin square.", "Solve the Latin square.")
_ROWS = ["".join(row) for row in permutations("1234")]


def is_latin(rows: list[str]) -> bool:
    """True when every row and every column of the four holds 1, 2, 3 and 4."""
    lines = rows + ["".join(column) for column in zip(*rows, strict=False)]
    return len(rows) == 4 and all(len(row) == 4 for row in rows) and all(sorted(line) == list("1234") for line in lines)


SQUARES: tuple[tuple[str, ...], ...] = tuple(
    (a, b, c, d)
    for a in _ROWS
    for b in _ROWS
    if all(x != y for x, y in zip(a, b, strict=True))
    for c in _ROWS
    if all(x not in y for x, y in zip(c, zip(a, b, strict=True), strict=True))
    for d in _ROWS
    if is_latin([a, b, c, d])
)


def make(rng: random.Random) -> Example:
    """A square with 2 to 10 clues left; often more than one completion is right."""
    square = "\n".join(rng.choice(SQUARES))
    cells = [at for at, char in enumerate(square) if char != "\n"]
    clues = set(rng.sample(cells, rng.randint(2, 10)))
    puzzle = "".join(char if char == "\n" or at in clues else "0" for at, char in enumerate(square))
    prompt = f"{puzzle}\n{pick(rng, FORMS)}"
    return Example("latin", prompt, square, prompt, facts=(puzzle,))


def is_right(example: Example, text: str) -> bool:
    """A Latin square that keeps the clues."""
    puzzle = example.facts[0]
    kept = len(text) == len(puzzle) and all(clue in ("0", char) for clue, char in zip(puzzle, text, strict=True))
    return kept and is_latin(text.split("\n"))
