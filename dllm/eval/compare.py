"""Models x tasks x variants -> results: every variant sees the same prompts and the same noise."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from dllm import __version__
from dllm.arguments import whole
from dllm.errors import ConfigError
from dllm.eval.format import fault
from dllm.eval.items import Item, Task
from dllm.eval.jobs import Job, Loader, run_all
from dllm.eval.records import Key, Line, Records, agree, alone, key_of, read_results
from dllm.eval.user_code import UserCodeError, a_score, details_of, load_file, named
from dllm.eval.variants import Variant, variants
from dllm.eval.workers import bounded_workers
from dllm.hub import resolve_folder
from dllm.llm import LLM

RESULTS = "results.jsonl"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run.

    Attributes:
        models: name -> how to load it; `Plan.make` fills this and `fingerprints`.
        sampling: arguments of SamplingParams that all variants share (temperature, steps, ...).
        batch_size: rows decoded together; latency is that of a row in such a batch.
        workers: processes, at most; see `fitted`.
        plugins: Python files that register schedulers of the user's.
        weights: name -> bytes of them, which every worker holds a copy of in memory.
        fingerprints: name -> what tells the weights apart when a run is resumed.
        about: further settings that a resumed run must agree with.
        dtype, device: as they were asked for.
        shard: (i, n): only every n-th item, from the i-th on; each shard has a file of its own.
    """

    models: Mapping[str, Loader]
    tasks: Sequence[Task]
    variants: Sequence[Variant]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    batch_size: int = 16
    workers: int = 1
    plugins: Sequence[Path] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "auto"
    device: str = "auto"
    shard: tuple[int, int] = (1, 1)

    @classmethod
    def make(
        cls,
        models: Mapping[str, Any],
        tasks: Sequence[Task],
        schedulers: Iterable[str],
        *,
        block_lengths: Sequence[int] = (32,),
        caches: Sequence[str] = ("none",),
        dtype: str = "auto",
        device: str = "auto",
        plugins: Sequence[Path] = (),
        **rest: Any,
    ) -> Plan:
        """A plan from what people write.

        Args:
            models: name -> what `LLM` takes, or an LLM.
            schedulers: specs; `threshold({0.7,0.9})` stands for one of each.
            plugins: files that register schedulers of the user's; imported here, and in every worker.
            rest: further attributes of Plan.

        Raises:
            ConfigError, ModelError: whatever is wrong with them; no model is loaded yet.
        """
        for path in plugins:
            load_file(path, "plugin", "plug-in")
        loaders = {name: model_loader(model, dtype=dtype, device=device) for name, model in models.items()}
        return cls(
            models={name: loader for name, (loader, _) in loaders.items()},
            fingerprints={name: fingerprint for name, (_, fingerprint) in loaders.items()},
            weights={name: _weight_bytes(model, device) for name, model in models.items()},
            dtype=str(dtype),
            device=str(device),
            tasks=tasks,
            variants=variants(schedulers, block_lengths, caches),
            plugins=plugins,
            **rest,
        )

    @property
    def file(self) -> str:
        """Name of the file of results."""
        one, of = self.shard
        return RESULTS if of == 1 else f"results-{one}-of-{of}.jsonl"

    def places(self, task: Task) -> range:
        """Indices of the items of a task that are in this shard."""
        return range(self.shard[0] - 1, len(task.items), self.shard[1])


def compare(plan: Plan, out: Path | None = None, advance: Callable[[int], object] = lambda done: None) -> list[Line]:
    """Run what is not in `out` yet and return all of the plan's samples, in the plan's order.

    Args:
        out: folder of `results.jsonl`; None keeps nothing.
        advance: told of every batch that finishes how many samples it had; those found in `out` come first.

    Raises:
        ConfigError: the folder holds a run with other settings.
    """
    check_plan(plan, out)
    plan = fitted(plan)
    if out is None:
        return _run(plan, Records(None, header(plan)), advance)
    for other in sorted(out.glob("results*.jsonl")):
        if other.name != plan.file:  # another shard of this run, if any
            for earlier in read_results(other)[0]:
                agree(other, earlier["settings"], header(plan)["settings"])
    with alone(out / plan.file):
        return _run(plan, Records(out / plan.file, header(plan)), advance)


def _run(plan: Plan, records: Records, advance: Callable[[int], object]) -> list[Line]:
    wanted = set(_keys(plan))
    advance(len(wanted & records.done))
    items = {task.name: task.items for task in plan.tasks}

    def judged(line: Line) -> Line:
        return line | _judgement(items[line["task"]][line["index"]], line)

    again = [judged(line) for line in records.lines if line["score"] is None and key_of(line) in wanted]
    records.add(line for line in again if line["score"] is not None)  # what scores it is here by now
    for _, lines in run_all(_jobs(plan, records), plan.models, plan.workers, plan.plugins):
        records.add([judged(line) for line in lines])
        advance(len(lines))
    return in_order(plan, records.lines)


def _judgement(item: Item, line: Line) -> Line:
    """What a line says of its answer. Items may be made by anybody; what they say must fit into a line.

    Raises:
        UserCodeError: it does not, or what judges the item raised.
    """
    where = f"task {line['task']!r} item {line['index']}"
    with named(f"judge of {where}"):
        score = item.judge(line["text"])
    score = score if score is None else a_score(score, f"judge of {where}")
    said = {"score": score, "answer": item.answer, **details_of(item.details, f"details of {where}", line["text"])}
    wrong = fault(line | said)
    if wrong is not None:
        raise UserCodeError(f"{where}: {wrong}")
    return said


def in_order(plan: Plan, lines: Iterable[Line]) -> list[Line]:
    """Those of a plan's samples that are among the lines, in the plan's order."""
    order = {key: place for place, key in enumerate(_keys(plan))}
    return sorted((line for line in lines if key_of(line) in order), key=lambda line: order[key_of(line)])


def sample_count(plan: Plan) -> int:
    """Samples of a plan."""
    return len(plan.models) * len(plan.variants) * sum(len(plan.places(task)) for task in plan.tasks)


def fitted(plan: Plan, tell: Callable[[str], object] = lambda text: None) -> Plan:
    """The plan with no more workers than there is a use for; `tell` hears of it where that is fewer."""
    batches = sum(-(-len(plan.places(task)) // plan.batch_size) for task in plan.tasks)
    count, said = bounded_workers(
        plan.workers, batches * len(plan.models) * len(plan.variants), max(plan.weights.values(), default=0)
    )
    if said:
        tell(said)
    return replace(plan, workers=count)


def header(plan: Plan) -> dict[str, Any]:
    """What a resumed run must agree with, and what is recorded beside it."""
    return {
        "settings": {
            "seed": plan.seed,
            "sampling": dict(plan.sampling),
            "batch_size": plan.batch_size,
            "shards": plan.shard[1],
            "dtype": plan.dtype,
            **plan.about,
            "models": dict(plan.fingerprints),
            "tasks": {t.name: {"source": t.source, "max_new_tokens": t.max_new_tokens} for t in plan.tasks},
        },
        "environment": {
            "dllm": __version__,
            "commit": _commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "machine": platform.machine(),
            "cpus": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "workers": plan.workers,
            "device": plan.device,
        },
    }


def model_loader(model: Any, **arguments: Any) -> tuple[Loader, str]:
    """How to load what `LLM(model, **arguments)` takes, and its fingerprint. An LLM is taken as it is."""
    if isinstance(model, LLM):
        return partial(_itself, model), "object"
    if not isinstance(model, str | Path):
        return partial(LLM, model, **arguments), "object"
    folder = resolve_folder(model)
    return partial(LLM, str(folder), **arguments), fingerprint(folder)


def _itself(llm: LLM) -> LLM:
    return llm


def fingerprint(folder: Path) -> str:
    """Of the config, and of each weights file its size and first mebibyte: 16 GB are not read for a name."""
    digest = hashlib.sha256((folder / "config.json").read_bytes() if (folder / "config.json").is_file() else b"")
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size} ".encode() + file.read(1 << 20))
    return digest.hexdigest()[:16]


def _weight_bytes(model: Any, device: str) -> int:
    """Of what `LLM` loads from a folder into memory, not onto a card."""
    in_memory = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    if not isinstance(model, str | Path) or not in_memory:
        return 0
    return sum(path.stat().st_size for path in resolve_folder(model).glob("*.safetensors"))


def check_plan(plan: Plan, out: Path | None = None) -> None:
    """Raise ConfigError for what can be found wrong before a model is loaded or anything is written."""
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f"out={str(out)!r} is a file; name a folder for the results")
    whole("batch_size", plan.batch_size, 1)
    whole("workers", plan.workers, 1)
    names = [task.name for task in plan.tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"task {twice[0]!r} is given twice; rename one of the files")
    if not (plan.models and plan.tasks and plan.variants):
        raise ConfigError("a comparison needs at least one model, one task and one scheduler")
    if sample_count(plan) == 0:
        raise ConfigError(
            f"shard {plan.shard[0]}/{plan.shard[1]} has no sample of these tasks; run more samples, or fewer shards"
        )
    for variant in plan.variants:  # names a wrong value before anything is written
        Job(model="", task="", variant=variant, asked=(), sampling={"seed": plan.seed, **plan.sampling}).params(0)


def _key(model: str, task: Task, index: int, variant: Variant) -> Key:
    """As `key_of` reads it from the sample's line."""
    return (model, task.name, index, *variant.identity)


def _keys(plan: Plan) -> Iterator[Key]:
    """Of all samples, in the order of the results."""
    for model, task, variant in product(plan.models, plan.tasks, plan.variants):
        for index in plan.places(task):
            yield _key(model, task, index, variant)


def _jobs(plan: Plan, records: Records) -> list[Job]:
    """What is left to do.

    Variants take turns on each batch, so that a slow minute of the machine hits all of them; another one begins each
    time, so that none is always the first to meet the shapes of a batch.
    """
    jobs = []
    for model, task in product(plan.models, plan.tasks):
        sampling = dict(plan.sampling) | {"seed": plan.seed, "max_new_tokens": task.max_new_tokens}
        places = plan.places(task)
        for turn, start in enumerate(range(0, len(places), plan.batch_size)):
            batch = places[start : start + plan.batch_size]
            first = turn % len(plan.variants)
            for variant in (*plan.variants[first:], *plan.variants[:first]):
                left = [i for i in batch if _key(model, task, i, variant) not in records.done]
                asked = tuple((i, task.items[i].kind, task.items[i].question) for i in left)
                if asked:
                    job = Job(model=model, task=task.name, variant=variant, asked=asked, sampling=sampling)
                    jobs.append(job)
    return jobs


@cache
def _commit() -> str | None:
    """The commit of a working tree, where dllm runs from one."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
