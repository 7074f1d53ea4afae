"""Latin squares and Sudokus of 4 x 4, made by a program."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from dllm.eval.items import Item
from dllm.eval.parallelbench import scorers
from dllm.eval.tiny.latin import SQUARES

SIZE, HOLES = 4, 8
SYMBOLS = ("ABCD", "WXYZ", "1234", "5678", "KLMN", "PQRS")
Grid = tuple[str, ...]


@cache
def grids() -> tuple[Grid, ...]:
    """All 288 Sudokus of 4 x 4 over 1...4, row by row."""
    return tuple(square for square in SQUARES if _boxes_fit(square))


def _boxes_fit(grid: Grid) -> bool:
    return all(len({grid[i + a][j + b] for a in (0, 1) for b in (0, 1)}) == SIZE for i in (0, 2) for j in (0, 2))


def solutions(puzzle: Sequence[str]) -> list[Grid]:
    """Grids that agree with a puzzle, whose holes are `_`."""
    given = [(i, j, char) for i, row in enumerate(puzzle) for j, char in enumerate(row) if char != "_"]
    return [grid for grid in grids() if all(grid[i][j] == char for i, j, char in given)]


def dig(solution: Grid, holes: int, rng: random.Random) -> Grid:
    """A puzzle with so many holes and that one solution."""
    while True:
        cells = set(rng.sample(range(SIZE * SIZE), holes))
        puzzle = tuple(
            "".join("_" if SIZE * i + j in cells else char for j, char in enumerate(row))
            for i, row in enumerate(solution)
        )
        if len(solutions(puzzle)) == 1:
            return puzzle


def _lines(grid: Sequence[str]) -> str:
    return "\n".join(",".join(row) for row in grid)


def latin_item(rng: random.Random, index: int) -> Item:
    """Any Latin square over four symbols, as lines of CSV; one example over other symbols as a turn."""
    symbols, other = rng.sample(SYMBOLS, 2)

    def wish(own: str) -> str:
        return (
            f"Make a Latin square of size {SIZE} over the symbols {', '.join(own)}: each of them once in every row and "
            f"once in every column. Answer with {SIZE} lines of CSV and nothing else."
        )

    def square(own: str) -> list[str]:
        turns = rng.sample(range(SIZE), SIZE)
        return [own[turn:] + own[:turn] for turn in turns]

    asked = [
        {"role": "user", "content": wish(other)},
        {"role": "assistant", "content": _lines(square(other))},
        {"role": "user", "content": wish(symbols)},
    ]
    return Item(
        kind="chat",
        question=asked,
        answer=_lines(square(symbols)),
        judge=lambda text: float(scorers.latin_square(symbols, text)),
        details=lambda text: {"n": SIZE},
    )


def sudoku_item(rng: random.Random, index: int) -> Item:
    """A Sudoku with eight holes and one solution; one example as a turn."""
    example, solution = rng.sample(grids(), 2)

    def wish(puzzle: Grid) -> str:
        return (
            f"Solve this Sudoku of size {SIZE}: 1 to {SIZE} once in every row, in every column and in every square of "
            f"2 x 2. Each _ is a hole.\n{_lines(puzzle)}\nAnswer with {SIZE} lines of CSV and nothing else."
        )

    asked = [
        {"role": "user", "content": wish(dig(example, HOLES, rng))},
        {"role": "assistant", "content": _lines(example)},
        {"role": "user", "content": wish(dig(solution, HOLES, rng))},
    ]
    return Item(
        kind="chat",
        question=asked,
        answer=_lines(solution),
        judge=lambda text: float(scorers.sudoku(solution, text)),
        details=lambda text: {"n": SIZE},
    )
