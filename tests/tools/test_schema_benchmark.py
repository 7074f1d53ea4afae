"""The parts of `benchmarks/json_schemas.py`: what a verdict is, what is generated, and engines held to their time."""

import time

import pytest
import torch

from benchmarks.json_schemas import judged, summary
from benchmarks.schema_generation import RandomModel, generated, judged_text, largest, report, room_for
from benchmarks.schema_limits import TooLong, cpu_limit, spread
from benchmarks.schema_peers import Worker
from dllm import LLM, Grammar, GrammarError

NUMBERED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ITEM = {"source": "a---b", "schema": NUMBERED, "valid": [{"n": 1}, {"n": 12, "more": [1]}], "invalid": [{}, {"n": "1"}]}


def refuse(_schema):
    raise GrammarError("not this one")


def accept_all(_schema):
    return lambda text: True


def spin(seconds):
    """In one call of C, which no signal handler can interrupt, where it takes long."""
    if seconds:
        sum(range(10**12))
    return "done"


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny")


def test_a_schema_is_judged_by_whatever_makes_a_judge_of_texts():
    assert judged(ITEM, 20.0).right
    assert judged(ITEM, 20.0, accept_all).wrong_accepts == 2
    verdict = judged(ITEM, 20.0, refuse)
    assert not verdict.compiled
    assert not verdict.right


def test_engines_are_compared_on_the_instances_of_what_they_compile():
    verdicts = {name: [judged(ITEM, 20.0, make)] for name, make in (("all", accept_all), ("none", refuse))}
    *_, everything, nothing = summary(verdicts, [ITEM])
    assert "| 100.0 | 0.0 | 2 of 2 | 2 of 2 (1 schemas) | 0 |" in everything
    assert "| 0.0 | 0.0 | 0 of 0 | 0 of 0 (0 schemas) | 0 |" in nothing


def test_the_largest_schemas_that_compile_and_have_an_instance_come_first():
    long = {"description": "long " * 9, **NUMBERED}
    items = [ITEM, {**ITEM, "schema": long}, {**ITEM, "schema": long, "valid": []}, {**ITEM, "schema": {"type": 1}}]
    assert [at for at, _, _ in largest(items)] == [1, 0]


def test_a_text_is_generated_and_judged(tiny):
    run = generated(tiny, 0, ITEM, Grammar.from_json_schema(NUMBERED), 60.0, None, seed=0)
    assert (run.failure, run.refused, run.invalid, run.unjudged, run.over) == (None, None, None, None, False)
    assert 0 < run.tokens <= run.room == room_for(tiny, ITEM["valid"])
    assert "| invalid by jsonschema | 0 |" in list(report([run], 30.0))


def test_a_canvas_that_holds_no_text_is_a_failure(tiny):
    many = {"type": "object", "required": ["a" * 60], "properties": {"a" * 60: {"type": "integer"}}}
    run = generated(tiny, 0, {**ITEM, "schema": many, "valid": [1]}, Grammar.from_json_schema(many), 60.0, None, 0)
    assert "fits this canvas" in run.failure
    assert not run.over
    assert "| undecided or failed | 1 |" in list(report([run], 30.0))


def test_a_run_that_takes_all_of_its_time_is_over(tiny):
    run = generated(tiny, 0, ITEM, Grammar.from_json_schema(NUMBERED), 1e-6, None, seed=0)
    assert run.over
    assert "| over 30 s | 1 |" in list(report([run], 30.0))


def test_jsonschema_judges_with_formats():
    schema = {"type": "string", "format": "date"}
    assert judged_text(schema, '"2024-02-29"') == (None, None)
    assert "date" in judged_text(schema, '"2023-02-29"')[0]
    assert judged_text(schema, '"')[0].startswith("no JSON")
    assert judged_text({"type": "string", "pattern": "("}, '"a"')[0] is None
    assert judged_text({"type": "string", "pattern": "("}, '"a"')[1] is not None


def test_random_logits_differ_by_position_and_seed(tiny):
    first, second = RandomModel(tiny, 5, 0).logits(torch.zeros(2, 5)), RandomModel(tiny, 5, 1).logits(torch.zeros(2, 5))
    assert first.shape == (2, 5, tiny.model.vocab_size)
    assert len(first[0].unique(dim=0)) == 5
    assert not torch.equal(first, second)


def test_cpu_time_is_limited():
    with pytest.raises(TooLong), cpu_limit(0.05):
        began = time.monotonic()
        while time.monotonic() < began + 60:
            pass


def test_a_worker_that_does_not_answer_in_time_is_replaced():
    worker = Worker(spin, [0], 0.3)
    assert [worker.ask(0), worker.ask(1), worker.ask(0)] == ["done", None, "done"]
    worker.stop()


def test_spread():
    assert spread([]) == "-"
    assert spread(list(range(1, 101))) == "50.5 / 95.0 / 100"
