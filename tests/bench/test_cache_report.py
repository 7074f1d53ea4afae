"""The report of cache modes against `none`, held to what the answers themselves say."""

import json

import pytest

from dllm import LLM, ConfigError, SamplingParams
from dllm.bench.cache_report import HEADINGS, _filled, cache_report
from dllm.eval.items import Item, Task
from dllm.eval.tiny.items import tiny_task


@pytest.fixture(scope="module")
def llm():
    return LLM("tiny")


@pytest.fixture(scope="module")
def report(llm):
    tasks = [tiny_task(name, 3, 0) for name in ("words", "fill_record")]
    return cache_report(llm, tasks, ("dual", "window(every=1)", "dual", "none"), batch_size=2)


def test_shares_are_those_of_the_answers(llm, report):
    """Item by item and token by token, one request at a time."""
    same_answers = same = places = fed = tokens = 0
    scores = []
    for task in (tiny_task(name, 3, 0) for name in ("words", "fill_record")):
        for i, item in enumerate(task.items):
            found = []
            for cache in ("dual", "none"):
                params = SamplingParams(cache=cache, block_length=16, seed=i, max_new_tokens=task.max_new_tokens)
                ask = {"prompt": llm.generate, "chat": llm.chat, "document": llm.infill}[item.kind]
                found.append(ask(item.question, params))
            one, other = found
            fed, tokens = fed + one.stats.positions_fed, tokens + one.stats.tokens
            scores.append(item.judge(one.text))
            same_answers += one.token_ids == other.token_ids
            ours, theirs = one.token_ids, other.token_ids
            if item.kind == "document":
                holes = [p for p, token in enumerate(one.prompt_token_ids) if token == llm.model.mask_token_id]
                ours, theirs = [ours[p] for p in holes], [theirs[p] for p in holes]
            places += max(len(ours), len(theirs))
            same += sum(p < len(ours) and p < len(theirs) and ours[p] == theirs[p] for p in range(places))
    row = report.rows[1]
    assert (row.cache, row.items) == ("dual", 6)
    assert row.same_answers == same_answers / 6 and row.same_tokens == same / places < 1
    assert row.accuracy == pytest.approx(sum(scores) / 6) and row.fed_per_token == fed / tokens
    assert row.tasks == {"words": sum(scores[:3]) / 3, "fill_record": sum(scores[3:]) / 3}


def test_none_is_itself_and_comes_first(report):
    assert [row.cache for row in report.rows] == ["none", "dual", "window(every=1)"]
    first, _, full = report.rows
    for row in (first, full):  # a window that is refreshed at every step is `none`
        assert (row.same_answers, row.same_tokens, row.accuracy_gain, row.fewer_fed) == (1, 1, 0, 1)
    assert first.faster == 1 and first.refreshes == 0 and full.refreshes == full.forwards


def test_it_can_be_printed_and_written_down(report):
    title, columns, cells = report.titled()
    assert "2 tasks, 6 items" in title and columns == HEADINGS and all(len(row) == len(HEADINGS) for row in cells)
    assert "| `window(every=1)` |" in report.markdown() and "| cache | words | fill_record |" in report.markdown()
    assert json.loads(json.dumps(report.to_dict()))["rows"][1]["cache"] == "dual"


def test_only_what_was_asked_for_counts(llm):
    task = tiny_task("fill_record", 1, 0)
    output = llm.infill(task.items[0].question, SamplingParams(scheduler="topk"))
    assert _filled(output, llm.model.mask_token_id) == [
        token for token, p in zip(output.token_ids, output.prompt_token_ids, strict=True) if p != token
    ]


def test_nothing_to_ask_is_an_error(llm):
    with pytest.raises(ConfigError, match="at least one task"):
        cache_report(llm, [])
    empty = Task(name="empty", items=(), max_new_tokens=4, source="")
    with pytest.raises(ConfigError, match="an item in each"):
        cache_report(llm, [empty])
    with pytest.raises(ConfigError, match=r"cache='nonne'.*none"):
        cache_report(llm, [tiny_task("copy", 1, 0)], ["nonne"])
    bare = LLM(llm.model)
    chat = Item(kind="chat", question=[], answer=None, judge=lambda text: 1.0)
    with pytest.raises(ConfigError, match="no tokenizer"):
        cache_report(bare, [Task(name="chat", items=(chat,), max_new_tokens=4, source="")])
