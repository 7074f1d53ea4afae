"""What Python may call of the grammar engine's loops."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import dllm.grammars


def test_only_loops_have_what_python_cannot_call():
    """Calling such a function from Python would end the process."""
    seen = 0
    for module in pkgutil.walk_packages(dllm.grammars.__path__, "dllm.grammars."):
        for name, thing in vars(import_module(module.name)).items():
            if getattr(thing, "targetoptions", {}).get("no_cpython_wrapper"):
                seen += 1
                assert "loops" in module.name.split("."), f"{module.name} imports {name}: make it an `entry`"
    assert seen > 50
