"""Judges, plug-ins and items of the user's own that fail: one line that names them, exit code 1, what was done kept."""

import json
import re

import pytest

from dllm import LLM, ConfigError
from dllm.eval.compare import RESULTS, Plan, compare
from dllm.eval.items import Item, Task, read_task
from dllm.eval.judges import judge_maker
from dllm.eval.records import Records, read_results
from dllm.eval.user_code import UserCodeError, a_score
from tests.support import cli as cli_support
from tests.support.terminal import on_terminal

dllm, model_folder = cli_support.dllm, cli_support.model_folder


@pytest.fixture
def asked(tmp_path):
    """Arguments of a short comparison."""
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{i}+1=", "answer": str(i + 1)}) + "\n" for i in range(3)))
    return ("compare", "--data", data, "--max-new-tokens", "4", "-s", "topk(4)", "--baseline", "topk(4)")


JUDGES = [
    ("return 3", "returned 3"),
    ("return None", "returned None"),
    ("return 'yes'", "returned 'yes'"),
    ("return '0.5'", "returned '0.5'"),
    ("return [1]", "returned [1]"),
    ("return float('nan')", "returned nan"),
    ("return -0.1", "returned -0.1"),
    ("return 10 ** 400", "returned 1000"),
    ("return 1 / 0", "ZeroDivisionError: division by zero (mine.py line 2)"),
    ("return record['absent']", "KeyError: 'absent' (mine.py line 2)"),
    ("assert False", "AssertionError (mine.py line 2)"),
    ("raise ValueError('a\\x1b[2Jb\\nc')", "ValueError: a\\x1b[2Jb c"),
    ("import sys; sys.exit(0)", "SystemExit: 0"),
    ("return f(text, record)", "RecursionError"),
    ("from dllm import Grammar; Grammar.builtin('absent')", "GrammarError"),
]


@pytest.mark.parametrize(("body", "said"), JUDGES)
def test_a_judge_that_fails(dllm, tmp_path, asked, body, said):
    judge = tmp_path / "mine.py"
    judge.write_text(f"def f(text, record):\n    {body}\n")
    run = dllm(*map(str, asked), "--score", f"{judge}:f")
    assert run.exit_code == 1 and run.stdout == "", run.output
    bar, line = run.stderr.splitlines()
    assert bar.startswith("samples") and line.startswith(f"dllm: judge {judge}:f on data=") and said in line
    assert "line 1" in line


def test_the_line_stands_alone_on_a_terminal_and_debug_shows_where(monkeypatch, model_folder, tmp_path, asked):
    judge = tmp_path / "other.py"
    judge.write_text("def f(text, record):\n    return broken(record)\n\ndef broken(record):\n    raise KeyError(1)\n")
    command = (*asked, "--score", f"{judge}:f", "-m", model_folder)
    code, out, err = on_terminal(monkeypatch, *command)
    last = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", err.splitlines()[-1])
    assert (code, out) == (1, "") and last.startswith("dllm: judge") and last.endswith("--debug shows more")
    assert "Traceback" not in err
    for debugged in (("--debug", *command), (*command, "--debug")):
        code, out, err = on_terminal(monkeypatch, *debugged)
        assert code == 1 and "Traceback" in err and "return broken(record)" in err and err.count("dllm: judge") == 1


PLUGINS = [
    ("import absent_module", "ModuleNotFoundError: No module named 'absent_module' (mine.py line 1)"),
    ("def f(:", "SyntaxError"),
    ("raise RuntimeError('no luck')", "RuntimeError: no luck (mine.py line 1)"),
    ("import sys; sys.exit(0)", "SystemExit: 0"),
    ("from dllm.schedulers import register\n@register('topk')\nclass Mine: pass", "ConfigError: scheduler name 'topk'"),
    ("from dllm.schedulers import register\n@register('?')\nclass Mine: pass", "ConfigError"),
]


@pytest.mark.parametrize("command", [("compare", "-t", "copy"), ("eval", "parallelbench", "-t", "copy")])
@pytest.mark.parametrize(("source", "said"), PLUGINS)
def test_a_plugin_that_cannot_be_imported(dllm, tmp_path, command, source, said):
    plugin = tmp_path / "mine.py"
    plugin.write_text(source + "\n")
    run = dllm(*command, "--plugin", str(plugin), model="tiny")
    assert run.exit_code == 1 and run.stdout == "" and run.stderr.count("\n") == 1, run.output
    assert run.stderr.startswith(f"dllm: plug-in {plugin} cannot be imported: ") and said in run.stderr
    again = dllm(*command, "--plugin", str(plugin), "--debug", model="tiny")
    assert again.exit_code == 1 and "Traceback" in again.stderr


HEAD = "from dataclasses import dataclass\nfrom dllm.schedulers import Scheduler, register\n@register('mine')\n"
SCHEDULERS = [
    ("def select(self, view, state):\n        raise ValueError('no luck')", "no luck"),
    ("def select(self, view, state):\n        return None", "mine"),
    ("def __init__(self):\n        raise ValueError('no luck')", "scheduler 'mine': ValueError: no luck"),
]


@pytest.mark.parametrize(("body", "said"), SCHEDULERS)
def test_a_scheduler_of_a_plugin_that_fails(dllm, tmp_path, asked, body, said):
    plugin = tmp_path / "mine.py"
    plugin.write_text(f"{HEAD}class Mine(Scheduler):\n    {body}\n")
    run = dllm(*map(str, asked), "--plugin", str(plugin), "-s", "mine")
    assert run.exit_code == 1, run.output
    assert run.stderr.splitlines()[-1].startswith("dllm: ") and said in run.stderr and "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"judge": lambda text: 2.0}, "judge of task 'mine' item 1 returned 2.0"),
        ({"judge": lambda text: {}["x"]}, "judge of task 'mine' item 1: KeyError: 'x'"),
        ({"judge": lambda: 1.0}, "judge of task 'mine' item 1: TypeError"),
        ({"details": lambda text: [1]}, "details of task 'mine' item 1 returned"),
        ({"details": lambda text: {"reason": {1}}}, "details of task 'mine' item 1: TypeError"),
        ({"details": lambda text: {"own": 1}}, "task 'mine' item 1: the field 'own' is unknown"),
        ({"answer": {1, 2}}, "mine item 1 cannot be kept as JSON"),
    ],
)
def test_items_made_in_python(tmp_path, model_folder, parts, said):
    """What was done before is on disk, and the file can be gone on with."""
    good = {"kind": "prompt", "question": "x", "answer": "y", "judge": lambda text: 1}
    task = Task(name="mine", items=(Item(**good), Item(**(good | parts))), max_new_tokens=4, source="1")
    plan = Plan.make({"m": LLM(model_folder)}, [task], ["topk(4)"], batch_size=1)
    with pytest.raises(ConfigError, match=re.escape(said)):
        compare(plan, tmp_path)
    headers, lines = read_results(tmp_path / RESULTS)
    assert len(headers) == 1 and [line["index"] for line in lines] == [0]
    mended = Task(name="mine", items=(Item(**good), Item(**good)), max_new_tokens=4, source="1")
    assert len(compare(Plan.make({"m": plan.models["m"]()}, [mended], ["topk(4)"], batch_size=1), tmp_path)) == 2


def test_what_passes_for_a_score():
    import numpy as np
    import torch

    for value, score in ((True, 1.0), (0, 0.0), (np.float32(0.5), 0.5), (np.bool_(True), 1.0), (torch.tensor(1), 1.0)):
        assert a_score(value, "who") == score
    for value in (None, "1", b"1", [], 1.1, float("inf"), 1j, torch.ones(2), object()):
        with pytest.raises(UserCodeError, match="who returned"):
            a_score(value, "who")


def test_records_keep_any_text(tmp_path):
    """Half a pair of surrogates, which a file of items may hold, is no UTF-8."""
    path = tmp_path / "r.jsonl"
    records = Records(path, {"settings": {"seed": 0, "batch_size": 1, "odd": "\ud800 \u00e9"}, "environment": {}})
    assert records.lines == [] and read_results(path)[0][0]["settings"]["odd"] == "\ud800 \u00e9"


def test_data_nested_too_deep_is_no_json(tmp_path):
    with pytest.raises(ConfigError, match="line 1: not JSON"):
        read_task(tmp_path / "d.jsonl", "[" * 100_000, judge_maker("exact"), 4)
