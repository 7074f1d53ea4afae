"""`Grammar.accepts` against `re.fullmatch` and Earley's algorithm: `python -m tests.slow.recogniser --pairs 10000`.

The checks are those of `tests/grammars/test_recogniser.py`, on other seeds. It stops at the first difference with an
assertion.
"""

from __future__ import annotations

import argparse
import random

from tests.grammars.test_recogniser import check_grammar, check_pattern

TEXTS = 20
"""Of each pattern and each grammar."""


def main() -> None:
    """Read the options, check, print how much was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000, help="of a pattern and a text, and of a grammar and one")
    parser.add_argument("--seed", type=int, default=30_000)
    given = parser.parse_args()
    rng, patterns, grammars = random.Random(given.seed), 0, 0
    while patterns < given.pairs:
        patterns += check_pattern(rng, TEXTS)
    while grammars < given.pairs:
        grammars += check_grammar(rng, TEXTS)
    print(f"{patterns} texts of patterns, {grammars} of grammars, seed {given.seed}: no difference")


if __name__ == "__main__":
    main()
