"""`dllm eval parallelbench`, and `dllm eval report`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from dllm.cli.grouping import grouped
from dllm.cli.options import ModelOptions
from dllm.cli.shell import FAILED, UsageError, tell

if TYPE_CHECKING:
    from dllm.eval.parallelbench.page import Page

_WHAT, _HOW = "What is run", "How"
THEORY = {"quick": 100}
"""Samples a trial of the theory, by preset; else 400."""
TablesAsJson = Annotated[bool, Option("--json", help="One JSON object on stdout instead of tables.")]
Reference = Annotated[
    Path | None, Option(metavar="DIR", help="Published curves to lay beside: CSV files task,tps,accuracy.")
]


@dataclass(frozen=True, kw_only=True)
class What:
    """Model, suite and sweep."""

    model: Annotated[
        str, Option("--model", "-m", help="tiny, ideal (the theory's), a folder, or a Hub id.", rich_help_panel=_WHAT)
    ] = "tiny"
    preset: Annotated[
        str,
        Option(
            help="quick, leaderboard, all, paper-v1 (its sweeps; give --suite), semi-ar or cache.",
            rich_help_panel=_WHAT,
        ),
    ] = "quick"
    suite: Annotated[
        str | None, Option(help="synthetic (ours), v1 or v2 (the benchmark's own data).", rich_help_panel=_WHAT)
    ] = None
    data: Annotated[
        str | None, Option(metavar="DIR|hf", help="The benchmark's own data; for v1 and v2.", rich_help_panel=_WHAT)
    ] = None
    tasks: Annotated[
        list[str] | None, Option("--task", "-t", help="Repeatable; the preset's if none.", rich_help_panel=_WHAT)
    ] = None
    schedulers: Annotated[
        list[str] | None,
        Option("--scheduler", "-s", help="SPEC, as 'threshold({0.7,0.9})'; repeatable.", rich_help_panel=_WHAT),
    ] = None
    block_lengths: Annotated[
        list[int] | None, Option("--block-length", help="Repeatable; one block if none.", rich_help_panel=_WHAT)
    ] = None
    caches: Annotated[list[str] | None, Option("--cache", help="Repeatable.", rich_help_panel=_WHAT)] = None
    count: Annotated[int | None, Option("--count", "-n", min=1, help="Samples a task.", rich_help_panel=_WHAT)] = None


@dataclass(frozen=True, kw_only=True)
class How:
    """The machinery."""

    temperature: Annotated[float | None, Option(help="0 = most probable token; 1 for ideal.", rich_help_panel=_HOW)] = (
        None
    )
    seed: Annotated[int, Option(help="Of the samples and of the noise.", rich_help_panel=_HOW)] = 0
    batch_size: Annotated[int, Option(min=1, help="Rows decoded together.", rich_help_panel=_HOW)] = 16
    workers: Annotated[
        int, Option(min=1, help="At most so many processes, each of one thread; 1 = this one.", rich_help_panel=_HOW)
    ] = 1
    shard: Annotated[
        str,
        Option(
            metavar="I/N", help="Every N-th sample, from the I-th on; reports take all shards.", rich_help_panel=_HOW
        ),
    ] = "1/1"
    dtype: Annotated[str, Option(help="auto, float32, bfloat16 or float16.", rich_help_panel=_HOW)] = "auto"
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=_HOW)] = "auto"
    plugins: Annotated[
        list[Path] | None,
        Option("--plugin", metavar="FILE.py", help="Imported first; registers your schedulers.", rich_help_panel=_HOW),
    ] = None

    def the_shard(self) -> tuple[int, int]:
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", self.shard)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"--shard {self.shard or 'is empty'}: write I/N with 1 <= I <= N, as in 2/4")
        return int(found[1]), int(found[2])


@grouped
def parallelbench(
    out: Annotated[Path | None, Option(metavar="DIR", help="Results and reports; goes on where a run stopped.")] = None,
    reference: Reference = None,
    as_json: TablesAsJson = False,
    *,
    what: What,
    how: How,
) -> None:
    """ParallelBench: what parallel decoding costs, task by task and scheduler by scheduler.

    With --model ideal, whose every probability is right, also the theory: schedulers against closed forms.
    Started by `accelerate launch` or `torchrun`, the processes share the samples; the first reports on all of them.
    """
    from dllm.cli.console import progress
    from dllm.eval.compare import check_plan, compare, fitted, header, sample_count
    from dllm.eval.parallelbench.page import Page
    from dllm.eval.parallelbench.planning import IDEAL, Wanted, plan_of
    from dllm.eval.parallelbench.trial import judge_all, trials
    from dllm.eval.processes import Processes
    from dllm.eval.together import gathered, share
    from dllm.hub import TINY

    processes = Processes()
    curves = _curves(reference)
    if what.model not in (IDEAL, TINY):
        ModelOptions(model=what.model).folder()  # names what is missing now
    given: dict[str, Any] = {**vars(what), "seed": how.seed}
    whole = plan_of(
        Wanted(**given),
        temperature=how.temperature,
        tell=lambda text: tell(f"not run: {text}"),
        batch_size=how.batch_size,
        workers=how.workers,
        shard=how.the_shard(),
        dtype=how.dtype,
        device=str(processes.device(how.device)),
        plugins=[path.resolve() for path in how.plugins or ()],
    )
    plan = share(whole, processes)
    check_plan(plan, out)  # before the bar is drawn
    plan = fitted(plan, tell)
    theory = trials() if what.model == IDEAL and plan.shard[0] == 1 else []
    with progress("samples", sample_count(plan) + len(theory), shown=processes.rank == 0) as advance:
        own = compare(plan, out, advance)
        verdicts = list(judge_all(THEORY.get(what.preset, 400), how.seed, lambda: advance(1), theory))
    lines = gathered(whole, processes, own)
    if lines is None:
        return  # the first process reports
    page = Page.make([header(plan)], lines, verdicts, curves)
    _tell(page, out, as_json)
    wrong = [verdict.trial for verdict in verdicts if not verdict.ok]
    if wrong:
        tell(f"{len(wrong)} trials are off, the first: {wrong[0].task} under {wrong[0].scheduler}")
        raise typer.Exit(FAILED)


@grouped
def report(
    folders: Annotated[list[Path], Argument(metavar="DIR", help="Folders of runs; they are read together.")],
    out: Annotated[Path | None, Option(metavar="DIR", help="Where to write page.html and the rest.")] = None,
    reference: Reference = None,
    as_json: TablesAsJson = False,
) -> None:
    """Tables and a page of finished ParallelBench runs, one or several, all shards of each."""
    from dllm.eval.parallelbench.page import Page
    from dllm.eval.parallelbench.runs import read_runs

    headers, lines = read_runs(folders)
    _tell(Page.make(headers, lines, (), _curves(reference)), out, as_json)


def _curves(folder: Path | None) -> Any:
    from dllm.eval.parallelbench.reference import read_curves

    return None if folder is None else read_curves(folder)


def _tell(page: Page, out: Path | None, as_json: bool) -> None:
    from dllm.cli.console import print_tables

    written = [] if out is None else page.save(out)
    if as_json:
        print(json.dumps(page.summary()))
        return
    print_tables(page.tables())
    for path in written:
        print(path)
