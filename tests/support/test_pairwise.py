"""The covering that the conformance suite runs, against the definition."""

import random
from itertools import combinations, product

import pytest

from tests.engine.test_conformance import RUNS
from tests.support.pairwise import covering, marked


def joined(cases):
    """Every pair of values that stands in some case, by the names of their places."""
    return {(i, case[i], j, case[j]) for case in cases for i, j in combinations(range(len(case)), 2)}


@pytest.mark.parametrize("seed", range(5))
def test_every_pair_of_the_cases_is_in_the_covering(seed):
    rng = random.Random(seed)
    whole = list(product(*(range(rng.randint(1, 6)) for _ in range(rng.randint(2, 5)))))
    for cases in (whole, rng.sample(whole, rng.randint(0, len(whole)))):
        found = covering(cases)
        assert joined(found) == joined(cases)
        assert len(set(found)) == len(found) and found == [case for case in cases if case in found]


def test_it_is_small():
    """Nine is the least for four factors of three, and 4 for three of two; the greedy choice is near."""
    assert len(covering(list(product(range(3), repeat=4)))) <= 12
    assert len(covering(list(product(range(2), repeat=3)))) == 4
    assert covering([]) == []


def test_the_conformance_suite_runs_every_pair():
    every = marked(RUNS)
    kept = [case.values for case in every if not case.marks]
    assert [case.values for case in every] == RUNS and joined(kept) == joined(RUNS)
    caches, schedulers = ({run[place] for run in RUNS} for place in (1, 2))
    assert len(caches) * len(schedulers) <= len(kept) < len(RUNS) / 10
