"""The measurements of `dllm bench`, as one dictionary and as tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from dllm import __version__
from dllm.bench.against_literal import Comparison, compare_with_literal, mixed, one
from dllm.bench.clock import threads
from dllm.bench.split import Split, split_step
from dllm.bench.tiny_speed import TinySpeed, tiny_speeds
from dllm.testing.networks import LARGE_VOCABULARY, VOCABULARY

Table = tuple[str, Sequence[str], list[list[str]]]
"""Title, names of columns, cells."""


def quick() -> tuple[dict[str, Any], list[Table]]:
    """The three numbers that a change must not spoil, on one thread, in under a minute."""
    with threads(1):
        single = compare_with_literal(one(32), torch.float32, 3)
        batch = compare_with_literal(mixed(16, 8), torch.float32, 1, block=16)
    found = {
        "ratio_batch1": single.ratio,
        "ratio_batch8": batch.ratio,
        "ratio_batch8_own": batch.ratio_own,
        "tokens_equal": single.equal and batch.equal and bool(batch.equal_batch),
        "about": about(),
        "comparisons": [asdict(single), asdict(batch)],
    }
    return found, [comparisons([single, batch])]


def full(count: int) -> tuple[dict[str, Any], list[Table]]:
    """Everything, on `count` threads: tens of minutes."""
    with threads(count):
        runs = []
        for dtype in (torch.float32, torch.bfloat16):
            runs += [compare_with_literal(one(256), dtype, 3), compare_with_literal(mixed(1, 1), dtype, 1)]
        splits = [
            split_step(vocabulary, rows, dtype, scheduler)
            for vocabulary in (VOCABULARY, LARGE_VOCABULARY)
            for dtype in (torch.float32, torch.bfloat16)
            for rows, scheduler in ((1, "topk(1)"), (8, "topk(1)"), (1, "credit+localleap"))
        ]
        tiny = tiny_speeds()
    first, second = runs[0], runs[1]
    found = {
        "ratio_batch1": first.ratio,
        "ratio_batch1_bf16": runs[2].ratio,
        "ratio_batch8": second.ratio,
        "ratio_batch8_own": second.ratio_own,
        "ratio_batch8_bf16": runs[3].ratio,
        "ratio_batch8_own_bf16": runs[3].ratio_own,
        "tokens_equal": first.equal and second.equal and bool(second.equal_batch),
        "about": about(),
        "comparisons": [asdict(run) for run in runs],
        "splits": [asdict(one) | {"overhead": one.overhead} for one in splits],
        "tiny": [asdict(one) for one in tiny],
    }
    return found, [comparisons(runs), split_table(splits), tiny_table(tiny)]


def about() -> dict[str, Any]:
    """What the numbers were measured with."""
    return {
        "dllm": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def comparisons(runs: list[Comparison]) -> Table:
    titles = ["dtype", "threads", "rows", "tokens", "published tok/s", "ours, one by one", "ours, together"]
    titles += ["x published", "x one by one", "tokens equal"]
    return "Against the published dual cache, written out (shape A)", titles, [_comparison(run) for run in runs]


def _comparison(run: Comparison) -> list[str]:
    together = "-" if run.batch is None else f"{run.tokens / run.batch:.1f}"
    speeds = [f"{run.literal_tokens_per_second:.1f}", f"{run.tokens / run.single:.1f}", together]
    own = "-" if run.ratio_own is None else f"{run.ratio_own:.2f}"
    equal = {True: "yes", False: "no", None: "-"}
    same = f"{equal[run.equal]}, batch {equal[run.equal_batch]}"
    return [run.dtype, str(run.threads), str(run.rows), str(run.tokens), *speeds, f"{run.ratio:.2f}", own, same]


def split_table(splits: list[Split]) -> Table:
    titles = ["vocabulary", "rows", "dtype", "scheduler", "body", "head", "confidence", "rest", "overhead %"]
    return "Milliseconds of a forward, by part", titles, [_split(one) for one in splits]


def _split(one: Split) -> list[str]:
    parts = [f"{one.milliseconds[name]:.1f}" for name in ("body", "head", "confidence", "rest")]
    return [str(one.vocabulary), str(one.rows), one.dtype, one.scheduler, *parts, f"{100 * one.overhead:.1f}"]


def tiny_table(speeds: list[TinySpeed]) -> Table:
    cells = [
        [one.cache, f"{one.tokens_per_second:.0f}", f"{one.tokens_per_forward:.2f}", f"{one.peak_mb:.0f}"]
        for one in speeds
    ]
    return "tiny, 64 prompts, threshold(0.9)", ["cache", "tokens/s", "tokens/forward", "peak MB"], cells
