"""Clients that people have, in an environment of their own: with `--full` (`make test-all`), where they can be had."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import run

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_clients_understand_the_server():
    command = [sys.executable, "-m", "tests.clients.run"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2400, check=False)
    if told.returncode == run.NOT_INSTALLED:
        pytest.skip(f"the clients cannot be installed here: {told.stderr[-300:]}")
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr[-2000:]


def test_no_client_is_forgotten():
    assert {f"ask_{name}" for name in run.CLIENTS} == {path.stem for path in Path(__file__).parent.glob("ask_*.py")}
