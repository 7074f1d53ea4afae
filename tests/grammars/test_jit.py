"""How the grammar engine's loops are compiled, and what Python may call of them."""

from __future__ import annotations

import gc
import pkgutil
from collections import Counter
from importlib import import_module

import numba
import numpy as np
import pytest
from numba import int64
from numba.core.errors import TypingError
from numba.core.event import install_recorder

import dllm.grammars
from dllm.grammars import jit
from dllm.grammars.jit import entry, inner

lean = pytest.mark.skipif(not numba.__version__.startswith(jit.LEAN), reason="compiled as numba does by default")


@inner
def rows(count):
    return np.zeros((count, 2, 2, 2), dtype=np.float32)


@inner
def sizes(count):
    return len(rows(count)), rows(count).size


@entry
def sizes_and_more(count):
    return sizes(count), np.zeros((count, 2, 2, 2), dtype=np.float32).sum() + rows(count).sum()


def machine_code(loop):
    """Where that of each version begins; 0 if there is none."""
    made = loop.overloads.values()
    return [one.library.get_pointer_to_function(one.fndesc.llvm_func_name) for one in made]


@lean
def test_parts_are_compiled_once_and_have_no_machine_code():
    """Nor is what numba has of its own compiled once for them and once more for what calls them."""
    with install_recorder("numba:compile") as recorder:
        assert sizes_and_more(3) == ((3, 24), 0)
        sizes_and_more.recompile()  # what was called above may have been on disk
        assert sizes_and_more(3) == ((3, 24), 0)
    np_zeros = "ol_np_zeros.<locals>.impl"
    made = Counter(event.data["dispatcher"].py_func.__qualname__ for _, event in recorder.buffer if event.is_start)
    assert made["sizes"] == made["rows"] == made[np_zeros] == 1
    assert machine_code(sizes) == machine_code(rows) == [0] and all(machine_code(sizes_and_more))


@lean
def test_garbage_is_collected_as_before_after_a_compilation():
    before = gc.get_threshold()
    inner(lambda x: x).compile((int64,))
    assert gc.get_threshold() == before
    with pytest.raises(TypingError):
        inner(lambda x: x.nothing).compile((int64,))
    assert gc.get_threshold() == before


def test_a_numba_of_other_insides_compiles_as_it_does_by_default(monkeypatch):
    monkeypatch.setattr(numba, "__version__", "0.70.0")
    assert jit._pipeline() == {"cache": True}


def test_only_loops_have_what_python_cannot_call():
    """Calling such a function from Python would end the process."""
    seen = 0
    for module in pkgutil.walk_packages(dllm.grammars.__path__, "dllm.grammars."):
        for name, thing in vars(import_module(module.name)).items():
            if getattr(thing, "targetoptions", {}).get("no_cpython_wrapper"):
                seen += 1
                assert "loops" in module.name.split("."), f"{module.name} imports {name}: make it an `entry`"
    assert seen > 50
