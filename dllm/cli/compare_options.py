"""The options of `dllm compare`, and the plan they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from dllm.cli.inputs import read_file
from dllm.cli.options import ModelOptions
from dllm.cli.registered import CACHES
from dllm.cli.shell import UsageError

if TYPE_CHECKING:
    from dllm.eval.compare import Plan
    from dllm.eval.items import Task

_WHAT, _HOW = "What is compared", "How"

SCHEDULERS = (
    *("topk({2,4})", "threshold({0.7,0.8})", "factor(0.5)", "localleap", "hierarchy", "eb(0.1)", "klass"),
    *("learn2pd", "credit", "adablock", "prophet", "wino", "saber", "dus"),
    *("credit+eb(0.1)", "eotp+localleap", "adablock+credit+localleap+prophet+eotp"),
)
"""Compared where no `--scheduler` is given; learn2pd with tiny only, which has a filter."""
BASELINES = ("topk(1)", "threshold(0.9)")
QUICK_SCHEDULERS = ("topk({1,4})", "threshold({0.7,0.9})", "localleap", "credit")
QUICK_TASKS, QUICK_COUNT = ("copy", "sort", "shuffle", "json", "cpp"), 24


@dataclass(frozen=True, kw_only=True)
class WhatOptions:
    """Models, schedulers and tasks."""

    models: Annotated[
        list[str] | None,
        Option("--model", "-m", help="tiny (default), a folder, or a Hub id; repeatable.", rich_help_panel=_WHAT),
    ] = None
    schedulers: Annotated[
        list[str] | None,
        Option(
            "--scheduler",
            "-s",
            help="SPEC; 'threshold({0.7,0.9})' stands for one of each. Repeatable.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    baselines: Annotated[
        list[str] | None,
        Option(
            "--baseline", help="SPEC that gains refer to; topk(1) and threshold(0.9) if none.", rich_help_panel=_WHAT
        ),
    ] = None
    block_lengths: Annotated[
        list[int] | None, Option("--block-length", help="Tokens a block (32); repeatable.", rich_help_panel=_WHAT)
    ] = None
    caches: Annotated[
        list[str] | None,
        Option("--cache", help=f"{CACHES}; none if not given; repeatable.", rich_help_panel=_WHAT),
    ] = None
    tasks: Annotated[
        list[str] | None,
        Option(
            "--task", "-t", help="A task of tiny's; all of them if none is named. Repeatable.", rich_help_panel=_WHAT
        ),
    ] = None
    data: Annotated[
        list[Path] | None,
        Option(
            metavar="FILE", help="A task of your own, as JSONL (docs/compare.md); repeatable.", rich_help_panel=_WHAT
        ),
    ] = None
    score: Annotated[
        str,
        Option(help="Judge of --data: exact, contains, regex, json or FILE.py:FUNCTION.", rich_help_panel=_WHAT),
    ] = "exact"
    plugins: Annotated[
        list[Path] | None,
        Option("--plugin", metavar="FILE.py", help="Imported first; registers your schedulers.", rich_help_panel=_WHAT),
    ] = None
    quick: Annotated[
        bool,
        Option(
            "--quick", help="Five tasks, 24 items, six schedulers: half a minute on 2 cores.", rich_help_panel=_WHAT
        ),
    ] = False

    def specs(self) -> tuple[list[str], list[str]]:
        """The baselines, each spec on its own, and what to compare with them."""
        from dllm.eval.variants import alternatives

        named = list(self.schedulers or (QUICK_SCHEDULERS if self.quick else SCHEDULERS))
        if not self.schedulers and set(self.names) != {"tiny"}:
            named = [spec for spec in named if spec != "learn2pd"]
        return [one for spec in self.baselines or BASELINES for one in alternatives(spec)], named

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(self.models or ["tiny"]))

    def find_tasks(self, count: int, seed: int, max_new_tokens: int) -> list[Task]:
        """Tiny's where no data are given, and the user's."""
        from dllm.eval.items import MOST_ITEMS, read_task
        from dllm.eval.judges import judge_maker
        from dllm.eval.tiny.items import tiny_task
        from dllm.eval.tiny.tasks import TASKS

        strangers = [name for name in self.names if name != "tiny"]
        if strangers and not self.data and not self.tasks:
            raise UsageError(f"--model {strangers[0]}: give --data FILE, or --task (whose prompts are made for tiny)")
        names: Sequence[str] = self.tasks or (() if self.data else QUICK_TASKS if self.quick else TASKS)
        count = min(count, QUICK_COUNT) if self.quick else count
        if names and count > MOST_ITEMS:
            raise UsageError(f"--count {count}: of tiny's tasks, whose items are made anew, at most {MOST_ITEMS}")
        found = [tiny_task(name, count, seed) for name in dict.fromkeys(names)]
        make_judge = judge_maker(self.score)
        for path in self.data or ():
            found.append(read_task(path, read_file(path, "--data"), make_judge, max_new_tokens, count))
        return found


@dataclass(frozen=True, kw_only=True)
class HowOptions:
    """What all variants share, and the machinery."""

    count: Annotated[int, Option("--count", "-n", min=1, help="Items a task, at most.", rich_help_panel=_HOW)] = 200
    max_new_tokens: Annotated[int, Option(min=1, help="Masks behind each prompt of --data.", rich_help_panel=_HOW)] = (
        128
    )
    steps: Annotated[int | None, Option(help="Steps over the answer; llada and dream only.", rich_help_panel=_HOW)] = (
        None
    )
    temperature: Annotated[float, Option(help="0 = most probable token.", rich_help_panel=_HOW)] = 0.0
    seed: Annotated[int, Option(help="Of the items of tiny's tasks and of the noise.", rich_help_panel=_HOW)] = 0
    batch_size: Annotated[int, Option(min=1, help="Rows decoded together.", rich_help_panel=_HOW)] = 16
    workers: Annotated[
        int,
        Option(min=1, help="At most so many processes, each of one thread; 1 = this one.", rich_help_panel=_HOW),
    ] = 1
    dtype: Annotated[str, Option(help="auto, float32, bfloat16 or float16.", rich_help_panel=_HOW)] = "auto"
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=_HOW)] = "auto"

    def plan(self, what: WhatOptions, schedulers: Sequence[str]) -> Plan:
        """Everything checked that can be without loading a model."""
        from dllm.eval.compare import Plan
        from dllm.params import SamplingParams

        sampling: dict[str, Any] = {"temperature": self.temperature}
        if self.steps is not None:
            sampling["steps"] = self.steps
        lengths = what.block_lengths or [32]
        for block_length in lengths:
            SamplingParams(**sampling, block_length=block_length, scheduler="llada")  # names a wrong value now
        return Plan.make(
            {name: ModelOptions(model=name).folder() for name in what.names},
            what.find_tasks(self.count, self.seed, self.max_new_tokens),
            schedulers,
            block_lengths=lengths,
            caches=what.caches or ["none"],
            dtype=self.dtype,
            device=self.device,
            sampling=sampling,
            seed=self.seed,
            batch_size=self.batch_size,
            workers=self.workers,
            plugins=[path.resolve() for path in what.plugins or ()],
        )
