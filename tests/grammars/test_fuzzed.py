"""Random patterns, Lark grammars and schemas, legal and broken: the small runs of what `tests/slow/fuzz_*.py` do."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import fuzzed_lark, fuzzed_patterns, fuzzed_schemas
from tests.support.fuzzing import Hang, in_time

CHECKS = {
    "patterns": (fuzzed_patterns.check, 50, ("matches", "matches not", "refused")),
    "lark": (fuzzed_lark.check, 20, ("sentences", "no sentences", "refused")),
    "schemas": (fuzzed_schemas.check, 40, ("valid", "invalid", "refused")),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CHECKS)
def test_it_is_refused_or_means_what_others_say(name):
    check, runs, met = CHECKS[name]
    seen = Counter()

    @settings(max_examples=runs, deadline=None, derandomize=True, database=None)
    @given(st.randoms(use_true_random=False))
    def run(rng):
        with in_time(600):  # with all that is compiled at a first use
            seen.update(check(rng))

    run()
    assert all(seen[what] for what in met), seen


def test_what_takes_too_long_is_stopped_and_what_is_around_it_goes_on():
    with pytest.raises(Hang, match=r"0\.4 s"), in_time(0.4):
        with pytest.raises(Hang, match=r"0\.05 s"), in_time(0.05):
            while True:
                pass
        while True:
            pass
