"""`compare`: what it runs, that it is paired, resumes, and reports what the samples say."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dllm import LLM, ConfigError, SamplingParams
from dllm.eval import jobs
from dllm.eval.compare import RESULTS, Plan, compare, sample_count
from dllm.eval.items import read_task
from dllm.eval.judges import judge_maker
from dllm.eval.plots import order_map, panels, save_plots
from dllm.eval.records import read_results
from dllm.eval.reports import Report
from dllm.eval.summary import ALL, areas, summarize
from dllm.eval.tables import report_text
from dllm.eval.tiny.items import tiny_task
from dllm.eval.variants import variants
from tests.support import cli as cli_support

dllm, model_folder = cli_support.dllm, cli_support.model_folder

TIMES = ("seconds", "share_seconds")


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny", device="cpu")


def plan_of(llm, schedulers=("topk(1)", "threshold(0.9)", "wino"), count=5, **more):
    tasks = more.pop("tasks", None) or [tiny_task("copy", count, 0), tiny_task("fill_json", count, 0)]
    return Plan.make({"tiny": llm}, tasks, schedulers, **{"batch_size": 2} | more)


def timeless(lines):
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def test_lines_are_what_the_engine_returns(tiny):
    plan = plan_of(tiny)
    lines = compare(plan)
    assert len(lines) == sample_count(plan) == 30
    for line in lines:
        task = next(task for task in plan.tasks if task.name == line["task"])
        item = task.items[line["index"]]
        params = SamplingParams(
            max_new_tokens=task.max_new_tokens, scheduler=line["scheduler"], cache="none", seed=line["index"]
        )
        ask = {"prompt": tiny.generate, "chat": tiny.chat, "document": tiny.infill}[item.kind]
        alone = ask(item.question, params)
        assert (line["text"], line["forwards"], line["tokens"], line["slots"]) == (
            alone.text,
            alone.stats.forwards,
            alone.stats.tokens,
            alone.stats.slots,
        )
        assert line["released"] == [len(step.positions) for step in alone.trace.steps]
        assert line["score"] == item.judge(alone.text)
        start = len(alone.prompt_token_ids)
        if item.kind == "document":
            assert len(line["order"]) == line["tokens"]
        for offset, number in enumerate(line["order"] if item.kind != "document" else ()):
            last = max(i for i, step in enumerate(alone.trace.steps) if start + offset in step.positions)
            assert number == last
    assert [line["key"] for line in lines[:6]] == ["topk(k=1,by=confidence)"] * 5 + ["threshold(tau=0.9)"]


def test_noise_belongs_to_the_item_and_is_the_same_for_all_variants(tiny):
    """At temperature 1 a one-step decode draws the same tokens under every scheduler that takes all at once."""
    plan = plan_of(tiny, ["threshold(0)", "topk(64)"], sampling={"temperature": 1.0}, seed=7)
    lines = compare(replace(plan, variants=[*plan.variants]))
    half = len(plan.tasks[0].items)
    first = [line for line in lines if line["task"] == "copy"]
    assert [line["text"] for line in first[:half]] == [line["text"] for line in first[half:]]
    assert [line["seed"] for line in first[:half]] == [7, 8, 9, 10, 11]
    again = compare(replace(plan, batch_size=5, seed=8))
    assert [line["text"] for line in again] != [line["text"] for line in lines]


def test_an_interrupted_run_goes_on_where_it_stopped(tiny, tmp_path, monkeypatch):
    plan = plan_of(tiny)
    whole = compare(plan)
    calls = []
    work = jobs.run_job

    def failing(llm, job):
        calls.append(job)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return work(llm, job)

    monkeypatch.setattr(jobs, "run_job", failing)
    with pytest.raises(KeyboardInterrupt):
        compare(plan, tmp_path)
    done = read_results(tmp_path / RESULTS)[1]
    assert len(done) == sum(len(job.asked) for job in calls[:7])
    told = []
    resumed = compare(plan, tmp_path, told.append)
    assert timeless(resumed) == timeless(whole)
    assert told[0] == len(done) and sum(told) == sample_count(plan)
    calls.clear()
    wider = replace(plan, variants=variants(["topk(1)", "threshold(0.9)", "wino", "factor"]))
    assert len(compare(wider, tmp_path)) == 40
    assert {job.variant.scheduler for job in calls} == {"factor"}
    assert len(compare(plan, tmp_path)) == 30  # what the plan asks for, not all that is there


def test_another_run_in_the_same_folder_is_refused(tiny, tmp_path):
    plan = plan_of(tiny, ["topk(4)"], count=1)
    compare(plan, tmp_path)
    for other in (
        replace(plan, seed=1),
        replace(plan, sampling={"temperature": 0.5}),
        replace(plan, tasks=[tiny_task("copy", 1, 5)]),
        replace(plan, fingerprints={"tiny": "another"}),
    ):
        if other.sampling:
            compare(replace(plan, sampling={"temperature": 0.0}), tmp_path / "t")
            with pytest.raises(ConfigError, match="temperature"):
                compare(other, tmp_path / "t")
            continue
        with pytest.raises(ConfigError, match="use the same, or another folder"):
            compare(other, tmp_path)


def test_workers_return_what_one_process_returns(tmp_path):
    """Schedulers of the user's own reach the workers through the plug-in file."""
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from dataclasses import dataclass\n"
        "from dllm.schedulers import Scheduler, register\n"
        "@register('odd_first')\n@dataclass(frozen=True)\nclass OddFirst(Scheduler):\n"
        "    def select(self, view, state):\n"
        "        return view.active & (view.positions % 2 == 1), state\n"
    )
    from dllm.eval.user_code import load_file

    load_file(plugin, "plugin", "plug-in")
    plan = plan_of("tiny", ["odd_first", "threshold(0.9)"], count=3, plugins=[plugin])
    assert timeless(compare(replace(plan, workers=2))) == timeless(compare(plan))


def test_empty_plans_and_double_names_are_refused(tiny):
    plan = plan_of(tiny)
    for broken in (replace(plan, variants=[]), replace(plan, tasks=[]), replace(plan, models={})):
        with pytest.raises(ConfigError, match="at least one"):
            compare(broken)
    with pytest.raises(ConfigError, match="'copy' is given twice"):
        compare(replace(plan, tasks=[plan.tasks[0], plan.tasks[0]]))


def made(task, scheduler, index, **more):
    """A sample as `compare` leaves it."""
    (variant,) = variants([scheduler])
    base = {"model": "m", "task": task, "index": index, "key": variant.key, "block_length": 32, "cache": "none"}
    costs = {"forwards": 10, "refreshes": 0, "tokens": 10, "slots": 10, "seconds": 1.0, "share_seconds": 0.5}
    told = {"scheduler": scheduler, "method": variant.method, "score": 1.0, "released": [1], "order": [0]}
    return base | costs | told | more


def test_a_summary_by_hand():
    lines = [
        *(made("a", "topk(1)", i, score=float(i < 3)) for i in range(4)),
        *(made("a", "threshold(0.9)", i, forwards=5, tokens=8, slots=12, score=float(i < 2)) for i in range(4)),
        *(made("b", "topk(1)", i, forwards=20, tokens=20) for i in range(2)),
        *(made("b", "threshold(0.9)", i, forwards=8 - 6 * i, tokens=8, seconds=2.0 + i) for i in range(2)),
    ]
    (one,) = variants(["topk(1)"])
    rows = {(row.task, row.label): row for row in summarize(lines, [one.identity])}
    row = rows["a", "threshold(0.9)"]
    assert (row.accuracy, row.count, row.forwards) == (0.5, 4, 5.0)
    assert row.tokens_per_forward == pytest.approx(8 / 5) and row.slots_per_forward == pytest.approx(12 / 5)
    assert row.tokens_per_second == pytest.approx(8 / 0.5)
    assert row.gains["topk(1)"].fewer_forwards == pytest.approx(2.0)
    assert row.gains["topk(1)"].accuracy == pytest.approx(-0.25)
    assert not rows["a", "topk(1)"].gains
    both = rows["b", "threshold(0.9)"]
    assert both.tokens_per_forward == pytest.approx(16 / 10)  # the ratio of sums
    assert both.mean_tokens_per_forward == pytest.approx((1 + 4) / 2)  # the mean of ratios
    assert (both.p50, both.p95) == (pytest.approx(2.5), pytest.approx(2.95))
    every = rows[ALL, "threshold(0.9)"]
    assert every.accuracy == pytest.approx((0.5 + 1.0) / 2)  # tasks weigh the same, whatever their size
    assert every.gains["topk(1)"].fewer_forwards == pytest.approx((4 * 10 + 2 * 20) / (4 * 5 + 10))
    low, high = every.gains["topk(1)"].accuracy_interval
    assert low <= -0.125 <= high


def test_areas_are_anchored_at_one_token_a_step():
    lines = [
        *(made("a", "topk(1)", i) for i in range(2)),
        *(made("a", "topk(2)", i, forwards=5) for i in range(2)),
        *(made("a", "threshold(0.9)", i, forwards=4, score=float(i)) for i in range(2)),
    ]
    found = {area.method: area for area in areas(summarize(lines))}
    assert found["topk"].points == 2 and found["topk"].aup == pytest.approx(100 + 0.5 * 200)
    assert found["threshold"].points == 2 and found["threshold"].aup == 100.0  # its own point is cut
    without = [line for line in lines if line["scheduler"] != "topk(1)"]
    assert {area.aup for area in areas(summarize(without))} == {None}


def test_a_report_holds_every_row(tmp_path):
    lines = [
        made(task, scheduler, i, score=float(i % 3 > 0), order=[2, 0, 1])
        for task in ("a", "b")
        for scheduler in ("topk(1)", "threshold(0.9)", "factor")
        for i in range(6)
    ]
    rows = summarize(lines, [variants(["topk(1)"])[0].identity])
    text = report_text(rows, areas(rows), "about")
    for heading in ("m: accuracy % @ tokens per forward", "m: all tasks (n = 12)", "m: a (n = 6)", "m: AUP"):
        assert f"### {heading}" in text
    assert text.count("| `factor` | 66.7 [30.0, 90.3] | 10.0 | 1.00 | 1.00 | 20 |") == 2
    written = save_plots(rows, lines, tmp_path)
    assert [path.name for path in written] == ["accuracy.png", "released.png", "order.png"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written)
    grid = order_map([made("a", "factor", 0, order=[2, 0, 1]), made("a", "factor", 1, order=[0, 0])])
    assert np.allclose(grid, [(1 + 0) / 2, 0.0, 0.5])


@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_nothing_in_a_picture_is_cut_off(tasks):
    def draw(axes, task):
        for number in range(20):
            axes.plot([0, 1], label=f"{'+'.join(['scheduler'] * (number % 4 + 1))}({number})")

    figure = panels([f"task {number}" for number in range(tasks)], draw, "a title of many words, " * 4)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    for part in (figure.texts[-1], legend, *(axes.title for axes in figure.axes)):
        box = part.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    assert all(axes.get_window_extent().height > 100 for axes in figure.axes)


def test_a_users_file_through_the_command(dllm, tmp_path):
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{i}+1=", "answer": str(i + 1)}) + "\n" for i in range(3)))
    arguments = ("compare", "--data", str(data), "--max-new-tokens", "8", "-s", "factor({0.7,1.3})", "--json")
    run = dllm(*arguments, "--out", str(tmp_path / "out"), "--block-length", "4")
    assert run.exit_code == 0, run.output
    summary = json.loads(run.stdout.splitlines()[-1])
    assert [row["scheduler"] for row in summary["rows"]] == [
        "topk(1)",
        "threshold(0.9)",
        "factor(0.7)",
        "factor(1.3)",
    ]
    assert {row["task"] for row in summary["rows"]} == {"sums"} and summary["settings"]["tasks"]["sums"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"results.jsonl", "report.md", "summary.json", "accuracy.png"} <= names
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["rows"] == summary["rows"]


def test_the_table_of_the_command(dllm):
    run = dllm("compare", "-t", "latin", "-n", "2", "-s", "topk({8,16})", "--baseline", "topk(4)", model="tiny")
    assert run.exit_code == 0, run.output
    lines = run.stdout.splitlines()
    assert "tiny: latin, n = 2" in lines[0]
    assert [line.split()[0] for line in lines if line.startswith("topk")] == ["topk(4)", "topk(8)", "topk(16)"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-t", "coppy"), "Did you mean 'copy'"),
        (("-s", "treshold"), "Did you mean 'threshold'"),
        (("-s", "threshold({0.1"), "braces"),
        (("--data", "absent.jsonl"), "absent.jsonl"),
        (("-t", "copy", "--score", "close"), "must be one of exact"),
        (("-t", "copy", "--temperature", "-1"), "temperature"),
        (("-t", "copy", "--plugin", "absent.py"), "no such Python file"),
        (("-t", "copy", "--block-length", "0", "-n", "1"), "block_length"),
        (("-t", "copy", "--cache", "duall", "-n", "1"), "duall"),
        (("-n", "0"), "--count"),
    ],
)
def test_mistakes_of_the_command(dllm, arguments, message):
    run = dllm("compare", *arguments, model="tiny")
    assert run.exit_code == 2 and message in run.output


def test_a_model_that_is_not_tiny_needs_data(dllm):
    run = dllm("compare")
    assert run.exit_code == 2 and "give --data FILE" in run.stderr and isinstance(run.exception, SystemExit)


def test_a_report_from_python(tiny, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "[\\"Ana\\", \\"Bob\\"]\\nCopy the list.\\n", "answer": ["Ana", "Bob"]}\n')
    task = read_task(path, path.read_text(), judge_maker("json"), 16)
    plan = plan_of(tiny, ["topk(1)", "threshold(0.9)"], tasks=[task])
    found = Report.make(plan, compare(plan), ["topk"])
    assert [row.accuracy for row in found.rows] == [1.0, 1.0]
    assert found.rows[1].gains["topk(1)"].fewer_forwards > 2
    assert found.headlines()[0][0] == "tiny: mine, n = 1"
    with pytest.raises(ConfigError, match="baseline='factor'"):
        Report.make(plan, [], ["factor"])
