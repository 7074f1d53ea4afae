"""`dllm eval parallelbench` and `dllm eval report`, end to end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from dllm.cli.app import app
from dllm.errors import ConfigError
from dllm.eval.format import schema
from dllm.eval.parallelbench.planning import Wanted, plan_of
from dllm.eval.parallelbench.presets import PRESETS
from dllm.eval.processes import Processes
from dllm.eval.records import read_results
from dllm.eval.together import share
from dllm.eval.variants import variants

QUICK = ("eval", "parallelbench", "--task", "copy", "--task", "shuffle", "-s", "topk({1,4}, by=random)", "-n", "6")


def run(*arguments, code=0):
    done = CliRunner().invoke(app, list(arguments))
    assert code is None or done.exit_code == code, (done.stderr, done.exception)
    return done


def samples(folder):
    return [line for path in sorted(Path(folder).glob("results*.jsonl")) for line in read_results(path)[1]]


def without_times(lines):
    return sorted(
        json.dumps({name: value for name, value in line.items() if "seconds" not in name}, sort_keys=True)
        for line in lines
    )


def test_tiny_end_to_end(tmp_path):
    out = tmp_path / "run"
    found = json.loads(run(*QUICK, "--out", str(out), "--json").stdout.splitlines()[-1])
    assert {row["task"] for row in found["rows"]} == {"copy", "shuffle", "all tasks"}
    assert found["withheld"] == "" and [one["curve"] for one in found["pbx"]] == ["topk random"]
    assert "theory_ok" not in found
    names = {path.name for path in out.iterdir()}
    assert {"results.jsonl", "summary.json", "report.md", "page.html", "curves_0.png"} == names
    page = (out / "page.html").read_text()
    assert "data:image/png;base64," in page and "topk(4, by=random)" in page and "PB90" in page
    valid = Draft202012Validator(schema())
    for text in (out / "results.jsonl").read_text().splitlines():
        valid.validate(json.loads(text))
    lines = samples(out)
    assert len(lines) == 2 * 2 * 6
    for line in lines:
        assert line["forwards"] == len(line["released"]) and sum(line["released"]) == line["slots"]


def test_the_ideal_model_passes_the_theory(tmp_path, monkeypatch):
    from dllm.cli import parallelbench
    from dllm.eval.parallelbench import trial

    every = trial.trials()
    monkeypatch.setattr(trial, "trials", lambda: every[::6])
    monkeypatch.setattr(parallelbench, "THEORY", {"quick": 24})
    arguments = ("eval", "parallelbench", "--model", "ideal", "-t", "copy", "-s", "topk(2)", "-n", "3", "--json")
    found = json.loads(run(*arguments).stdout.splitlines()[-1])
    assert found["theory_ok"] is True and 0 <= found["theory_worst_sigma"] <= 4
    assert len(found["theory"]) == len(every[::6]) and found["rows"][0]["accuracy"] == 1.0


def test_a_run_goes_on_where_it_stopped_and_shards_are_the_whole(tmp_path):
    whole, cut, shards = tmp_path / "whole", tmp_path / "cut", tmp_path / "shards"
    run(*QUICK, "--out", str(whole))
    run(*QUICK, "--out", str(cut))
    path = cut / "results.jsonl"
    data = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(data[:9]) + data[9][:40])  # killed in the middle of a line
    run(*QUICK, "--out", str(cut))
    assert without_times(samples(cut)) == without_times(samples(whole))
    for shard in ("1/2", "2/2"):
        run(*QUICK, "--out", str(shards), "--shard", shard)
    assert without_times(samples(shards)) == without_times(samples(whole))
    told = json.loads(run("eval", "report", str(shards), "--json").stdout.splitlines()[-1])
    own = json.loads((whole / "summary.json").read_text())
    assert told["points"] == own["points"] and told["pbx"] == own["pbx"]
    both = json.loads(run("eval", "report", str(whole), str(shards), "--json").stdout.splitlines()[-1])
    assert {row["model"] for row in both["rows"]} == {"whole: tiny", "shards: tiny"}


def test_two_processes_share_a_run(tmp_path):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    run(*QUICK, "--out", str(whole))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "dllm"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*launch, *QUICK, "--out", str(shared), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in shared.glob("results*")} == {"results-1-of-2.jsonl", "results-2-of-2.jsonl"}
    assert without_times(samples(shared)) == without_times(samples(whole))
    (told,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]  # of the first process
    own = json.loads((whole / "summary.json").read_text())
    assert told["points"] == own["points"] and told["pbx"] == own["pbx"]


@pytest.mark.parametrize("options", [{"shard": (1, 2)}, {"workers": 2}])
def test_processes_that_share_a_run_take_neither_shards_nor_workers(options):
    processes = Processes()
    processes.size = 2
    with pytest.raises(ConfigError, match=next(iter(options))):
        share(plan_of(Wanted(count=2), **options), processes)


def test_killing_it_at_any_moment_corrupts_nothing(tmp_path):
    command = [sys.executable, "-m", "dllm", "eval", "parallelbench", "-t", "copy", "-s", "topk(1)", "-n", "400"]
    command += ["--batch-size", "4", "--out", str(tmp_path)]
    path = tmp_path / "results.jsonl"
    for _ in range(2):
        size = path.stat().st_size if path.exists() else 0
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until and not (path.exists() and path.stat().st_size > size + 3000):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, lines = read_results(path)
        assert len(lines) >= 4 and len({line["index"] for line in lines}) == len(lines)
    assert len(lines) < 400


def test_every_preset_names_schedulers_that_exist():
    for preset in PRESETS.values():
        assert variants(preset.schedulers, preset.block_lengths, preset.caches)


def test_what_each_model_is_asked():
    quick = plan_of(Wanted(model="ideal", count=2))
    assert {task.name for task in quick.tasks} == {"copy", "sort", "shuffle", "replace_random"}
    assert quick.sampling["temperature"] == 1.0 and plan_of(Wanted(count=2)).sampling["temperature"] == 0.0
    everything = plan_of(Wanted(preset="all", count=1))
    assert len(everything.tasks) == 10 and any(one.scheduler == "learn2pd" for one in everything.variants)
    ideal = plan_of(Wanted(model="ideal", preset="all", count=1))
    assert not any(one.scheduler in ("learn2pd", "wino") for one in ideal.variants)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "copi"), "task='copi' is not in ParallelBench Did you mean 'copy'?"),
        (("--task", "sudoku"), "task='sudoku': the synthetic suite has none for tiny"),
        (("--suite", "v3"), "suite='v3'"),
        (("--suite", "v2"), "suite='v2' is worded for chat models"),
        (("--preset", "quik"), "preset='quik' Did you mean 'quick'?"),
        (("--data", "somewhere", "--suite", "synthetic"), "data='somewhere' plays no part"),
        (("--model", "ideal", "--cache", "prefix"), "the ideal model has no keys"),
        (("--shard", "3/2"), "--shard 3/2"),
        (("--shard", "2/2", "-n", "1"), "shard 2/2 has no sample"),
        (("--out", __file__), "is a file; name a folder"),
        (("--shard", "x"), "--shard x"),
        (("-s", "nope"), "nope"),
        (("--model", "no/such/folder"), "no/such/folder"),
        (("--reference", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_one_line(arguments, said):
    done = run("eval", "parallelbench", *arguments, code=None)
    assert done.exit_code == 2 and said in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr


def test_a_folder_of_another_run_is_refused(tmp_path):
    out = ("--out", str(tmp_path))
    run(*QUICK, *out)
    before = (tmp_path / "results.jsonl").read_bytes()
    for other in (("--seed", "1"), ("--batch-size", "3"), ("--temperature", "0.5"), ("--dtype", "bfloat16")):
        done = run(*QUICK, *out, *other, code=None)
        assert done.exit_code == 2 and "was made with" in done.stderr
    assert (tmp_path / "results.jsonl").read_bytes() == before


def test_shards_of_different_runs_do_not_mix(tmp_path):
    out = ("--out", str(tmp_path))
    run(*QUICK, *out, "--shard", "1/2")
    for other in (("--shard", "2/2", "--seed", "1"), ("--shard", "2/3"), ()):
        done = run(*QUICK, *out, *other, code=None)
        assert done.exit_code == 2 and "was made with" in done.stderr, other
    assert [path.name for path in tmp_path.glob("results*")] == ["results-1-of-2.jsonl"]


def test_a_wrong_option_does_not_poison_the_folder(tmp_path):
    done = run(*QUICK, "--out", str(tmp_path), "--temperature", "nan", code=None)
    assert done.exit_code == 2 and not list(tmp_path.glob("results*"))
    run(*QUICK, "--out", str(tmp_path))


def test_runs_side_by_side_are_told_apart(tmp_path):
    for seed in ("0", "3"):
        run(*QUICK, "--out", str(tmp_path / seed / "x"), "--seed", seed)
    folders = [str(tmp_path / seed / "x") for seed in ("0", "3")]
    found = json.loads(run("eval", "report", *folders, "--json").stdout.splitlines()[-1])
    assert {row["model"] for row in found["rows"]} == {"0/x: tiny", "3/x: tiny"}
    done = run("eval", "report", folders[0], folders[0], code=None)
    assert done.exit_code == 2 and "given twice" in done.stderr


def test_reports_of_what_does_not_go_together(tmp_path):
    done = run("eval", "report", str(tmp_path), code=None)
    assert done.exit_code == 2 and "holds no results*.jsonl" in done.stderr
    header = {"dllm_results": 1, "settings": {"seed": 0, "batch_size": 1}, "environment": {}}
    (tmp_path / "results.jsonl").write_text(json.dumps(header) + "\n")
    done = run("eval", "report", str(tmp_path), code=None)
    assert done.exit_code == 2 and "no ParallelBench" in done.stderr
    (tmp_path / "results.jsonl").write_text(json.dumps(header | {"dllm_results": 2}) + "\n")
    done = run("eval", "report", str(tmp_path), code=None)
    assert done.exit_code == 2 and "version 2" in done.stderr
