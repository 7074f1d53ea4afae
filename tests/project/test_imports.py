"""Imports run downwards only, from room to room, and never in a circle; an import for a type counts like any other."""

import ast
import graphlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = (
    *("scripts benchmarks examples dllm.__main__", "dllm.cli tools", "dllm.serve dllm.bench", "dllm.eval"),
    *("dllm", "dllm.llm", "dllm.engine", "dllm.params", "dllm.schedulers dllm.cache dllm.grammars", "dllm.views"),
    *("dllm.testing", "dllm.models", "dllm.tokenizer", "dllm.outputs"),
    *("dllm.registry dllm.arguments dllm.sampling dllm.hub dllm.progress dllm.trace", "dllm.errors dllm.version"),
)
"""Rooms from the top of the house down. What lies on one floor does not import each other; `dllm` is the door alone."""
LEVEL = {room: level for level, floor in enumerate(reversed(FLOORS)) for room in floor.split()}
ONLY = {"dllm.grammars": {"dllm.tokenizer", "dllm.arguments", "dllm.errors"}}
"""Rooms that could be taken out of the house: all that they know of it."""


def modules():
    """Name -> file of every module that is not a test."""
    folders = sorted({room.split(".")[0] for room in LEVEL})
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports():
    """(module, line, module of the project that it imports), wherever in the file the import stands."""
    known = modules()
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: write the whole name of the module"
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                named = [one if one in known else node.module for one in inside]
            else:
                continue
            yield from ((name, node.lineno, one) for one in named if one.split(".")[0] in ("dllm", "tools", "scripts"))


def room(module):
    first, *rest = module.split(".")
    return f"{first}.{rest[0]}" if first == "dllm" and rest else first


def test_every_room_has_a_floor():
    assert sorted({room(name) for name in modules()} - set(LEVEL)) == []


def test_imports_run_downwards():
    wrong = []
    for module, line, target in imports():
        here, there = room(module), room(target)
        if here == there or module == "dllm":  # the door names what stands behind it, and loads it when asked
            continue
        if LEVEL[there] >= LEVEL[here]:
            wrong.append(f"{module}:{line} imports {target}, which does not lie below it")
        elif there not in ONLY.get(here, {there}):
            wrong.append(f"{module}:{line} imports {target}; {here} knows {', '.join(sorted(ONLY[here]))} only")
    assert wrong == [], "\n".join(["", *wrong])


def test_there_is_no_circle():
    wanted = {}
    for module, _, target in imports():
        if target != module:
            wanted.setdefault(module, set()).add(target)
    found = []
    while True:
        try:
            graphlib.TopologicalSorter(wanted).prepare()
            break
        except graphlib.CycleError as error:
            first, *others = reversed(error.args[1])  # each imports the next
            found.append(" -> ".join([first, *others]))
            wanted[first].discard(others[0])
    assert found == [], "\n".join(["", *found])
