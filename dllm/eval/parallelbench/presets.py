"""What is run: tasks, samples and sweeps, by name. Sweeps are scheduler specs with alternatives in braces."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.eval.parallelbench.tasks import TASKS

ONE_BLOCK = 128
"""A block length that no canvas exceeds: the whole answer is one block."""
ORDERS = tuple(
    f"topk({{1,2,4,8,16,32}}, by={by})" for by in ("confidence", "random", "margin", "entropy", "left_to_right")
)
PAPER = (*ORDERS, "threshold({1.0,0.9,0.8,0.7,0.6,0.5})", "factor({0.7,1.0,1.3,1.6,1.9})")
OURS = (
    *("localleap", "hierarchy", "eb({0.01,0.1,0.5})", "klass", "learn2pd", "credit", "adablock", "prophet", "saber"),
    *("wino", "dus", "eotp+threshold(0.9)", "adablock+credit+localleap+prophet+eotp"),
)
"""Every other scheduler of the project; learn2pd with tiny only, which has a filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A protocol.

    Attributes:
        suite: None: synthetic for tiny and ideal, else v2.
        count: samples a task.
    """

    about: str
    tasks: tuple[str, ...] = tuple(TASKS)
    count: int = 100
    schedulers: tuple[str, ...] = PAPER
    block_lengths: tuple[int, ...] = (ONE_BLOCK,)
    caches: tuple[str, ...] = ("none",)
    suite: str | None = None


PRESETS = {
    "quick": Preset(
        about="five tasks, 25 samples, a few points: minutes on a CPU with tiny",
        tasks=("copy", "sort", "shuffle", "replace_random", "latin_square"),
        count=25,
        schedulers=(
            *("topk({1,2,4,8}, by=confidence)", "topk({1,2,4,8}, by=random)", "threshold({0.9,0.7,0.5})"),
            *("factor({0.7,1.3})", "localleap"),
        ),
        suite="synthetic",
    ),
    "leaderboard": Preset(about="all 17 tasks, the sweeps of the public leaderboard, one block, no cache"),
    "all": Preset(about="the leaderboard's sweeps and every other scheduler of dllm", schedulers=(*PAPER, *OURS)),
    "paper-v1": Preset(about="the paper's data and sweeps", suite="v1"),
    "semi-ar": Preset(
        about="two tokens a step in blocks of different lengths",
        schedulers=tuple(f"topk(2, by={by})" for by in ("confidence", "random", "margin", "entropy")),
        block_lengths=(2, 4, 8, 16, 32, 64),
    ),
    "cache": Preset(
        about="what a cache costs in accuracy",
        schedulers=("topk({1,2,4}, by=confidence)", "threshold({0.9,0.7})"),
        block_lengths=(8, 16, 32),
        caches=("none", "prefix", "dual"),
    ),
}
