"""The slow suites, some minutes of each: with `--full` (`make test-all`). By hand they run for as long as you like."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RUNS = [
    ("grammar_brute", "--minutes 1.5 --seed 20000"),
    ("grammar_brute", "--minutes 1.5 --seed 30000"),
    ("grammar_random_model", "--runs 400 --seed 0"),
    ("grammar_random_model", "--runs 400 --seed 1"),
    ("python_library", "--every 3"),
    ("recogniser", "--pairs 500"),
    ("smiles_rdkit", "--runs 200 --every 20"),
    ("fuzz_folders", "--minutes 1.5"),
    ("fuzz_cli", "--minutes 1.5"),
    ("fuzz_runs", "--minutes 15 --runs 850 --seed 1000"),
    ("fuzz_schemas", "--minutes 1"),
    ("fuzz_instances", "--minutes 1.5"),
    ("fuzz_negated", "--minutes 1"),
    ("fuzz_lark", "--minutes 1"),
    ("fuzz_patterns", "--minutes 1"),
    ("kills", "--kills 2 --quick"),
]


@pytest.mark.full
@pytest.mark.parametrize(("suite", "options"), RUNS)
def test_it_finds_nothing(suite, options):
    command = [sys.executable, "-m", f"tests.slow.{suite}", *options.split()]
    run = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]


def test_no_suite_is_forgotten():
    assert {suite for suite, _ in RUNS} == {path.stem for path in HERE.glob("*.py")} - {"test_slow"}
