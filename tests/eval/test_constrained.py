"""The comparison of answers with and without a grammar."""

import json

import pytest

from dllm import LLM, ConfigError, SamplingParams
from dllm.eval import constrained


@pytest.fixture(scope="module")
def llm():
    return LLM("tiny")


@pytest.mark.parametrize("task", constrained.GRAMMARS)
def test_reference_answers_are_valid_and_of_the_grammar(task):
    found, _ = constrained.cases(task, 25, seed=3)
    assert len(found) == 25
    for case in found:
        assert case.grammar.accepts(case.item.answer) and case.valid(case.item.answer), case.item.answer
        assert not case.valid(case.item.answer[:-1])


def test_the_schema_is_that_of_the_keys_asked_for():
    found, _ = constrained.cases("json", 8, seed=0)
    case = next(case for case in found if case.item.answer.count(":") > 1)
    answer = json.loads(case.item.answer)
    turned = dict(reversed(answer.items()))
    assert not case.grammar.accepts(json.dumps(turned)) and case.valid(json.dumps(turned))
    key = next(iter(answer))
    assert not case.valid(json.dumps(answer | {key: None})) and not case.grammar.accepts(json.dumps({key: answer[key]}))


def test_both_ways(llm):
    params = SamplingParams(seed=0, cache="none")
    pairs = [pair for task in ("json", "fill_record") for pair in constrained.measure_task(llm, task, 2, params)]
    assert [pair.task for pair in pairs] == ["json", "json", "fill_record", "fill_record"]
    assert all(pair.held.valid and pair.held.output.seed == pair.free.output.seed for pair in pairs)
    assert pairs[0].held.preparation > 0
    heading, _, columns, _, *rows, _ = constrained.paired_table(pairs, "title").split("\n")
    assert heading == "### title" and "tokens/fwd" in columns
    assert [row.split(" | ")[0] for row in rows] == ["| json", "| json", "| fill_record", "| fill_record"]
    assert len({row.count("|") for row in (columns, *rows)}) == 1


def test_what_does_not_fit_is_counted(llm):
    (case, *_), _ = constrained.cases("json", 1, seed=0)
    held = constrained._held(llm, case, SamplingParams(max_new_tokens=2, seed=0))
    assert held.output is None and not held.valid and held.exact == 0.0 and held.text == ""


def test_mistakes(llm):
    with pytest.raises(ConfigError, match=r"sort.*no grammar"):
        constrained.cases("sort", 1, seed=0)
    with pytest.raises(ConfigError, match="seed=None"):
        next(constrained.measure_task(llm, "json", 1, SamplingParams()))
