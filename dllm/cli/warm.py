"""`dllm doctor --warm`: the loops of the grammar engine compiled ahead, by using all of it on the embedded model."""

from __future__ import annotations

import pkgutil
import time
from contextlib import suppress
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any

from dllm.cli.first_use import COMPILATION
from dllm.errors import GrammarError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dllm import LLM, Grammar

HOT = 5.0
"""A temperature at which most of what is proposed cannot stand: what a grammar does about that is compiled too."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"enum": ["a", "b"]}},
    "required": ["name", "age"],
}
DOCUMENTS = {
    "json": '{"name": <mask:6>, "list": [<mask:2-5>]}',
    "cpp": "int add(int a, int b) { return <mask:6>; }",
    "sql_select": "SELECT <mask:3> FROM <mask:2>",
}
"""Holes for languages that people infill."""


def warm_up() -> dict[str, Any]:
    """Compile what is not compiled yet: functions, seconds that took, seconds in all, and where they are kept."""
    from numba.core.event import install_recorder

    from dllm import LLM

    began = time.monotonic()
    with install_recorder(COMPILATION) as recorder:
        _use(LLM("tiny"))
    made = sum(event.is_start for _, event in recorder.buffer)
    kept = {str(loop.stats.cache_path) for loop in loops()}
    return {"compiled": made, "seconds": round(time.monotonic() - began, 1), "kept_in": sorted(kept)}


def loops() -> list[Any]:
    """The functions of the grammar engine that are compiled."""
    import dllm.grammars

    found = dict[str, Any]()
    for module in pkgutil.walk_packages(dllm.grammars.__path__, "dllm.grammars."):
        for name, thing in vars(import_module(module.name)).items():
            if hasattr(thing, "nopython_signatures"):
                found[f"{thing.__module__}.{name}"] = thing
    return list(found.values())


def _grammars() -> Iterator[Grammar]:
    from dllm import Grammar
    from dllm.grammars.frontends.builtin import builtin_names

    yield from map(Grammar.builtin, builtin_names())
    yield Grammar.from_json_schema(SCHEMA)
    yield Grammar.from_json_schema(SCHEMA, property_order="schema")
    yield Grammar.from_regex(r"[a-z]{2,5}(-\d+)*")
    yield Grammar.from_choices(["yes", "no", "maybe so"])


def _use(llm: LLM) -> None:
    """Answers and documents of every kind, cold and hot, committed one by one, together, and taken back."""
    from dllm import SamplingParams

    seeds = count()
    for grammar in _grammars():
        for scheduler, heat in (("topk(1)", 0.0), ("topk(4, by=random)", HOT), ("wino", HOT)):
            params = SamplingParams(
                max_new_tokens=24,
                scheduler=scheduler,
                temperature=heat,
                grammar=grammar,
                cache="none",
                seed=next(seeds),
            )
            with suppress(GrammarError):
                llm.generate("x\n", params)
            if grammar.name in DOCUMENTS:
                with suppress(GrammarError):
                    llm.infill(DOCUMENTS[grammar.name], params)
