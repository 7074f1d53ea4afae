"""Where forwards are made: a job is one batch of items under one variant, in this process or in a worker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from dllm.errors import ConfigError, DllmError, PromptError
from dllm.eval.items import KINDS, Kind
from dllm.eval.records import Identity, Line
from dllm.eval.user_code import UserCodeError, load_file, named
from dllm.eval.variants import Variant
from dllm.llm import LLM
from dllm.outputs import RequestOutput
from dllm.params import SamplingParams
from dllm.schedulers import as_scheduler

Loader = Callable[[], LLM]
Asked = tuple[int, Kind, Any]
"""Index of an item, how it is asked, and the question."""
Warmed = tuple[str, Identity, str]
"""Model, variant and kind of item that have been decoded in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Items of one task to decode together under one variant.

    Attributes:
        sampling: what all variants share: arguments of SamplingParams, `seed` that of item 0.
    """

    model: str
    task: str
    variant: Variant
    asked: tuple[Asked, ...]
    sampling: Mapping[str, Any]

    def params(self, index: int) -> SamplingParams:
        """Noise follows the item, so that all variants see the same; `steps` is for those that read it."""
        variant = self.variant
        given = {**self.sampling, "seed": self.sampling["seed"] + index}
        if not as_scheduler(variant.scheduler).reads_steps:
            given.pop("steps", None)
        return SamplingParams(
            **given, scheduler=variant.scheduler, block_length=variant.block_length, cache=variant.cache
        )


def run_job(llm: LLM, job: Job) -> list[Line]:
    """The results of a job, in the order of its items, not judged yet.

    Raises:
        UserCodeError: a scheduler of a plug-in failed, or returned what it must not.
    """
    with _plugin_named(job.variant):
        return _lines(llm, job)


def warm_up(llm: LLM, job: Job, warmed: set[Warmed]) -> None:
    """Decode the first of a job's items of each kind that its variant has not decoded here yet, for nothing.

    What happens once (kernels that are chosen or compiled, the chat template, a filter that is read) is then over for
    every variant alike before its first batch is timed.
    """
    for kind in KINDS:
        asked = tuple(one for one in job.asked if one[1] == kind)[:1]
        mark = (job.model, job.variant.identity, kind)
        if asked and mark not in warmed:
            with _plugin_named(job.variant):
                _lines(llm, replace(job, asked=asked))
            warmed.add(mark)


@contextmanager
def _plugin_named(variant: Variant) -> Iterator[None]:
    """What a scheduler of a plug-in raises, or is told for what it returns, is a UserCodeError."""
    if not variant.is_users_own:  # a bug of ours keeps its traceback
        yield
        return
    try:
        with named(f"scheduler {variant.scheduler!r} of a plug-in", passing=DllmError):
            yield
    except ConfigError as error:  # what is wrong with the job itself was found before
        raise error if isinstance(error, UserCodeError) else UserCodeError(str(error)) from error


def _lines(llm: LLM, job: Job) -> list[Line]:
    began = time.perf_counter()
    answers = [(index, _prompt(llm, kind, question)) for index, kind, question in job.asked if kind != "document"]
    documents = [(index, question) for index, kind, question in job.asked if kind == "document"]
    lines: dict[int, Line] = {}
    for asked, ask in ((answers, llm.generate), (documents, llm.infill)):
        if asked:
            params = [job.params(index) for index, _ in asked]
            outputs: Any = ask([question for _, question in asked], params, max_batch_size=len(asked), progress=False)
            for (index, _), output in zip(asked, outputs, strict=True):
                lines[index] = _line(job, index, output) | _until_end(llm, job, output)
    share = (time.perf_counter() - began) / len(job.asked)
    return [lines[index] | {"share_seconds": round(share, 6)} for index, _, _ in job.asked]


def _prompt(llm: LLM, kind: Kind, question: Any) -> Any:
    """Text, so that conversations and bare prompts share a batch."""
    if kind == "prompt":
        return question
    if llm.tokenizer is None:
        raise PromptError("this LLM has no tokenizer, so it has no chat template; give 'prompt' items")
    return llm.tokenizer.apply_chat_template(question)


def _until_end(llm: LLM, job: Job, output: RequestOutput) -> Line:
    """Where ends of text were decoded like any token (`ignore_eos`): the text and the tokens before the first."""
    ids = output.token_ids
    ends = [at for at, token in enumerate(ids) if token in llm.model.eos_token_ids]
    if not job.sampling.get("ignore_eos") or not ends or llm.tokenizer is None:
        return {}
    return {"text": llm.tokenizer.decode(ids[: ends[0]], skip_special=True), "tokens": ends[0]}


def _line(job: Job, index: int, output: RequestOutput) -> Line:
    stats = output.stats
    start = len(output.prompt_token_ids)
    committed: dict[int, int] = {}
    for number, step in enumerate(output.trace.steps):
        for position in step.revoked:
            committed.pop(position, None)
        for position in step.positions:
            committed[position] = number
    if output.holes:
        places = sorted(committed)
    else:
        places = [position for position in sorted(committed) if position < start + len(output.token_ids)]
    variant = job.variant
    return {
        "model": job.model,
        "task": job.task,
        "index": index,
        "key": variant.key,
        "block_length": variant.block_length,
        "cache": variant.cache,
        "scheduler": variant.scheduler,
        "method": variant.method,
        "seed": output.seed,
        "text": output.text,
        "finish_reason": output.finish_reason,
        "forwards": stats.forwards,
        "refreshes": stats.refreshes,
        "tokens": stats.tokens,
        "slots": stats.slots,
        "seconds": round(stats.seconds, 6),
        "released": [len(step.positions) for step in output.trace.steps],
        "order": [committed[position] for position in places],
    }


def run_all(
    jobs: Sequence[Job], loaders: Mapping[str, Loader], workers: int = 1, plugins: Sequence[Path] = ()
) -> Iterator[tuple[Job, list[Line]]]:
    """Every job with its results, as they finish.

    Args:
        loaders: model name -> how to load it; with several workers each must be picklable.
        workers: 1 runs here; more start so many processes of one thread each.
        plugins: Python files to import first, which register schedulers of the user's.
    """
    if workers == 1:
        _start(loaders, plugins, threads=None)
        for job in jobs:
            yield job, _work(job)
        return
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    arguments = (loaders, plugins, 1)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=arguments) as pool:
        waiting = list(reversed(jobs))
        running: dict[Future[list[Line]], Job] = {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * workers:  # few in flight, so that an interruption loses little
                    job = waiting.pop()
                    running[pool.submit(_work, job)] = job
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield running.pop(future), _result(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """A worker waits for jobs without end, so a parent that was killed would leave it behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _result(future: Future[list[Line]]) -> list[Line]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise DllmError(
            "a worker process has died, killed or out of memory; what was finished is kept: run the same again, with "
            "fewer workers if memory is short"
        ) from error


_loaders: Mapping[str, Loader] = {}
_loaded: dict[str, LLM] = {}
_warmed: set[Warmed] = set()


def _start(loaders: Mapping[str, Loader], plugins: Sequence[Path], threads: int | None) -> None:
    global _loaders
    _loaders = loaders
    _loaded.clear()
    _warmed.clear()
    if threads is not None:
        torch.set_num_threads(threads)
        Thread(target=_end_with_parent, daemon=True).start()
    for path in plugins:
        load_file(path, "plugin", "plug-in")


def _work(job: Job) -> list[Line]:
    if job.model not in _loaded:
        _loaded.clear()  # one model at a time in memory
        _loaded[job.model] = _loaders[job.model]()
    warm_up(_loaded[job.model], job, _warmed)
    return run_job(_loaded[job.model], job)
