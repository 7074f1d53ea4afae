"""One run of lm-evaluation-harness: tasks found by name, evaluated, and the results with what they cost."""

from __future__ import annotations

import difflib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dllm import __version__
from dllm.errors import ConfigError
from dllm.eval.compare import fingerprint
from dllm.eval.files import write_whole
from dllm.eval.harness_settings import Settings
from dllm.eval.kept_answers import KeptAnswers
from dllm.hub import resolve_folder

Results = dict[str, Any]
_PACKAGES = ("lm_eval", "datasets", "torch", "transformers", "numpy")


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """What is evaluated.

    Attributes:
        names: of tasks, groups or tags; patterns such as `mmlu_*`; YAML files.
        include: folders of further task files.
        num_fewshot: worked examples in front of each question; None = as the task says.
        limit: items a task, or below 1 the share of them; None = all.
        chat: put the questions in the model's chat template.
        unsafe_code: allow tasks that run what the model writes.
    """

    names: Sequence[str]
    include: Sequence[Path] = ()
    num_fewshot: int | None = None
    limit: float | None = None
    chat: bool = False
    unsafe_code: bool = False


def evaluate(tasks: Tasks, settings: Settings, keep: Path | None = None) -> Results | None:
    """All tasks on one model.

    Args:
        keep: a folder where answers are kept as they come: the same run goes on with them, if this one is stopped.

    Returns:
        what the harness found; `requests`, `forwards`, `tokens`, `tokens_per_forward` and `seconds` of all of them,
        and of each kind in `by_kind`; `likelihood_standard_error` (nats, or None); `software`, the versions.
        `samples` holds every answer. None in all but the first of several processes.

    Raises:
        ConfigError: the harness is not installed, a task that is not known, or one that runs code without being let.
        DllmError: whatever is wrong with the model or an argument.
        OSError: a data set that cannot be had.
    """
    if find_spec("lm_eval") is None:
        raise ConfigError(
            "dllm eval lm needs lm-evaluation-harness, which is not installed: pip install 'dllm-engine[eval]'"
        )
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from dllm.eval.lm_harness import DllmLM

    manager = TaskManager(include_path=[str(folder) for folder in tasks.include] or None)
    names = matching(tasks.names, manager.all_tasks)
    model = DllmLM(**{name: getattr(settings, name) for name in (field.name for field in fields(settings))})
    if keep is not None:
        model.kept = KeptAnswers(keep, _about(settings), model.rank)
    if tasks.chat:
        model.chat_template(True)  # names a missing one now
    limit = int(tasks.limit) if tasks.limit is not None and tasks.limit >= 1 else tasks.limit
    try:
        found = simple_evaluate(
            model=model,
            tasks=names,
            num_fewshot=tasks.num_fewshot,
            limit=limit,
            apply_chat_template=tasks.chat,
            task_manager=manager,
            confirm_run_unsafe_code=tasks.unsafe_code,
        )
    except ValueError as error:
        if "unsafe" in str(error) and not tasks.unsafe_code:
            raise ConfigError(
                f"tasks={','.join(names)}: one of them runs the code that the model writes; allow it with "
                "unsafe_code=True (--unsafe-code), on a machine where that may be"
            ) from error
        raise
    return None if found is None else _with_costs(dict(found), model.summary())


def forget_answers(keep: Path, settings: Settings) -> None:
    """Remove the answers that `evaluate` has kept, when its results are saved."""
    KeptAnswers(keep, _about(settings)).forget()


def _about(settings: Settings) -> Results:
    """What answers depend on; not on who is answered with whom."""
    about = {name: value for name, value in settings.to_dict().items() if name not in ("batch_size", "mc_batch")}
    folder = resolve_folder(settings.pretrained, settings.revision) if isinstance(settings.pretrained, str) else None
    return about | {"weights": "" if folder is None else fingerprint(folder)}


def matching(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """The names of tasks that are asked for, patterns written out, each once.

    Raises:
        ConfigError: a name that no task has; the message gives the nearest ones.
    """
    names = list[str]()
    for one in asked:
        if one in known or (one.endswith((".yaml", ".yml")) and Path(one).is_file()):
            names.append(one)
            continue
        found = [name for name in known if fnmatchcase(name, one)]
        if not found:
            near = difflib.get_close_matches(one, known, n=3, cutoff=0.5)
            hint = f" The nearest names: {', '.join(near)}." if near else ""
            raise ConfigError(f"tasks: no task, group or tag is called {one!r}.{hint} --include-path DIR adds your own")
        names += found
    return list(dict.fromkeys(names))


def save_results(results: Results, folder: Path) -> list[Path]:
    """Write `results.json`, and every answer to `samples_TASK.jsonl`, over earlier ones; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"results.json": to_json(results, indent=2) + "\n"}
    for task, samples in results.get("samples", {}).items():
        texts[f"samples_{task}.jsonl"] = "".join(to_json(one) + "\n" for one in samples)
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


def to_json(results: Results, indent: int | None = None) -> str:
    """Everything but the samples; what JSON has no value for, as text."""
    kept = {name: value for name, value in results.items() if name != "samples"}
    return json.dumps(kept, indent=indent, default=str, ensure_ascii=False)


def metric_rows(results: Results) -> list[list[str]]:
    """Task, items, shots, metric, filter, value and standard error, a row a metric; groups behind tasks."""
    found = list[list[str]]()
    for task, metrics in {**results["results"], **results.get("groups", {})}.items():
        items = results.get("n-samples", {}).get(task, {}).get("effective", "")
        shots = results.get("n-shot", {}).get(task, "")
        for key, value in metrics.items():
            metric, _, kind = key.partition(",")
            if kind and not metric.endswith("_stderr"):
                error = metrics.get(f"{metric}_stderr,{kind}")
                found.append([task, str(items), str(shots), metric, kind, _number(value), _number(error)])
    return found


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value in (None, "N/A") else str(value)


def _with_costs(found: Results, spent: Results) -> Results:
    software = {"dllm": __version__, "python": platform.python_version()}
    software |= {package: version(package) for package in _PACKAGES}
    return found | spent | {"software": software}
