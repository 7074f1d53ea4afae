"""A grammar put on a row's canvas, and what to say where it does not fit."""

from __future__ import annotations

import time
from collections.abc import Iterable

from dllm.errors import GrammarError
from dllm.grammars.compiled import Compiled
from dllm.grammars.constraint import GrammarConstraint
from dllm.grammars.grammar import Grammar
from dllm.grammars.lattice import MASK, Canvas
from dllm.grammars.solve import UndecidedError, solve
from dllm.grammars.vocabulary import Vocabulary
from dllm.row import Row

LONGEST = 4096
"""Tokens up to which is looked for how much room a text of the grammar needs."""


def attach(grammar: Grammar, row: Row, vocabulary: Vocabulary, *, ends: bool, eos: Iterable[int]) -> None:
    """Hold what is behind the row's prompt to the grammar.

    Raises:
        GrammarError: no text of the grammar fits; how many tokens one needs where that is the reason.
    """
    began = time.perf_counter()
    compiled = grammar.compile(vocabulary)
    start = row.prompt_length
    ids = [
        MASK if masked else token
        for token, masked in zip(row.canvas[start:].tolist(), row.masked[start:].tolist(), strict=True)
    ]
    special = next((token for token in ids if token != MASK and vocabulary.node[token] < 0), None)
    if special is not None:
        raise GrammarError(f"the document holds the special token {special}, which is no text; a grammar needs text")
    canvas = Canvas(tuple(ids), ends)
    try:
        row.constraint = GrammarConstraint.start(compiled, canvas, start, eos if ends else ())
    except GrammarError as error:
        raise GrammarError(f"{grammar.name}: {error}; {_advice(compiled, canvas)}") from None
    row.constraint_seconds += time.perf_counter() - began


def _advice(compiled: Compiled, canvas: Canvas) -> str:
    """What would have to change."""
    try:
        if any(token != MASK for token in canvas.ids):
            wider = next((times for times in (2, 4, 16) if solve(compiled, _widened(canvas, times)) is not None), None)
            if wider is None:
                return "its fixed text is not part of any text of the grammar"
            return f"with holes {wider} times as wide one does: widen them"
        return _room(compiled, canvas.ends)
    except UndecidedError:
        return "how much room it needs was not found out"


def _widened(canvas: Canvas, times: int) -> Canvas:
    return Canvas(tuple(x for token in canvas.ids for x in [token] * (times if token == MASK else 1)), canvas.ends)


def _room(compiled: Compiled, ends: bool) -> str:
    """The fewest tokens that a text needs, found by doubling and halving."""
    high = 1
    while solve(compiled, Canvas((MASK,) * high, ends)) is None:
        high *= 2
        if high > LONGEST:
            return f"none of up to {LONGEST} tokens is found"
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if solve(compiled, Canvas((MASK,) * middle, ends)) is None:
            low = middle
        else:
            high = middle
    return f"the shortest needs {high} tokens: make room for them"
