"""What Python may call of the grammar engine's loops, and what becomes of a signal while they run."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import dllm.grammars

INTERRUPTED = """
import signal
from dllm import LLM, Grammar
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.solve import solve

class Rung(Exception):
    pass

def ring(*_):
    raise Rung

vocabulary = LLM("tiny").vocabulary
schema = {"type": "object", "patternProperties": {"^a": {"type": "array"}}, "required": ["ab", "c"]}
compiled = Grammar.from_json_schema(schema).compile(vocabulary)
canvas = Canvas((MASK,) * 60)
solve(compiled, canvas)
signal.signal(signal.SIGALRM, ring)
rung = 0
for microseconds in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.00002 * microseconds)
        while True:
            solve(compiled, canvas)
    except Rung:
        rung += 1
print(rung)
"""


def functions_of_loops():
    """The functions in files of loops, with the names of their decorators."""
    for module in pkgutil.walk_packages(dllm.grammars.__path__, "dllm.grammars."):
        if "loops" in module.name.split("."):
            for one in ast.walk(ast.parse(Path(import_module(module.name).__file__).read_text())):
                if isinstance(one, ast.FunctionDef):
                    yield one, [ast.unparse(decorator) for decorator in one.decorator_list]


def test_only_loops_have_what_python_cannot_call():
    """Calling such a function from Python would end the process."""
    seen = 0
    for module in pkgutil.walk_packages(dllm.grammars.__path__, "dllm.grammars."):
        for name, thing in vars(import_module(module.name)).items():
            if getattr(thing, "targetoptions", {}).get("no_cpython_wrapper"):
                seen += 1
                assert "loops" in module.name.split("."), f"{module.name} imports {name}: make it an `entry`"
    assert seen > 50


def test_what_loops_return_to_python_is_a_number_or_goes_through_boxing():
    seen = 0
    for function, decorators in functions_of_loops():
        if "entry" in decorators:
            seen += 1
            returned = [one.value for one in ast.walk(function) if isinstance(one, ast.Return) and one.value]
            for value in returned:
                maker = ast.unparse(value.func) if isinstance(value, ast.Call) else ast.unparse(value)
                assert maker in ("to_python", "np.int64", "len"), f"{function.name}: return to_python({maker}...)"
    assert seen > 15


def test_an_error_that_a_signal_raises_comes_out_of_a_loop():
    """As Ctrl-C does: with numba's own boxing the first of them ended the process."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "300\n"), done.stderr[-2000:]
