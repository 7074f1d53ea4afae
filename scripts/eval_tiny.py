"""Score the embedded model on held-out prompts: ``python scripts/eval_tiny.py`` prints the table of its model card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/ is not in the wheel: it lies beside this folder

import dllm
from dllm.eval.tiny import tasks
from tools.train_tiny import model_card


def main() -> None:
    """Read the options, measure, print the table in Markdown."""
    shipped = Path(dllm.__file__).parent / "models" / "tiny"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", type=Path, default=shipped, help="folder of the exported checkpoint")
    parser.add_argument("--n", type=int, default=500, help="items a task at one token a step")
    parser.add_argument("--fewer", type=int, default=200, help="items a task under each other rule")
    parser.add_argument("--tasks", nargs="+", choices=tasks.TASKS, default=list(tasks.TASKS), metavar="TASK")
    parser.add_argument("--rules", nargs="+", help="a selection of: " + ", ".join(map(str, model_card.RULES)))
    parser.add_argument("--region", type=int, default=0, help="canvas of an answer; 0: its length and 1..16 more")
    parser.add_argument("--block", type=int, default=0, help="block length of semi-autoregressive decoding; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write all counts here")
    given = parser.parse_args()
    rules = tuple(rule for rule in model_card.RULES if not given.rules or str(rule) in given.rules)
    plan = model_card.CardPlan(
        folder=given.model,
        names=tuple(given.tasks),
        rules=rules,
        count=given.n,
        fewer=given.fewer,
        region=given.region,
        block=given.block,
        seed=given.seed,
        workers=given.workers,
    )
    results = model_card.measure_scores(plan)
    print(model_card.card_table(plan, results))
    if given.json:
        given.json.write_text(model_card.scores_as_json(plan, results) + "\n")


if __name__ == "__main__":
    main()
