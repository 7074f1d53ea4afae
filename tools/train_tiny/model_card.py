"""The table of the model card: exact match by task and decoding rule on held-out prompts, with intervals."""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.progress import Progress
from tokenizers import Tokenizer

from dllm.eval.tiny import tasks
from dllm.llm import LLM
from tools.train_tiny import evaluate
from tools.train_tiny.data import Encoder
from tools.train_tiny.evaluate import Rule, Score
from tools.train_tiny.through_engine import engine_decoder

RULES = (Rule(k=1), Rule(k=2), Rule(k=4), Rule(k=8), Rule(k=0), Rule(threshold=0.9), Rule(k=1, order="random"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPlan:
    """What to measure: ``count`` items at one token a step, ``fewer`` under the other rules; ``region`` as in items."""

    folder: Path
    names: tuple[str, ...] = tasks.TASKS
    rules: tuple[Rule, ...] = RULES
    count: int = 500
    fewer: int = 200
    region: int = 0
    block: int = 0
    seed: int = 0
    workers: int = 2

    def size(self, rule: Rule) -> int:
        """Items under ``rule``: the full number for the headline rule only."""
        return self.count if rule == Rule(k=1) else min(self.count, self.fewer)


Scores = dict[tuple[str, str], Score]


def measure_scores(plan: CardPlan) -> Scores:
    """Score every task under every rule, one task and rule a job, on ``plan.workers`` single-thread processes."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    results: Scores = {}
    with ProcessPoolExecutor(plan.workers, mp_context=get_context("spawn")) as pool, Progress() as progress:
        bar = progress.add_task("evaluate", total=len(plan.names) * len(plan.rules))
        jobs = {pool.submit(_job, plan, name, rule): (name, str(rule)) for rule in plan.rules for name in plan.names}
        for job in as_completed(jobs):
            results[jobs[job]] = job.result()
            progress.advance(bar)
    return results


def _job(plan: CardPlan, name: str, rule: Rule) -> Score:
    torch.set_num_threads(1)
    encoder = Encoder(Tokenizer.from_file(str(plan.folder / "tokenizer.json")))
    llm = LLM(plan.folder, device="cpu")
    found = evaluate.held_out_items(encoder, name, plan.size(rule), plan.seed, plan.region)
    if plan.block:
        rule = Rule(k=rule.k, threshold=rule.threshold, order=rule.order, block=plan.block)
    return evaluate.score(engine_decoder(llm, encoder.end), encoder, found, rule)


def card_table(plan: CardPlan, results: Scores) -> str:
    """The table: percent right, Wilson's interval at one token a step, tokens a step of the threshold rule."""
    names = [str(rule) for rule in plan.rules]
    lines = ["| task | n | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for task in plan.names:
        cells = []
        for rule in plan.rules:
            found = results[task, str(rule)]
            cell = f"{100 * found.rate:.1f}"
            if rule == Rule(k=1):
                low, high = found.interval()
                cell += f" [{100 * low:.1f}, {100 * high:.1f}]"
            if rule.threshold is not None:
                cell += f" ({found.tokens_per_step:.1f} tok/step)"
            cells.append(cell)
        lines.append(f"| {task} | {results[task, names[0]].total} | " + " | ".join(cells) + " |")
    means = [sum(results[task, name].rate for task in plan.names) / len(plan.names) for name in names]
    lines.append("| mean | | " + " | ".join(f"{100 * value:.1f}" for value in means) + " |")
    return "\n".join(lines)


def scores_as_json(plan: CardPlan, results: Scores) -> str:
    """All counts, for other programs."""
    rows = [
        {
            "task": task,
            "rule": rule,
            "right": found.right,
            "n": found.total,
            "interval95": found.interval(),
            "tokens_per_step": found.tokens_per_step,
        }
        for (task, rule), found in sorted(results.items())
    ]
    return json.dumps({"seed": plan.seed, "region": plan.region, "block": plan.block, "rows": rows}, indent=1)
