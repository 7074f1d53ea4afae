"""How many worker processes are started, and what becomes of a run whose workers die."""

import os
from dataclasses import replace
from functools import partial

import pytest

from dllm import ConfigError, DllmError
from dllm.eval import compare as comparing
from dllm.eval import workers
from dllm.eval.compare import Plan, compare, fitted
from dllm.eval.tiny.items import tiny_task
from dllm.eval.workers import bounded_workers
from tests.support import cli as cli_support

dllm, model_folder = cli_support.dllm, cli_support.model_folder

GIB = 1 << 30


@pytest.fixture
def big(monkeypatch):
    """A machine of eight cores and 16 GiB."""
    monkeypatch.setattr(workers, "cores", lambda: 8)
    monkeypatch.setattr(workers, "free_bytes", lambda device: 16 * GIB)


@pytest.mark.parametrize(
    ("asked", "batches", "weights", "count"),
    [
        (1, 100, 0, 1),
        (8, 100, 0, 8),
        (9, 100, 0, 8),
        (1_000_000, 100, 0, 8),
        (1_000_000, 3, 0, 3),
        (8, 100, 3 * GIB, 4),
        (8, 100, 100 * GIB, 1),
        (8, 0, 0, 1),
    ],
)
def test_the_least_of_batches_cores_and_memory(big, asked, batches, weights, count):
    found, said = bounded_workers(asked, batches, weights)
    assert found == count and bool(said) == (asked != count)
    if said:
        assert said.startswith(f"workers={asked} is more than there is a use for, {count}:") and "8 cores" in said


def test_where_memory_is_not_known(big, monkeypatch):
    monkeypatch.setattr(workers, "free_bytes", lambda device: None)
    assert bounded_workers(100, 100, 100 * GIB)[0] == 8


def plan_of(count=4, **more):
    return Plan.make({"tiny": "tiny"}, [tiny_task("copy", count, 0)], ["topk(64)"], **{"batch_size": 2} | more)


def test_a_plan_counts_its_batches_and_weighs_its_models(big):
    told = []
    plan = fitted(plan_of(workers=100), told.append)
    assert plan.workers == 2 and len(told) == 1
    assert plan.weights["tiny"] > 1_000_000
    assert fitted(plan_of(workers=100, batch_size=1), told.append).workers == 4
    huge = fitted(replace(plan_of(workers=100, batch_size=1), weights={"tiny": 6 * GIB}))
    assert huge.workers == 2


@pytest.mark.parametrize("command", [("compare",), ("eval", "parallelbench")])
def test_the_commands_say_so_and_start_no_more(dllm, monkeypatch, big, command):
    started = []
    monkeypatch.setattr(comparing, "run_all", lambda jobs, loaders, count, plugins: started.append(count) or iter(()))
    run = dllm(
        *command, "-t", "copy", "-n", "3", "-s", "topk(64)", "--batch-size", "1", "--workers", "1000000", model="tiny"
    )
    (line,) = (line for line in run.stderr.splitlines() if line.startswith("dllm: workers"))
    assert started[0] <= 8 and f"use for, {started[0]}:" in line


def test_no_workers_are_refused():
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match="workers"):
            compare(replace(plan_of(), workers=wrong))


def test_a_worker_that_dies_is_one_error_and_what_was_finished_is_kept(tmp_path, big):
    plan = plan_of(batch_size=1)
    first = replace(plan, tasks=[replace(plan.tasks[0], items=plan.tasks[0].items[:1])])
    compare(first, tmp_path)
    dying = replace(plan, workers=2, models={"tiny": partial(os._exit, 3)})
    with pytest.raises(DllmError, match="a worker process has died"):
        compare(dying, tmp_path)
    told = []
    assert len(compare(plan, tmp_path, told.append)) == 4 and told[0] == 1
