"""The benchmark's own form of data, on rows of our own."""

import json

import pytest

from dllm.errors import ConfigError
from dllm.eval.compare import compare, header
from dllm.eval.parallelbench import measures
from dllm.eval.parallelbench.page import Page
from dllm.eval.parallelbench.planning import Wanted, plan_of
from dllm.eval.parallelbench.runs import read_runs
from dllm.eval.parallelbench.tasks import TASKS
from dllm.eval.parallelbench.upstream import upstream
from dllm.hub import TINY, resolve_folder

ASKED = [{"role": "user", "content": "Please."}]
NAMES = ["Ann Lee", "Bo Ek", "Cy Day"]
LISTED = json.dumps(NAMES)
LABELS = {
    **{name: LISTED for name in ("copy", "reverse", "sort", "insert_index", "remove_index", "replace_index")},
    "shuffle": {"example": '["Bo Ek", "Ann Lee", "Cy Day"]', "input": NAMES},
    "insert_random": {"example": '["Di Fu", "Ann Lee", "Bo Ek", "Cy Day"]', "input": NAMES, "word": "Di Fu"},
    "remove_random": {"example": '["Ann Lee", "Cy Day"]', "input": NAMES},
    "replace_random": {"example": '["Ann Lee", "Di Fu", "Cy Day"]', "input": NAMES, "word": "Di Fu"},
    "latin_square": {"example": "A,B\nB,A", "symbols": ["A", "B"]},
    "sudoku": "1234\n3412\n2143\n4321",
    **{f"words_{how}": {"example": None, "words": ["cat", "mat"]} for how in ("easy", "medium", "hard")},
    "paraphrase": {"examples": "[]", "text": "The old cat sleeps on the warm mat."},
    "summary": {"summary": "Ann meets Bo.", "text": "Ann: Hi\nBo: Hi"},
}
FILES = {
    **{name: f"waiting_line/{name}.jsonl" for name, spec in TASKS.items() if spec.group == "waiting_line"},
    "latin_square": "puzzles/latin_square_n4.jsonl",
    "sudoku": "samples_parallelbench_puzzles_sudoku_n4.jsonl",
    **{f"words_{how}": f"text_writing/words_to_sentence_{how}.jsonl" for how in ("easy", "medium", "hard")},
    "paraphrase": "text_writing/chatgpt-paraphrases.jsonl",
    "summary": "text_writing_summarization.jsonl",
}


@pytest.fixture
def data(tmp_path):
    """A folder with three rows a task; of the sudokus as lines of the benchmark's results."""
    folder = tmp_path / "data"
    for name, place in FILES.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"messages": ASKED, "label": LABELS[name], "metadata": {}, "index": 0, "output_prefix": None}
        line = {"doc_id": 0, "doc": row, "score": 1.0} if name == "sudoku" else row
        path.write_text((json.dumps(line) + "\n") * 3)
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_read_and_its_own_label_is_right(data, name):
    task = upstream("v2", str(data), name, 2)
    assert len(task.items) == 2 and task.max_new_tokens == TASKS[name].canvas
    assert task.source == upstream("v2", str(data), name, 3).source
    item, label = task.items[0], LABELS[name]
    if TASKS[name].group in ("words_to_sentence", "text"):
        found = item.details("A cat on a mat.")
        assert set(found) == {"submetrics", "reason"} and "grammar" in found["submetrics"]
        assert (item.judge("A cat.") is None) == (found["reason"] is not None)
        return
    right = label["example"] if isinstance(label, dict) else label
    if name == "sudoku":
        right = right.replace("\n", "\n ")
    stop = "\n\n\n" if TASKS[name].group == "puzzle" else "\n\n"
    assert item.judge(right) == 1.0 and item.judge(f"{right}{stop}and more [x]") == 1.0
    assert item.judge("nothing") == 0.0
    if TASKS[name].group == "waiting_line":
        assert (
            item.details(right)["score_strict"] == 1.0 and item.details(right.replace('"', ""))["score_strict"] == 0.0
        )
        assert item.judge(f"It is {right}") == 1.0


def test_measures_of_texts_that_are_the_same_and_that_are_not(data):
    pytest.importorskip("rouge_score")
    pytest.importorskip("sacrebleu")
    text = LABELS["paraphrase"]["text"]
    assert measures.bleu(text, text) == pytest.approx(1.0) and measures.bleu("A dog.", text) == 0.0
    found = measures.rouge("Ann meets Bo.", "Ann met Bo.")
    assert (
        found["rouge1"] == pytest.approx(2 / 3) and found["rouge2"] == 0.0 and found["rougeL"] == pytest.approx(2 / 3)
    )
    item = upstream("v2", str(data), "paraphrase", 1).items[0]
    assert item.details(text)["submetrics"]["inverse_bleu"] == pytest.approx(0.0)


def test_what_is_missing_says_what_to_fetch(data, tmp_path):
    with pytest.raises(ConfigError, match=r"needs the benchmark's own data.*furiosa-ai/ParallelBench"):
        upstream("v2", None, "copy", 1)
    with pytest.raises(ConfigError, match="is no folder"):
        upstream("v2", str(tmp_path / "none"), "copy", 1)
    (data / FILES["copy"]).unlink()
    with pytest.raises(ConfigError, match=r"holds no \*waiting_line_copy\.jsonl for task copy"):
        upstream("v2", str(data), "copy", 1)
    with pytest.raises(ConfigError, match="suite='v1'"):
        upstream("v1", str(data), "copy", 1)


def test_of_a_preset_what_there_is_runs_and_the_rest_is_told(data):
    (data / FILES["sort"]).unlink()
    folder, told = str(resolve_folder(TINY)), []
    wanted = Wanted(model=folder, preset="leaderboard", data=str(data), count=1)
    plan = plan_of(wanted, tell=told.append)
    assert len(plan.tasks) == 16 and len(told) == 1 and "task sort" in told[0]
    with pytest.raises(ConfigError, match="task sort"):
        plan_of(Wanted(model=folder, suite="v2", data=str(data), tasks=["sort"]))


def test_tables_are_read_as_well(data):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").Table
    (data / FILES["shuffle"]).unlink()
    place = data / "waiting_line_shuffle" / "test-00000-of-00001.parquet"
    place.parent.mkdir()
    parquet.write_table(table.from_pylist([{"messages": ASKED, "label": LABELS["shuffle"]}] * 3), place)
    item = upstream("v2", str(data), "shuffle", 2).items[1]
    assert item.question == ASKED and item.judge(LABELS["shuffle"]["example"]) == 1.0 and item.judge(LISTED) == 0.0


def test_data_of_another_form_are_refused(data):
    path = data / FILES["sort"]
    whole = path.read_text()
    path.write_text(whole[:-30])
    with pytest.raises(ConfigError, match=r"line 3 is no JSON.*cut"):
        upstream("v2", str(data), "sort", 3)
    path.write_text('{"input": {"context": "[]"}, "answer": "[]"}\n')
    with pytest.raises(ConfigError, match="no messages and label; these are no data of suite v2"):
        upstream("v2", str(data), "sort", 3)
    path.write_text(json.dumps({"messages": ASKED, "label": {"words": []}}) + "\n")
    with pytest.raises(ConfigError, match=r"line 1: label=.* is none of sort"):
        upstream("v2", str(data), "sort", 3)
    for name, label in (
        ("shuffle", {"input": [1, "a"], "example": "[]"}),
        ("shuffle", {"input": "abc", "example": "[]"}),
        ("sudoku", ""),
        ("latin_square", {"symbols": []}),
        ("insert_random", {"input": NAMES, "example": "[]"}),
    ):
        (data / FILES[name]).write_text(json.dumps({"messages": ASKED, "label": label}) + "\n")
        with pytest.raises(ConfigError, match=f"label=.* is none of {name}"):
            upstream("v2", str(data), name, 3)
    path.write_text("")
    with pytest.raises(ConfigError, match="holds no row"):
        upstream("v2", str(data), "sort", 3)
    path.write_bytes(b"\xff\n")
    with pytest.raises(ConfigError, match="no UTF-8"):
        upstream("v2", str(data), "sort", 3)
    (data / "more_waiting_line_sort.jsonl").write_text(whole)
    with pytest.raises(ConfigError, match="look like task sort"):
        upstream("v2", str(data), "sort", 3)


def test_without_a_grammar_checker_the_mean_over_tasks_is_withheld(data, monkeypatch):
    real = measures.find_spec
    monkeypatch.setattr(measures, "find_spec", lambda name: None if name == "language_tool_python" else real(name))
    folder = str(resolve_folder(TINY))  # by its folder, it is asked as any other model is
    wanted = Wanted(
        model=folder, suite="v2", data=str(data), tasks=["copy", "words_easy"], schedulers=["topk(8)"], count=2
    )
    plan = plan_of(wanted)
    page = Page.make([header(plan)], compare(plan))
    summary = page.summary()
    assert summary["withheld"].startswith("words_easy: grammar needs language_tool_python")
    assert {row["task"] for row in summary["rows"]} == {"copy"} and summary["pbx"] == []
    scores = {line["task"]: line["score"] for line in page.lines}
    assert scores["words_easy"] is None and scores["copy"] == 0.0


def test_once_there_is_a_grammar_checker_what_had_no_score_is_judged_again(data, tmp_path, monkeypatch):
    real, out = measures.find_spec, tmp_path / "out"
    monkeypatch.setattr(measures, "find_spec", lambda name: None if name == "language_tool_python" else real(name))
    wanted = Wanted(
        model=str(resolve_folder(TINY)),
        suite="v2",
        data=str(data),
        tasks=["words_easy"],
        schedulers=["topk(8)"],
        count=2,
    )
    assert {line["score"] for line in compare(plan_of(wanted), out)} == {None}
    monkeypatch.setattr(measures, "find_spec", lambda name: True)
    monkeypatch.setattr(measures, "_checker", lambda: lambda text: [])
    measures._failure.cache_clear()
    assert {line["score"] for line in compare(plan_of(wanted), out)} == {1.0}
    _, lines = read_runs([out])
    assert [line["score"] for line in lines] == [1.0, 1.0] and lines[0]["reason"] is None
    measures._failure.cache_clear()
