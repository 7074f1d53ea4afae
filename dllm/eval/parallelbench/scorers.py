"""Whether an answer is right: one function a kind of task. All give 0 or 1, and read leniently unless told otherwise.

`given` is the list of the question, `answer` the list of the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dllm.eval.parallelbench.answers import digits, rows

Names = Sequence[str]
ListScorer = Callable[[Names, Names, str], bool]
"""(given list, list of the reply, name that the question gives or "") -> whether it is right."""


def as_labelled(label: Names, answer: Names) -> bool:
    """One right answer: copy, reverse, sort, and what is done at a place that is named."""
    return list(answer) == list(label)


def shuffled(given: Names, answer: Names, _: str = "") -> bool:
    """Any other order of the same names."""
    return sorted(answer) == sorted(given) and list(answer) != list(given)


def inserted(given: Names, answer: Names, name: str) -> bool:
    """The name at any place: deleted once, it leaves the given list."""
    left = list(answer)
    if name not in left:
        return False
    left.remove(name)
    return left == list(given)


def removed(given: Names, answer: Names, _: str = "") -> bool:
    """Any one name left out, the order kept."""
    return any([*given[:at], *given[at + 1 :]] == list(answer) for at in range(len(given)))


def replaced(given: Names, answer: Names, name: str) -> bool:
    """The name instead of any one of the others."""
    return any([*given[:at], name, *given[at + 1 :]] == list(answer) for at in range(len(given)))


SEVERAL_RIGHT: dict[str, ListScorer] = {
    "shuffle": shuffled,
    "insert_random": inserted,
    "remove_random": removed,
    "replace_random": replaced,
}
"""Tasks with more than one right answer."""


def latin_square(symbols: Sequence[str], text: str) -> bool:
    """Each symbol once in every row and column: of the lines that hold all symbols and no others, the first ones."""
    lines = [cells for cells in rows(text) if set(cells) == set(symbols)][: len(symbols)]
    return len(lines) == len(symbols) and all(set(column) == set(symbols) for column in zip(*lines, strict=False))


def sudoku(solution: Sequence[str], text: str) -> bool:
    """The digits of the one solution, line by line; lines with more or fewer digits are no part of the answer."""
    return digits(text, len(solution)) == list(solution)


def holds_words(words: Sequence[str], text: str) -> bool:
    """Every word somewhere in the text, spelled just so; also inside of another word, as the benchmark has it."""
    return all(word in text for word in words)
