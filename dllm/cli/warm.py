"""`dllm doctor --warm`: the loops of the grammar engine compiled ahead, by using all of them on the embedded model."""

from __future__ import annotations

import os
import pkgutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import count, product
from typing import TYPE_CHECKING, Any

from dllm.cli.first_use import COMPILATION
from dllm.errors import GrammarError

if TYPE_CHECKING:
    from dllm import LLM

HOT = 5.0
"""A temperature at which most of what is proposed cannot stand: what a grammar does about that is compiled too."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"enum": ["a", "b"]}},
    "required": ["name", "age"],
}
DOCUMENT = '{"name": <mask:6>, "list": [<mask:2-5>]}'


def warm_up() -> dict[str, Any]:
    """Compile what is not compiled yet: functions, seconds in all, and where they are kept."""
    from numba.core.event import install_recorder

    from dllm import LLM

    began = time.monotonic()
    with install_recorder(COMPILATION) as recorder, _tables_made_anew():
        _use(LLM("tiny"))
    made = sum(event.is_start for _, event in recorder.buffer)
    kept = {str(loop.stats.cache_path) for loop in loops() if loop.stats.cache_path}
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


@contextmanager
def _tables_made_anew() -> Iterator[None]:
    """Tables that are on disk already would leave the loops that make them as they are."""
    before = os.environ.get("DLLM_CACHE_DIR")
    os.environ["DLLM_CACHE_DIR"] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ["DLLM_CACHE_DIR"]
        else:
            os.environ["DLLM_CACHE_DIR"] = before


def _use(llm: LLM) -> None:
    """Answers and a document, cold and hot, committed one by one, together, and taken back. (A test holds this to all
    that the built-in grammars call.)"""
    from dllm import Grammar, SamplingParams

    seeds = count()
    grammars = (Grammar.builtin("arithmetic"), Grammar.builtin("json"), Grammar.from_json_schema(SCHEMA))
    for grammar, (scheduler, heat) in product(grammars, (("topk(1)", 0.0), ("topk(4, by=random)", HOT), ("wino", HOT))):
        params = SamplingParams(
            max_new_tokens=24, scheduler=scheduler, temperature=heat, grammar=grammar, cache="none", seed=next(seeds)
        )
        with suppress(GrammarError):
            llm.generate("x\n", params)
        if grammar.name == "json":
            llm.infill(DOCUMENT, params)
