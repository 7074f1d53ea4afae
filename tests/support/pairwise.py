"""A pairwise covering: few cases in which any two values that some case joins still stand together.

Most faults of combined parts need two of them, seldom three (Kuhn, Wallace and Gallo, IEEE Trans. Software Eng. 30(6),
2004), so a covering finds nearly what the product finds.
"""

from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations, product

import pytest

Case = tuple[Hashable, ...]
Pair = tuple[tuple[int, Hashable], tuple[int, Hashable]]


def pairs(case: Case) -> Iterator[Pair]:
    """Every two values of a case, each with the place where it stands."""
    return combinations(enumerate(case), 2)


def covering(cases: Sequence[Case]) -> list[Case]:
    """Cases, in their order, that hold every pair of all of `cases`: the greedy choice, the same on every machine.

    What a case would add only shrinks while others are taken. So the greedy choice is one pass for each number of
    new pairs, from the most to one, that takes whatever still adds so many.
    """
    taken, held = set[int](), set[Pair]()
    most = max((len(list(pairs(case))) for case in cases), default=0)
    for wanted in range(most, 0, -1):
        for at, case in enumerate(cases):
            new = set(pairs(case)) - held
            if len(new) == wanted:
                taken.add(at)
                held |= new
    return [cases[at] for at in sorted(taken)]


def marked(cases: Sequence[Case]) -> list[object]:
    """All cases as parameters of a test: what the covering leaves out is marked `full`."""
    kept = set(covering(cases))
    return [pytest.param(*case, marks=() if case in kept else pytest.mark.full) for case in cases]


def rotated(ones: Sequence[Hashable], others: Sequence[Hashable], every: int) -> list[object]:
    """The product of two lists as parameters of a test: each value meets every n-th of the other list, and another n-th
    than its neighbour does. What is left out is marked `full`."""
    places = product(enumerate(ones), enumerate(others))
    return [pytest.param(a, b, marks=() if (i + j) % every == 0 else pytest.mark.full) for (i, a), (j, b) in places]
