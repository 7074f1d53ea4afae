"""Random requests: the small run of what `tests/slow/fuzz_runs.py` does, and whether it draws from all there is."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dllm.cache import caches
from dllm.registry import argument_types
from dllm.schedulers import schedulers
from tests.support.fuzzed_runs import CACHES, SCHEDULERS, check
from tests.support.fuzzing import in_time


def test_requests_are_refused_or_answered_as_promised():
    seen = Counter()

    @settings(max_examples=24, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 1 << 32))
    def run(seed):
        with in_time(600):  # with all that is compiled at a first use
            seen.update(check(random.Random(seed), ("tiny", "sdar", "dream", "mix")))

    run()
    assert all(seen[what] for what in ("answers", "answers under a grammar", "requests refused", "parameters refused"))


def test_every_scheduler_and_cache_is_drawn_with_all_its_arguments():
    for registry, drawn in ((schedulers, SCHEDULERS), (caches, CACHES)):
        known = {name: set(argument_types(registry.get(name))) for name in registry.names()}
        assert {name: set(legal) for name, legal in drawn.items()} == known
