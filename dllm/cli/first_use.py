"""The first use of a grammar: what it waits for is said while it waits, and all of it can be done ahead.

The loops of the grammar engine are compiled by numba where they are first called, and kept on disk; so are the tables
of a grammar for a vocabulary. After installation that takes about a minute, of which people should hear.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from dllm.cli.shell import tell

if TYPE_CHECKING:
    from dllm import LLM, Grammar

PATIENCE = 1.0
"""Seconds of waiting that nothing is said of."""
COMPILATION = "numba:compile"
"""What numba calls the compilation of a function that is not on disk."""
COMPILING = (
    "the first use of a grammar compiles the loops of its engine, once after installation; that takes about a minute "
    "(`dllm doctor --warm` does it ahead)"
)


@contextmanager
def first_use(llm: LLM, grammar: Grammar | None) -> Iterator[None]:
    """Inside, a grammar is ready. Where that takes longer than a moment, now or inside, a line on stderr says why."""
    if grammar is None or llm.tokenizer is None:
        yield
        return
    from numba.core.event import install_recorder

    ready, over = Event(), Event()
    preparing = f"preparing the grammar {grammar.name} for a vocabulary of {llm.tokenizer.vocab_size} ids"
    with install_recorder(COMPILATION) as recorder:
        Thread(target=_watch, args=(recorder.buffer, preparing, ready, over), daemon=True).start()
        try:
            grammar.compile(llm.vocabulary)
            ready.set()
            yield
        finally:
            over.set()


def _watch(events: Sequence[tuple[float, Any]], preparing: str, ready: Event, over: Event) -> None:
    """Say one thing, if there is one to say, before it is over."""
    began = time.monotonic()
    while not over.wait(PATIENCE / 4):
        if seconds_compiling(events) > PATIENCE:
            return tell(COMPILING)
        if time.monotonic() - began > PATIENCE and not events and not ready.is_set():
            return tell(preparing)
    return None


def seconds_compiling(events: Sequence[tuple[float, Any]]) -> float:
    """So far, of numba's clock; functions are compiled inside of others, and the outermost count."""
    depth, began, seconds = 0, 0.0, 0.0
    for at, event in list(events):
        if event.is_start:
            began = at if depth == 0 else began
            depth += 1
        else:
            depth -= 1
            seconds += at - began if depth == 0 else 0.0
    return seconds + (time.time() - began if depth else 0.0)
