"""Cache modes against `none`: how often their answers differ, and what they save.

Every mode answers the same items with the same noise, the modes in turn on each batch, so that a slow minute of the
machine hits all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, product
from typing import Any

import numpy as np

from dllm.arguments import whole
from dllm.cache import as_cache
from dllm.errors import ConfigError
from dllm.eval.items import Item, Task
from dllm.eval.metrics import Interval, bootstrap_difference
from dllm.eval.tables import markdown
from dllm.eval.tiny.items import tiny_task
from dllm.llm import LLM
from dllm.outputs import RequestOutput
from dllm.params import SamplingParams

BASE = "none"
CACHES = (
    *("prefix", "prefix(keep_prompt=True)", "dual", "dual(keep_prompt=True)"),
    *("window", "window(left=None, right=0, every=None)", "suffix(keep=8)", "suffix(keep=8, every=1)"),
    *("delayed", "delayed(keep_prompt=True)", "drift", "drift(tau=0.99)", "entropy", "entropy(tau=0.001)"),
)
"""What is compared with `none`."""
TASKS, COUNT = ("copy", "sort", "shuffle", "words", "json", "cpp", "fill_record", "fill_code"), 32
HEADINGS = (
    *("cache", "answers as `none` %", "tokens as `none` %", "accuracy %", "against `none`"),
    *("forwards", "refreshes", "fed / token", "x fewer fed", "x faster"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRow:
    """One mode over all items.

    Attributes:
        cache: its spec.
        items: answers.
        same_answers: share of answers that are token for token those of `none`.
        same_tokens: share of tokens that are, place by place; a place where only one of the two has a token differs.
        accuracy: mean score of the answers, 0...1.
        tasks: the same of each task.
        accuracy_gain, accuracy_interval: accuracy minus that of `none`, mean over tasks, with its 95 % interval
            (bootstrap, paired item by item).
        forwards, refreshes: mean an item.
        fed_per_token: positions that went through the network, a token.
        fewer_fed: that of `none` over this.
        tokens_per_second: over all batches.
        faster: this over that of `none`.
    """

    cache: str
    items: int
    same_answers: float
    same_tokens: float
    accuracy: float
    tasks: dict[str, float]
    accuracy_gain: float
    accuracy_interval: Interval
    forwards: float
    refreshes: float
    fed_per_token: float
    fewer_fed: float
    tokens_per_second: float
    faster: float

    def cells(self) -> list[str]:
        """In the columns of `HEADINGS`."""
        low, high = self.accuracy_interval
        return [
            f"`{self.cache}`",
            f"{100 * self.same_answers:.1f}",
            f"{100 * self.same_tokens:.1f}",
            f"{100 * self.accuracy:.1f}",
            f"{100 * self.accuracy_gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]",
            f"{self.forwards:.1f}",
            f"{self.refreshes:.1f}",
            f"{self.fed_per_token:.1f}",
            f"{self.fewer_fed:.2f}",
            f"{self.faster:.2f}",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """Rows, `none` first, and the settings that made them."""

    settings: dict[str, Any]
    rows: tuple[CacheRow, ...]

    def titled(self) -> tuple[str, Sequence[str], list[list[str]]]:
        """Title, columns and cells of a table for a terminal."""
        told = ", ".join(f"{name} {value}" for name, value in self.settings.items() if name != "tasks")
        title = f"Caches against `{BASE}`: {len(self.settings['tasks'])} tasks, {self.rows[0].items} items, {told}"
        return title, HEADINGS, [row.cells() for row in self.rows]

    def by_task(self) -> tuple[str, Sequence[str], list[list[str]]]:
        """The same of a table of accuracies in percent: modes down, tasks across."""
        cells = [[f"`{row.cache}`", *(f"{100 * value:.1f}" for value in row.tasks.values())] for row in self.rows]
        return "Accuracy % by task", ("cache", *self.rows[0].tasks), cells

    def markdown(self) -> str:
        return markdown(*self.titled()) + "\n" + markdown(*self.by_task())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            **self.settings,
            "rows": [asdict(row) | {"accuracy_interval": [*row.accuracy_interval]} for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class _ModeRun:
    """One mode's answers to the items of every task, in their order, and the seconds they took together."""

    outputs: list[list[RequestOutput]]
    seconds: float

    def total(self, name: str) -> int:
        return sum(getattr(output.stats, name) for output in chain(*self.outputs))


def cache_report(
    llm: LLM,
    tasks: Sequence[Task] | None = None,
    caches: Sequence[str] = CACHES,
    *,
    items: int = COUNT,
    scheduler: str = "threshold(0.9)",
    block_length: int = 16,
    batch_size: int = 8,
    seed: int = 0,
    advance: Callable[[int], object] = lambda done: None,
) -> CacheReport:
    """Measure `caches` beside `none`.

    Args:
        tasks: what is asked; by default `items` items of each of `TASKS`, which the embedded model knows.
        block_length: by default half of what requests have: answers of the embedded model are short.
        batch_size: items decoded together.
        advance: told how many answers each finished batch of a mode had.

    Raises:
        ConfigError: no task, no item, or a wrong value of an argument.
    """
    if tasks is None:
        tasks = [tiny_task(name, whole("items", items, 1), seed) for name in TASKS]
    if not tasks or not all(task.items for task in tasks):
        raise ConfigError("a cache report needs at least one task, and an item in each")
    whole("batch_size", batch_size, 1)
    names = list(dict.fromkeys(str(as_cache(cache)) for cache in (BASE, *caches)))
    shared = SamplingParams(scheduler=scheduler, block_length=block_length, seed=seed)
    runs = _run_all(llm, tasks, [replace(shared, cache=name) for name in names], batch_size, advance)
    settings = {"scheduler": scheduler, "block": block_length, "batch": batch_size, "seed": seed}
    settings |= {"tasks": [task.name for task in tasks]}
    mask = llm.model.mask_token_id
    rows = [_row(name, run, runs[0], tasks, mask) for name, run in zip(names, runs, strict=True)]
    return CacheReport(settings=settings, rows=tuple(rows))


def _run_all(
    llm: LLM, tasks: Sequence[Task], modes: Sequence[SamplingParams], size: int, advance: Callable[[int], object]
) -> list[_ModeRun]:
    """Every mode on every item. On each batch all modes take turns, from another one on each time."""
    outputs: list[list[list[RequestOutput]]] = [[[] for _ in tasks] for _ in modes]
    seconds = [0.0] * len(modes)
    once = {item.kind: (item, task.max_new_tokens) for task in tasks for item in task.items}
    for params, (item, room) in product(modes, once.values()):  # what the first call sets up is nobody's time
        _answers(llm, [item], params, room, 0)
    batches = [(t, start) for t, task in enumerate(tasks) for start in range(0, len(task.items), size)]
    for turn, (t, start) in enumerate(batches):
        batch = tasks[t].items[start : start + size]
        for place in range(len(modes)):
            mode = (turn + place) % len(modes)
            began = time.perf_counter()
            found = _answers(llm, batch, modes[mode], tasks[t].max_new_tokens, start)
            seconds[mode] += time.perf_counter() - began
            outputs[mode][t] += found
            advance(len(batch))
    return [_ModeRun(*one) for one in zip(outputs, seconds, strict=True)]


def _answers(
    llm: LLM, items: Sequence[Item], params: SamplingParams, new_tokens: int, first: int
) -> list[RequestOutput]:
    """Answers in the order of the items. Noise follows the item, so that all modes see the same."""
    found: dict[int, RequestOutput] = {}
    own = [replace(params, seed=(params.seed or 0) + first + i, max_new_tokens=new_tokens) for i in range(len(items))]
    for ask, kinds in ((llm.generate, ("prompt", "chat")), (llm.infill, ("document",))):
        places = [i for i, item in enumerate(items) if item.kind in kinds]
        if places:
            questions = [_question(llm, items[i]) for i in places]
            done: Any = ask(questions, [own[i] for i in places], max_batch_size=len(places), progress=False)
            found.update(zip(places, done, strict=True))
    return [found[i] for i in range(len(items))]


def _question(llm: LLM, item: Item) -> Any:
    if item.kind != "chat":
        return item.question
    if llm.tokenizer is None:
        raise ConfigError("this LLM has no tokenizer, so it has no chat template; give 'prompt' items")
    return llm.tokenizer.apply_chat_template(item.question)


def _row(name: str, run: _ModeRun, base: _ModeRun, tasks: Sequence[Task], mask: int | None) -> CacheRow:
    pairs = list(zip(chain(*run.outputs), chain(*base.outputs), strict=True))
    answers = [(_filled(one, mask), _filled(other, mask)) for one, other in pairs]
    places = sum(max(len(one), len(other)) for one, other in answers)
    equal = sum(a == b for one, other in answers for a, b in zip(one, other, strict=False))
    scores, before = _scores(run, tasks), _scores(base, tasks)
    gain, interval = bootstrap_difference(list(zip(scores, before, strict=True)))
    fed, fed_before = (one.total("positions_fed") / max(1, one.total("tokens")) for one in (run, base))
    rate, rate_before = (one.total("tokens") / one.seconds for one in (run, base))
    return CacheRow(
        cache=name,
        items=len(pairs),
        same_answers=sum(one == other for one, other in answers) / len(pairs),
        same_tokens=equal / max(1, places),
        accuracy=float(np.concatenate(scores).mean()),
        tasks={task.name: float(score.mean()) for task, score in zip(tasks, scores, strict=True)},
        accuracy_gain=gain,
        accuracy_interval=interval,
        forwards=run.total("forwards") / len(pairs),
        refreshes=run.total("refreshes") / len(pairs),
        fed_per_token=fed,
        fewer_fed=fed_before / fed,
        tokens_per_second=rate,
        faster=rate / rate_before,
    )


def _filled(output: RequestOutput, mask: int | None) -> list[int]:
    """The tokens that were asked for: the answer, or those of the holes."""
    if not output.holes:
        return output.token_ids
    given = output.prompt_token_ids
    return [token for token, before in zip(output.token_ids, given, strict=True) if before == mask]


def _scores(run: _ModeRun, tasks: Sequence[Task]) -> list[np.ndarray]:
    """`[n]` a task; an answer that nothing judges counts as wrong."""
    return [
        np.array([item.judge(output.text) or 0.0 for item, output in zip(task.items, outputs, strict=True)])
        for task, outputs in zip(tasks, run.outputs, strict=True)
    ]
