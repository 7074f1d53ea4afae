"""The grammar engine against enumeration, for as long as you like: `python -m tests.slow.grammar_brute --minutes 10`.

The checks are those of `tests/grammars/test_engine.py`, on random grammars, vocabularies and canvases of other seeds.
With `--guarded`, some terminals are text, which may not go on over given tokens if a hole begins it.
It stops at the first difference with an assertion that names the seed.
"""

from __future__ import annotations

import argparse
import random
import time

from tests.grammars.test_engine import (
    check_commits,
    check_completability,
    check_joint_commits,
    check_masks,
    check_witness,
    random_canvas,
    random_step,
    started,
    worlds,
)

CANVASES, HELD = 120, 6
"""Canvases of a grammar that are decided; and those on which masks, commits and steps are checked too."""


def main() -> None:
    """Read the options, check, print how much was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--guarded", action="store_true")
    given = parser.parse_args()
    end, grammars, canvases = time.monotonic() + 60 * given.minutes, 0, 0
    for seed, world, compiled in worlds(given.seed, 1 << 30, guarded=given.guarded):
        rng = random.Random(seed)
        for number in range(CANVASES):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            note = (seed, number, ids, ends)
            check_completability(world, compiled, ids, ends, note)
            held = started(world, compiled, ids, ends) if number < HELD else None
            if held is not None:
                check_witness(world, held, note)
                check_masks(world, held, note)
                check_commits(world, held, note)
                check_joint_commits(rng, world, held, note)
                for _ in range(4):
                    held = random_step(rng, world, held, note)
                    check_masks(world, held, note)
        grammars, canvases = grammars + 1, canvases + CANVASES
        if time.monotonic() > end:
            break
    print(f"{canvases} canvases of {grammars} random grammars, seeds from {given.seed} on: no difference")


if __name__ == "__main__":
    main()
