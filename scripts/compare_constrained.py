"""The embedded model with and without grammars: `python scripts/compare_constrained.py` prints a Markdown table."""

from __future__ import annotations

import argparse
import sys

from dllm import LLM, SamplingParams
from dllm.eval import constrained


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--n", type=int, default=100, help="items a task")
    known = list(constrained.GRAMMARS)
    parser.add_argument("--tasks", nargs="+", choices=known, default=known, metavar="TASK")
    parser.add_argument("--scheduler", default="threshold(0.9)")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0, help="of the items and the noise")
    parser.add_argument("--differences", action="store_true", help="print answers that only one of the two got right")
    given = parser.parse_args()
    params = SamplingParams(scheduler=given.scheduler, temperature=given.temperature, seed=given.seed, cache="none")
    llm = LLM("tiny")
    pairs = []
    for task in given.tasks:
        for pair in constrained.measure_task(llm, task, given.n, params):
            pairs.append(pair)
            if given.differences and (pair.free.exact, pair.free.valid) != (pair.held.exact, pair.held.valid):
                print(f"{task}: {pair.case.item.question!r}\n  free {pair.free.exact} {pair.free.text!r}")
                print(f"  held {pair.held.exact} {pair.held.text!r}", flush=True)
        print(f"{task}: {given.n} items", file=sys.stderr)
    print()
    print(constrained.paired_table(pairs, f"tiny, {given.scheduler}, n = {given.n} a task"))
    print(constrained.judges())


if __name__ == "__main__":
    main()
