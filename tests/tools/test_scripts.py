"""The scripts of a checkout find the recipes in tools/, which no installation has, from any folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path
    for folder in ("scripts", "benchmarks")
    for path in (ROOT / folder).glob("*.py")
    if "from tools." in path.read_text()
)

EACH_ON_ITS_OWN = """
import runpy, sys
before = list(sys.path)
for script in sys.argv[1:]:
    runpy.run_path(script, run_name="tried")
    sys.path[:] = before
    for name in [name for name in sys.modules if name.partition(".")[0] == "tools"]:
        del sys.modules[name]
"""


def test_they_run_from_any_folder(tmp_path):
    names = {"authors.py", "bench_engine.py", "eval_tiny.py", "gpu_check.py", "train_tiny.py"}
    assert {path.name for path in SCRIPTS} == names
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", EACH_ON_ITS_OWN, *map(str, SCRIPTS)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
