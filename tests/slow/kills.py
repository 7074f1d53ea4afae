"""Commands that are killed (SIGKILL) at random moments and started again: nothing finished is lost, nothing corrupt.

    python -m tests.slow.kills --kills 20

Each command is run once to the end, undisturbed. Then it is started, killed after a random share of that time, and
started again in the same folder, as often as asked for. After every kill what is on disk must be readable and hold
everything it held before, and no process may be left. At last it runs to the end: what comes out is what came out
undisturbed, but for times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dllm.eval.kept_answers import read_answers
from dllm.eval.records import key_of, read_results
from dllm.schedulers.filter import load_filter

ROOT = Path(__file__).parents[2]
TIMES = ("seconds", "share_seconds", "share", "environment", "software")
TASK = """task: own
dataset_path: json
test_split: test
output_type: generate_until
dataset_kwargs: {{cache_dir: "{folder}/cache", data_files: {{test: "{folder}/own.jsonl"}}}}
doc_to_text: "{{{{q}}}}"
doc_to_target: "= {{{{a}}}}"
generation_kwargs: {{until: ["\\n\\n"], max_gen_toks: 24, do_sample: false}}
"""
Finished = dict[Any, Any]
"""What is finished, by its name."""


@dataclass(frozen=True)
class Case:
    """A command that leaves something in a folder.

    Attributes:
        arguments: of `dllm`, for a folder.
        finished: what is finished in a folder; raises if what is there cannot be read.
        done: whether all of it is finished and what led there may be gone.
        outcome: of a run that went to its end, without times.
    """

    name: str
    arguments: Callable[[Path], Sequence[str]]
    finished: Callable[[Path], Finished]
    done: Callable[[Path], bool]
    outcome: Callable[[Path], Any]


def lines_of(folder: Path) -> Finished:
    """Samples of `results.jsonl`."""
    path = folder / "results.jsonl"
    if not path.exists() or not path.stat().st_size:
        return {}
    return {key_of(line): timeless(line) for line in read_results(path)[1]}


def timeless(value: Any) -> Any:
    """The same without what differs from run to run."""
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if key not in TIMES}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def table_of(folder: Path) -> Any:
    """All samples, and of the rows of the summary what is no time."""
    rows = json.loads((folder / "summary.json").read_text())["rows"]
    names = ("task", "scheduler", "accuracy", "forwards", "count")
    return lines_of(folder), [{name: row[name] for name in names} for row in rows]


def answers_of(folder: Path) -> Finished:
    """Answers that are kept until the results are written."""
    found = {}
    for path in folder.glob("answers-*.jsonl"):
        found |= {key: answer.value for key, answer in read_answers(path).items()}
    return found


def results_of(folder: Path) -> Any:
    found = json.loads((folder / "results.json").read_text())
    samples = [json.loads(line) for line in (folder / "samples_own.jsonl").read_text().splitlines()]
    spent = found["by_kind"]["generate_until"]
    return found["results"], {name: spent[name] for name in ("requests", "forwards", "tokens")}, samples


def batches_of(folder: Path) -> Finished:
    """Batches that are kept until the filter is written."""
    return {path.name: path.read_bytes() for path in (folder / ".f.collected").glob("*.safetensors")}


def filter_of(folder: Path) -> Any:
    found = load_filter(folder / "f.safetensors")
    about = {name: value for name, value in found.about.items() if name != "seconds"}
    return {name: tensor.tolist() for name, tensor in found.weights.items()}, about


def cases(given: Path, quick: bool) -> list[Case]:
    """The four commands, on the embedded model.

    Args:
        given: a folder for what they read.
        quick: little to do.
    """
    (given / "own.yaml").write_text(TASK.format(folder=given))
    names = ["Ana", "Tom", "Mia", "Leo", "Eva"]
    questions = [random.Random(i).sample(names, 3) for i in range(24 if quick else 240)]
    rows = [{"q": f"{json.dumps(list(one))}\nReverse the list.\n", "a": json.dumps(one[::-1])} for one in questions]
    (given / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    count = "4" if quick else "24"
    compare = ("compare", "-t", "copy", "-t", "sort", "-t", "json", "-n", count, "--batch-size", "4")
    compare += ("-s", "topk({2,4})", "-s", "threshold({0.7,0.9})", "--baseline", "topk(1)", "--workers", "2")
    bench = ("eval", "parallelbench", "-n", "2" if quick else "8", "--batch-size", "4")
    harness = ("eval", "lm", "--tasks", "own", "--include-path", str(given), "--batch-size", "1", "--seed", "1")
    train = ("train-filter", "-n", "32", "--iterations", "100", "--count", "40" if quick else "320")
    return [
        Case("compare", lambda f: (*compare, "--out", str(f)), lines_of, lambda f: False, table_of),
        Case("eval parallelbench", lambda f: (*bench, "--out", str(f)), lines_of, lambda f: False, table_of),
        Case(
            "eval lm",
            lambda f: (*harness, "--out", str(f)),
            answers_of,
            lambda f: (f / "results.json").exists(),
            results_of,
        ),
        Case(
            "train-filter",
            lambda f: (*train, "--out", str(f / "f.safetensors")),
            batches_of,
            lambda f: (f / "f.json").exists(),
            filter_of,
        ),
    ]


def start(arguments: Sequence[str], mark: str, log: Path) -> subprocess.Popen[bytes]:
    """The command in a process that can be found by its mark, as can what it starts."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KILLS_MARK": mark, "OMP_NUM_THREADS": "1"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-m", "dllm", *arguments], env=environment, stdout=file, stderr=file)


def run_to_end(case: Case, folder: Path, mark: str) -> float:
    """Seconds; raises RuntimeError with what was said if it fails."""
    log, began = folder.with_suffix(".log"), time.monotonic()
    if start(case.arguments(folder), mark, log).wait() != 0:
        raise RuntimeError(f"{case.name} failed:\n{log.read_text()[-2000:]}")
    return time.monotonic() - began


def left_behind(mark: str, patience: float = 20.0) -> list[int]:
    """Processes with the mark that are still there after a while (where /proc tells)."""
    until = time.monotonic() + patience
    while True:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"KILLS_MARK={mark}".encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.2)


def killed(case: Case, kills: int, place: Path, seed: int = 0) -> dict[str, Any]:
    """Kill and start again; figures. Raises AssertionError for what is lost, corrupt, or left behind."""
    rng, mark = random.Random(f"{case.name}/{seed}"), uuid.uuid4().hex
    whole, folder = place / "whole", place / "killed"
    whole.mkdir()
    folder.mkdir()
    seconds = run_to_end(case, whole, mark)
    expected = case.outcome(whole)
    sizes = list[int]()
    done, ends, before = 0, 0, Finished()
    while done < kills:
        process = start(case.arguments(folder), mark, folder.with_suffix(".log"))
        try:
            process.wait(rng.uniform(0.0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done += 1
        else:
            assert process.returncode == 0, folder.with_suffix(".log").read_text()[-2000:]
        assert not left_behind(mark), "processes are left"
        for path in folder.glob("*.json"):
            json.loads(path.read_text())
        now = case.finished(folder)
        if process.returncode == 0:  # it came to its end before the kill was due
            ends += 1
            assert case.outcome(folder) == expected, "the outcome is another"
            shutil.rmtree(folder)
            folder.mkdir()
            now = {}
        elif not case.done(folder):
            assert all(now.get(key) == value for key, value in before.items()), "something finished is lost"
        sizes.append(len(now))
        before = now
    run_to_end(case, folder, mark)
    assert case.outcome(folder) == expected, "the outcome is another"
    return {
        "command": case.name,
        "kills": done,
        "seconds undisturbed": round(seconds, 1),
        "ran to its end": ends + 1,
        "finished at the kills": sizes,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--only", help="one of the commands")
    parser.add_argument("--quick", action="store_true", help="commands that have little to do")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "given").mkdir()
        for case in cases(place / "given", given.quick):
            if given.only not in (None, case.name):
                continue
            own = place / case.name.replace(" ", "-")
            own.mkdir()
            try:
                print(json.dumps(killed(case, given.kills, own, given.seed)), flush=True)
            except (AssertionError, RuntimeError) as error:
                failed += 1
                print(f"{case.name}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
