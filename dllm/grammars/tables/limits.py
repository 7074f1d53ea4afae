"""How large the tables of a grammar may be: counted before they are made, so that no grammar hangs or fills the memory.

One number bounds all of it: the states of the scanner. What else is made grows with it, and is bounded in proportion.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dllm.errors import GrammarError

DEFAULT = 20_000
"""States. A character class of ASCII takes one for each time it is counted, `.` 8, and a Unicode `\\w` 310."""
VARIABLE = "DLLM_GRAMMAR_LIMIT"
BUILDING = 5
"""States of automata that are still to be made deterministic, for each state of the limit."""
STEPS = 50
"""Steps of making them so, for each state of the limit."""
LENGTH = 50
"""Bytes of the shortest text, for each state of the limit."""
CELLS = 4_000
"""Cells of tables (states times groups of tokens, symbols times productions), for each state of the limit."""
VISITS = 50_000
"""Beginnings of tokens that are scanned, for each state of the limit."""

_chosen: ContextVar[int | None] = ContextVar("limit", default=None)
_name: ContextVar[str] = ContextVar("name", default="")


def checked(limit: object, source: str = "limit") -> int:
    """A limit as a caller gives it.

    Raises:
        GrammarError: it is not a whole number above 0.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise GrammarError(f"{source} must be a whole number of scanner states, 1 or more, but it is {limit!r:.60}")
    return limit


def limit() -> int:
    """That of the `limited` block this runs in, else of the environment, else the default.

    Raises:
        GrammarError: the environment's is not a number.
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    given = os.environ.get(VARIABLE, "")
    return checked(int(given) if given.isascii() and given.isdigit() else given, VARIABLE) if given else DEFAULT


@contextmanager
def limited(states: int | None) -> Iterator[None]:
    """Within, this is the limit; None changes nothing."""
    token = _chosen.set(_chosen.get() if states is None else checked(states))
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Within, errors of `too_large` begin with the name of the grammar."""
    token = _name.set(name)
    try:
        yield
    finally:
        _name.reset(token)


def too_large(part: str, size: str, fix: str) -> GrammarError:
    """The error for a part of a grammar that would outgrow the limit."""
    name = f"{_name.get()}: " if _name.get() else ""
    return GrammarError(
        f"{name}{part} is too large: it needs {size}, and the limit is {limit()} scanner states. {fix}, or raise the "
        f"limit: Grammar.compile(..., limit=N) or {VARIABLE}=N"
    )
