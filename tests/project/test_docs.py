"""Every code block of the README and the docs is run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language):
    for page in PAGES:
        for index, block in enumerate(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)):
            yield pytest.param(block, id=f"{page.stem}-{index}")


@pytest.mark.parametrize("block", list(blocks("python")))
def test_python(block, tmp_path):
    run = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert run.returncode == 0, run.stderr
    # what a print is said to show (a comment behind it) is what it shows
    said = re.findall(r"^print\(.*\)\s+# (.+)$", block, re.M)
    for line in said:
        assert line in run.stdout, f"{line!r} not in {run.stdout!r}"


@pytest.mark.parametrize("block", list(blocks("console")))
def test_console(block, tmp_path):
    """`$ dllm ...` lines are run; the lines under one are what it prints. `$ cat FILE` shows a file that is made so."""
    for command, output in re.findall(r"^\$ (.*(?:\\\n.*)*)\n((?:(?!\$ ).*\n)*)", block, re.M):
        words = shlex.split(command.replace("\\\n", " "))
        if words[0] == "cat":
            (tmp_path / words[1]).write_text(output)
            continue
        assert words[0] == "dllm"
        line = f"{shlex.quote(sys.executable)} -m {command}"
        run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, timeout=300)
        assert run.returncode == 0, run.stderr
        assert run.stdout.strip() == output.strip()


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
