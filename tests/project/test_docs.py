"""Every code block of the README and the docs is run, and what the documents point to is there."""

import re
import shlex
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from dllm import LLM
from dllm.cli.app import app
from dllm.models.families import table
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LONG = "parallelbench --model ideal"
"""Half a minute; test_parallelbench.py holds a part of the same theory."""
SERVER = "http://127.0.0.1:8000"
"""Where blocks expect `dllm serve`; they get one."""


def blocks(language):
    for page in PAGES:
        for index, block in enumerate(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)):
            marks = pytest.mark.full if LONG in block else ()
            yield pytest.param(block, id=f"{page.stem}-{index}", marks=marks)


@pytest.mark.parametrize("block", list(blocks("python")))
def test_python(block, tmp_path, monkeypatch, capsys):
    """A program of its own, but for what this process has imported already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(table, "FAMILIES", dict(table.FAMILIES))  # a page adds one
    program = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", program)
    with serving(LLM("tiny")) if SERVER in block else nullcontext() as served:
        if served is not None:
            block = block.replace(SERVER, served.url)
        exec(compile(block, "<block>", "exec"), vars(program))
    shown = capsys.readouterr().out
    # what a print is said to show (a comment behind it) is what it shows
    said = re.findall(r"^print\(.*\)\s+# (.+)$", block, re.M)
    for line in said:
        assert line in shown, f"{line!r} not in {shown!r}"


@pytest.mark.parametrize("block", list(blocks("console")))
def test_console(block, tmp_path, monkeypatch):
    """`$ dllm ...` lines are run; the lines under one are what it prints. `$ cat FILE` shows a file that is made so."""
    monkeypatch.chdir(tmp_path)
    for command, output in re.findall(r"^\$ (.*(?:\\\n.*)*)\n((?:(?!\$ ).*\n)*)", block, re.M):
        words = shlex.split(command.replace("\\\n", " "))
        if words[0] == "cat":
            (tmp_path / words[1]).write_text(output)
            continue
        assert words[0] == "dllm"
        if "|" in words:  # a shell and its programs
            line = f"{shlex.quote(sys.executable)} -m {command}"
            shell = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)
            code, shown, wrong = shell.returncode, shell.stdout, shell.stderr
        else:
            run = CliRunner().invoke(app, words[1:])
            code, shown, wrong = run.exit_code, run.stdout, run.stderr
        assert code == 0, wrong
        assert shown.strip() == output.strip()


def test_paths_that_are_named_are_there():
    """In documents, comments and commands; what has changed is told of in old names."""
    pages = {*PAGES, *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / ".ci/run"} - {ROOT / "CHANGELOG.md"}
    folders = "benchmarks|dllm|docs|examples|scripts|tests|tools"
    missing = [
        f"{page.name}: {path}"
        for page in sorted(pages)
        for path in re.findall(rf"(?<![\w./-])(?:{folders})/[\w./-]*[\w/]", page.read_text())
        if "NAME" not in path and not (ROOT / path).exists()
    ]
    assert missing == []


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
