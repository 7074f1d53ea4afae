"""`dllm eval lm`: the tasks of lm-evaluation-harness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from dllm.cli.grouping import grouped
from dllm.cli.options import ModelOptions
from dllm.cli.registered import CACHES
from dllm.cli.shell import UsageError

if TYPE_CHECKING:
    from dllm.eval.harness_settings import Settings
    from dllm.eval.lm_run import Tasks

_TASKS, _HOW, _LIKELIHOOD = "Tasks", "How", "Likelihood"


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What is evaluated."""

    tasks: Annotated[
        list[str] | None,
        Option("--tasks", "-t", help="Names, patterns or YAML files, with commas; repeatable.", rich_help_panel=_TASKS),
    ] = None
    include_path: Annotated[
        list[Path] | None,
        Option(metavar="DIR", help="Where to find more task files; repeatable.", rich_help_panel=_TASKS),
    ] = None
    limit: Annotated[
        float | None, Option(help="Items a task, or below 1 the share of them.", rich_help_panel=_TASKS)
    ] = None
    num_fewshot: Annotated[
        int | None, Option(min=0, help="Worked examples in front of each question.", rich_help_panel=_TASKS)
    ] = None
    apply_chat_template: Annotated[
        bool, Option("--apply-chat-template", help="Ask as in a chat.", rich_help_panel=_TASKS)
    ] = False
    unsafe_code: Annotated[
        bool, Option("--unsafe-code", help="Allow tasks that run what the model writes.", rich_help_panel=_TASKS)
    ] = False

    def chosen(self) -> Tasks:
        from dllm.eval.lm_run import Tasks

        names = [name.strip() for one in self.tasks or () for name in one.split(",") if name.strip()]
        if not names:
            raise UsageError("--tasks is empty; name at least one, such as --tasks gsm8k,arc_easy")
        if self.limit is not None and self.limit <= 0:
            raise UsageError(f"--limit {self.limit:g} must be above 0")
        wrong = next((folder for folder in self.include_path or () if not folder.is_dir()), None)
        if wrong is not None:
            raise UsageError(f"--include-path {wrong}: no such folder")
        return Tasks(
            names=names,
            include=self.include_path or (),
            num_fewshot=self.num_fewshot,
            limit=self.limit,
            chat=self.apply_chat_template,
            unsafe_code=self.unsafe_code,
        )


@dataclass(frozen=True, kw_only=True)
class HarnessOptions:
    """How answers are generated and likelihoods estimated (a test holds the defaults to those of `Settings`)."""

    scheduler: Annotated[
        str | None, Option("--scheduler", "-s", help="SPEC; else the model's, or threshold(0.9).", rich_help_panel=_HOW)
    ] = None
    cache: Annotated[str, Option(help=f"{CACHES}.", rich_help_panel=_HOW)] = "none"
    max_new_tokens: Annotated[
        int | None, Option("--max-new-tokens", "-n", help="Canvas, whatever a task says.", rich_help_panel=_HOW)
    ] = None
    max_gen_toks: Annotated[int, Option(help="Canvas where a task says nothing.", rich_help_panel=_HOW)] = 256
    block_length: Annotated[
        int | None, Option(help="Tokens a block; else the model's, or 32.", rich_help_panel=_HOW)
    ] = None
    steps: Annotated[
        int | None, Option(help="Steps over the answer; schedulers llada and dream only.", rich_help_panel=_HOW)
    ] = None
    temperature: Annotated[float | None, Option(help="Whatever a task says.", rich_help_panel=_HOW)] = None
    cfg_scale: Annotated[float, Option(help="Classifier-free guidance; 0 = off.", rich_help_panel=_HOW)] = 0.0
    seed: Annotated[int, Option(help="Of the noise and of the likelihood's masks.", rich_help_panel=_HOW)] = 0
    batch_size: Annotated[int, Option(help="Rows a forward.", rich_help_panel=_HOW)] = 16
    mc_num: Annotated[int, Option(help="Masks drawn for a likelihood.", rich_help_panel=_LIKELIHOOD)] = 128
    mc_batch: Annotated[
        int | None, Option(help="Canvases a forward; --batch-size if not given.", rich_help_panel=_LIKELIHOOD)
    ] = None
    greedy: Annotated[
        bool, Option("--greedy", help="Find out is_greedy, at more forwards.", rich_help_panel=_LIKELIHOOD)
    ] = False

    def settings(self, model: ModelOptions) -> Settings:
        """Everything checked that can be without loading a model."""
        from dllm.eval.harness_settings import Settings

        how: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        loading: dict[str, Any] = vars(model) | {"pretrained": model.model}
        del loading["model"]
        return Settings(**loading, **how)


@grouped
def lm(
    out: Annotated[
        Path | None,
        Option(
            metavar="DIR", help="results.json, and every answer in samples_TASK.jsonl; goes on where a run stopped."
        ),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object on stdout instead of a table.")] = False,
    *,
    model: ModelOptions,
    tasks: TaskOptions,
    how: HarnessOptions,
) -> None:
    """Run tasks of lm-evaluation-harness, which the extra `eval` installs (docs/lm-evaluation.md)."""
    from dllm.eval.lm_run import evaluate, forget_answers, save_results, to_json

    chosen, settings = tasks.chosen(), how.settings(model)
    model.folder()  # names that lead nowhere are told as the options they are
    model.tokenizer_folder()
    results = evaluate(chosen, settings, out)
    if results is None:  # one of several processes, and not the first
        return
    written: list[Path] = []
    if out is not None:
        written = save_results(results, out)
        forget_answers(out, settings)
    if as_json:
        print(to_json(results))
        return
    _print(results)
    for path in written:
        print(path)


def _print(results: dict[str, Any]) -> None:
    from rich.table import Table

    from dllm.cli.console import cell, page
    from dllm.eval.lm_run import metric_rows

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("task", "items", "shots", "metric", "filter", "value", "stderr"):
        table.add_column(column, overflow="fold", justify="right" if column in ("items", "shots") else "left")
    for row in metric_rows(results):
        table.add_row(*map(cell, row))
    page().print(table)
    print()
    for kind, spent in results["by_kind"].items():
        print(
            f"{kind}: {spent['requests']} requests, {spent['forwards']} forwards, "
            f"{spent['tokens_per_forward']:.2f} tokens/forward, {spent['seconds']:.1f} s"
        )
    error = results["likelihood_standard_error"]
    if error is not None:
        print(f"standard error of a likelihood: {error['mean']:.3f} nats on average, {error['max']:.3f} at most")
