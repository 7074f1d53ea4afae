"""Every program in examples/ runs, and prints what it is there to show; the README lists them all."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAYS = {
    "generate.py": ['["Susan", "Linda", "Mary"]', '["Mary", "Ruth", "Susan"]', "step by step"],
    "chat.py": ['> {"age": 31, "name": "Ana"}', "(seed 2)"],
    "infill_json.py": ["without a grammar", "read as JSON        {'name': "],
    "infill_cpp.py": ["return q / 2; }", "return a + b; }", "return evaluate(m, n % m); }", "unexpected"],
    "own_scheduler.py": ["topk(1)              28 forwards", "halving(sure=1.0)     6 forwards"],
    "compare_schedulers.py": ["reverse    topk(1)", "all tasks  threshold(0.6)", "report.md", "accuracy.png"],
}


def test_each_example_is_listed():
    programs = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert programs == set(SAYS)
    assert {name for name in programs if f"examples/{name}" not in (ROOT / "README.md").read_text()} == set()


@pytest.mark.parametrize("name", SAYS)
def test_example(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    shown = capsys.readouterr().out
    assert [text for text in SAYS[name] if text not in shown] == [], shown
