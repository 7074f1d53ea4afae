"""What comparisons are made of: judges, items, variants, result files, and the numbers of a report."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from dllm import ConfigError, DllmError, Hole
from dllm.eval.format import RESULTS_VERSION, fault, schema
from dllm.eval.items import read_task
from dllm.eval.judges import judge_maker
from dllm.eval.metrics import aup, bootstrap_difference, bootstrap_ratio, percentile, wilson
from dllm.eval.records import Records, alone, key_of, read_results
from dllm.eval.tiny.items import tiny_task
from dllm.eval.variants import Variant, alternatives, variants

# judges


@pytest.mark.parametrize(
    ("score", "answer", "right", "wrong"),
    [
        ("exact", "a b", [" a b\n"], ["a  b", "a b c", ""]),
        ("contains", "42", ["it is 42.", "42"], ["4 2"]),
        ("regex", r"^\d+$", ["17"], ["17a", ""]),
        ("json", {"a": 1, "b": [True, "x"]}, ['{"b": [true, "x"], "a": 1.0}'], ['{"a": 1, "b": [1, "x"]}', "{", ""]),
        ("json", '{"a": null}', ['{ "a" : null }'], ['{"a": 0}', '{"a": null, "b": 1}', "null"]),
        ("json", "plain", ['"plain"'], ["plain"]),
    ],
)
def test_judges(score, answer, right, wrong):
    judge = judge_maker(score)({"answer": answer}, "here")
    assert [judge(text) for text in right] == [1.0] * len(right)
    assert [judge(text) for text in wrong] == [0.0] * len(wrong)


def test_a_function_of_the_users_judges(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def half(text, record):\n    return record['weight'] if text == record['answer'] else False\n")
    make = judge_maker(f"{path}:half")
    judge = make({"answer": "x", "weight": 0.5}, "here")
    assert (judge("x"), judge("y")) == (0.5, 0.0)
    with pytest.raises(ConfigError, match="returned 3"):
        make({"answer": "x", "weight": 3}, "here")("x")
    with pytest.raises(ConfigError, match="no function 'other'"):
        judge_maker(f"{path}:other")
    with pytest.raises(ConfigError, match="no such Python file"):
        judge_maker(f"{tmp_path / 'absent.py'}:half")
    with pytest.raises(ConfigError, match="must be one of exact"):
        judge_maker("nearly")


@pytest.mark.parametrize(
    ("score", "record", "message"),
    [
        ("exact", {"answer": 3}, "must be a string"),
        ("exact", {}, "must be a string"),
        ("regex", {"answer": "("}, "not a regular expression"),
        ("json", {}, "no answer"),
    ],
)
def test_records_that_a_judge_cannot_use(score, record, message):
    with pytest.raises(ConfigError, match=message):
        judge_maker(score)(record, "line 1")


# items


def task_of(tmp_path, *lines, limit=None):
    data = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return read_task(tmp_path / "mine.jsonl", data, judge_maker("exact"), 16, limit)


def test_items_of_a_file(tmp_path):
    task = task_of(
        tmp_path,
        {"prompt": "1+1=", "answer": "2"},
        "",
        {"chat": "Hi", "answer": "Ho"},
        {"chat": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], "answer": ""},
        {"document": "int <mask:2>;", "answer": "int x=;"},
    )
    assert (task.name, task.max_new_tokens, len(task.items)) == ("mine", 16, 4)
    assert [item.kind for item in task.items] == ["prompt", "chat", "chat", "document"]
    assert task.items[1].question == [{"role": "user", "content": "Hi"}]
    assert task.items[0].judge(" 2 ") == 1.0
    assert len(task_of(tmp_path, *[{"prompt": str(i), "answer": ""} for i in range(9)], limit=4).items) == 4
    assert task.source != task_of(tmp_path, {"prompt": "1+1=", "answer": "3"}).source


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "exactly one of prompt, chat, document, found none"),
        ({"prompt": "a", "chat": "b", "answer": ""}, "found \\['prompt', 'chat'\\]"),
        ({"prompt": "", "answer": ""}, "non-empty text"),
        ({"prompt": ["a"], "answer": ""}, "non-empty text"),
        ({"chat": {}, "answer": ""}, "non-empty message"),
    ],
)
def test_lines_that_are_no_item(tmp_path, line, message):
    with pytest.raises(ConfigError, match=message):
        task_of(tmp_path, {"prompt": "a", "answer": "b"}, line)
    with pytest.raises(ConfigError, match="holds no line"):
        task_of(tmp_path, "")


def test_tinys_tasks_are_a_function_of_their_seed():
    longer, shorter = tiny_task("json", 6, 3), tiny_task("json", 4, 3)
    assert [item.question for item in longer.items[:4]] == [item.question for item in shorter.items]
    assert {item.kind for item in longer.items} == {"prompt", "chat"}
    assert longer.source == shorter.source != tiny_task("json", 4, 4).source
    assert all(item.judge(item.answer) == 1.0 for item in longer.items)
    documents = tiny_task("fill_code", 5, 0).items
    assert all(item.kind == "document" and any(isinstance(part, Hole) for part in item.question) for item in documents)
    with pytest.raises(ConfigError, match="Did you mean 'copy'"):
        tiny_task("coppy", 1, 0)


# variants


def test_braces_make_every_combination():
    assert alternatives("threshold({0.7,0.9})+{credit,localleap}") == [
        "threshold(0.7)+credit",
        "threshold(0.7)+localleap",
        "threshold(0.9)+credit",
        "threshold(0.9)+localleap",
    ]
    assert alternatives("topk(2, by=margin)") == ["topk(2, by=margin)"]
    for broken in ("threshold({0.7)", "threshold(0.7})", "a({b,{c}})"):
        with pytest.raises(ConfigError, match="braces"):
            alternatives(broken)


def test_equal_variants_run_once():
    found = variants(["threshold", "threshold(0.9)", "threshold(tau=0.9)", "credit+threshold", "threshold+credit"])
    assert [v.scheduler for v in found] == ["threshold", "credit+threshold"]
    assert found[0].key == "threshold(tau=0.9)"
    assert found[1].key == "credit(decay=0.8,power=0.2,strength=0.7)+threshold(tau=0.9)"
    assert found[1].method == "credit+threshold"
    assert Variant.make("credit").identity == found[1].identity  # a selector is added
    assert len(variants(["topk({1,2})"], [8, 16], ["none", "dual"])) == 8
    with pytest.raises(ConfigError, match="Did you mean 'threshold'"):
        variants(["treshold"])
    with pytest.raises(ConfigError, match="duall"):
        variants(["topk"], caches=["duall"])


# result files


def line(index, **more):
    base = {"model": "m", "task": "t", "index": index, "key": "k", "block_length": 32, "cache": "none"}
    base |= {"scheduler": "k", "method": "k", "seed": 0, "text": "", "finish_reason": "stop", "score": 1.0}
    base |= {"forwards": 1, "refreshes": 0, "tokens": 1, "slots": 1, "seconds": 0.1, "share_seconds": 0.1}
    return base | {"released": [1], "order": [0]} | more


HEADER = {"settings": {"seed": 0, "batch_size": 1, "tasks": {"t": {"source": "s"}}}, "environment": {"cpus": 2}}


def test_a_torn_line_is_dropped_and_the_run_goes_on(tmp_path):
    path = tmp_path / "deep" / "results.jsonl"
    Records(path, HEADER).add([line(0), line(1)])
    whole = path.read_bytes()
    for cut in range(1, len(json.dumps(line(2)))):
        path.write_bytes(whole + json.dumps(line(2)).encode()[:cut])
        again = Records(path, HEADER)
        assert again.done == {key_of(line(0)), key_of(line(1))}
        again.add([line(2), line(2)])
        headers, lines = read_results(path)
        assert [one["index"] for one in lines][:3] == [0, 1, 2] and len(headers) == 2
        assert headers[0]["dllm_results"] == RESULTS_VERSION


def test_a_run_with_other_settings_is_refused(tmp_path):
    path = tmp_path / "results.jsonl"
    Records(path, HEADER).add([line(0)])
    before = path.read_bytes()
    other = {"settings": {"seed": 0, "tasks": {"t": {"source": "z"}}}, "environment": {}}
    with pytest.raises(ConfigError, match=r"tasks\.t\.source='s', this run has 'z'"):
        Records(path, other)
    assert path.read_bytes() == before
    more = {"settings": {"seed": 0, "tasks": {"u": {"source": "z"}}}, "environment": {"cpus": 9}}
    assert Records(path, more).lines == [line(0)]  # another task and another machine are fine
    path.write_text("something else\n")
    with pytest.raises(ConfigError, match="no line of dllm results"):
        Records(path, HEADER)
    path.write_text('{"dllm_results": 99, "settings": {}}\n')
    with pytest.raises(ConfigError, match="version"):
        Records(path, HEADER)


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = Records(None, HEADER)
    records.add([line(0), line(0), line(1)])
    assert [one["index"] for one in records.lines] == [0, 1]
    assert not list(tmp_path.iterdir())


# numbers


def test_wilson_against_its_definition():
    """The interval holds exactly the shares p with |mean - p| <= z sqrt(p (1 - p) / n)."""
    for right, n in ((0, 10), (3, 10), (10, 10), (95, 100), (499, 500)):
        mean = right / n
        low, high = wilson(mean, n)
        for edge in (low, high):
            if 0 < edge < 1:
                assert abs(abs(mean - edge) - 1.96 * math.sqrt(edge * (1 - edge) / n)) < 1e-9
        assert low <= mean <= high
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_bootstrap_covers_and_is_paired():
    rng = random.Random(0)
    hits = 0
    for trial in range(200):
        base = np.array([rng.uniform(5, 15) for _ in range(60)])
        own = base / 2 + np.array([rng.gauss(0, 0.2) for _ in range(60)])
        ratio, (low, high) = bootstrap_ratio([(base[:30], own[:30]), (base[30:], own[30:])], 400, trial)
        assert low <= ratio <= high and high - low < 0.2  # unpaired, the interval would be about 0.5 wide
        hits += low <= 2.0 <= high
    assert hits > 180
    first, second = np.array([1.0, 0.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    value, (low, high) = bootstrap_difference([(first, second), (second, second)])
    assert value == pytest.approx(0.125) and low == 0.0 and high <= 0.5
    assert percentile(np.array([1.0, 2.0, 3.0, 4.0]), 50) == 2.5 and percentile(np.array([]), 50) == 0.0


def test_aup_by_hand():
    def w(y, best):
        return y * min(1.0, math.exp(-3 * (1 - y / best)))

    points = [(4.0, 78.0), (1.0, 80.0), (2.0, 79.0), (8.0, 60.0)]  # the last is more than 5 below the first
    expected = 80.0 + 0.5 * 1 * (w(79, 82) + w(80, 82)) + 0.5 * 2 * (w(78, 82) + w(79, 82))
    assert aup(points, 82.0) == pytest.approx(expected)
    assert aup([(1.0, 50.0)], 60.0) == 50.0  # the first term is not weighted
    assert aup([(2.0, 50.0)], 60.0) is None and aup([], 60.0) is None and aup([(1.0, 0.0)], 0.0) is None


def test_a_spec_runs_as_it_was_written():
    """White space inside quotes is part of an argument."""
    (found,) = variants([" prophet(region='The answer is', place=0.5)+topk "])
    assert found.scheduler == "prophet(region='The answer is', place=0.5)+topk"
    assert Variant.make(found.scheduler).identity == found.identity


@pytest.mark.parametrize(
    ("points", "best", "published"),
    [
        ([(1.0, 74.79), (2.77, 74.68)], 74.98, 205.8),  # GSM8K-CoT, LLaDA: Fast-dLLM
        ([(1.0, 74.98), (2.88, 74.39)], 74.98, 213.8),  # D2F
        ([(1.0, 74.0), (5.14, 72.63)], 74.98, 358.1),  # dParallel
        ([(1.0, 38.16), (2.56, 37.8)], 67.73, 54.0),  # HumanEval: Fast-dLLM
        ([(1.0, 41.02), (2.69, 40.64)], 67.73, 62.0),
        ([(1.0, 39.68), (4.93, 39.02)], 67.73, 83.7),
    ],
)
def test_aup_equals_the_published_values(points, best, published):
    assert aup(points, best) == pytest.approx(published, abs=0.06)


def test_a_hole_behind_a_less_than_sign_is_a_hole():
    """`i <<mask:2>` in a text would be an escape, so tiny's documents are made of parts."""
    questions = [item.question for item in tiny_task("fill_code", 140, 0).items]
    assert any(isinstance(part, str) and part.endswith("<") for parts in questions for part in parts[:-1])
    assert all(any(isinstance(part, Hole) for part in parts) for parts in questions)


# the format of results


def test_the_schema_in_the_docs_is_the_reader_s():
    path = Path(__file__).parents[2] / "docs" / "results.schema.json"
    assert json.loads(path.read_text()) == schema()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extra": 1}, "'extra' is unknown"),
        ({"index": "0"}, "index='0' is no integer"),
        ({"index": True}, "index='True' is no integer"),
        ({"released": 3}, "released='3' is no array"),
        ({"score": "1"}, "is no number or null"),
        ({"score": 55}, "score=55 must be in 0...1"),
        ({"forwards": 0}, "forwards=0 must be at least 1"),
    ],
)
def test_what_the_reader_does_not_know_it_refuses(tmp_path, change, said):
    sample = line(0) | change
    assert said in fault(sample)
    assert not Draft202012Validator(schema()).is_valid(sample) and Draft202012Validator(schema()).is_valid(line(0))
    path = tmp_path / "results.jsonl"
    Records(path, HEADER).add([line(1)])
    with path.open("a") as file:
        file.write(json.dumps(sample) + "\n")
    with pytest.raises(ConfigError, match="line 3 is no line of dllm results"):
        read_results(path)


def test_a_sample_without_its_identity_or_a_file_without_a_header_is_refused(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(line(0)) + "\n")
    with pytest.raises(ConfigError, match="no header"):
        read_results(path)
    path.write_text('{"model": "m"}\n')
    with pytest.raises(ConfigError, match="'task' is missing"):
        read_results(path)


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path, monkeypatch):
    path = tmp_path / "results.jsonl"
    records = Records(path, HEADER)
    records.add([line(0)])

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(DllmError, match=r"No space left on device.*is kept"):
            records.add([line(1)])
    assert key_of(line(0)) in Records(path, HEADER).done


def test_two_runs_do_not_write_one_file(tmp_path):
    path = tmp_path / "results.jsonl"
    with alone(path), pytest.raises(ConfigError, match="being written by another run"), alone(path):
        pass
    with alone(path):
        Records(path, HEADER).add([line(0)])
    assert len(read_results(path)[1]) == 1
