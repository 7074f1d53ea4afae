"""The slow suites, some minutes of each: with `--full` (`make test-all`). By hand they run for as long as you like."""

import pytest

from tests.slow import grammar_brute, grammar_random_model

pytestmark = pytest.mark.full


@pytest.mark.parametrize("seed", [20_000, 30_000])
def test_the_grammar_engine_against_enumeration(seed):
    assert grammar_brute.main(["--minutes", "1.5", "--seed", str(seed)]) >= 1000


@pytest.mark.parametrize("seed", [0, 1])
def test_a_model_that_knows_nothing_under_grammars(seed, capsys):
    code = grammar_random_model.main(["--runs", "400", "--seed", str(seed)])
    assert code == 0, capsys.readouterr().out
