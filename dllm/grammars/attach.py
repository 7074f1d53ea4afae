"""A grammar put on a canvas: where a `Grammar` meets the tokens that it is to govern, and becomes a constraint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dllm.errors import GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.explain.advice import advice
from dllm.grammars.grammar import Grammar
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.vocabulary import Vocabulary

LONG = 4_000
"""Bytes of a shortest text, up to which a search finds out whether it fits, and what would."""


def attach(
    grammar: Grammar,
    vocabulary: Vocabulary,
    ids: Sequence[int],
    offset: int,
    *,
    ends: bool,
    eos: Iterable[int],
    advise: bool = True,
) -> GrammarConstraint:
    """Hold a part of a canvas, up to its end, to a grammar.

    Args:
        ids: the tokens of that part, MASK where one is still free.
        offset: position on the canvas of the first of them; what stands before is prompt.
        ends: whether one of `eos` may end the text before the canvas is full.
        eos: ids that end the text.
        advise: whether an error says what would have to change, which may take seconds to find out.

    Raises:
        GrammarError: no text of the grammar fits. With `advise` it says how many tokens one needs where that is the
            reason; and where the fixed text is, at which line and column, with lines below that show the place.
    """
    grammar = grammar.fitted(_given(vocabulary, ids))
    compiled = grammar.compile(vocabulary)
    special = next((token for token in ids if token != MASK and vocabulary.node[token] < 0), None)
    if special is not None:
        raise GrammarError(f"the document holds the special token {special}, which is no text; a grammar needs text")
    _check_room(grammar, compiled, ids)
    canvas = Canvas(tuple(ids), ends)
    try:
        return GrammarConstraint.start(compiled, canvas, offset, eos if ends else ())
    except GrammarError as error:
        more = f"; {advice(grammar, compiled, canvas)}" if advise else ""
        raise GrammarError(f"{grammar.name}: {error}{more}") from None


def _given(vocabulary: Vocabulary, ids: Sequence[int]) -> str:
    """The text of the tokens; each that is free, or that has none, is a zero."""
    tokens = vocabulary.tokens
    return b"".join((None if token == MASK else tokens[token]) or b"\0" for token in ids).decode(errors="replace")


def _check_room(grammar: Grammar, compiled: CompiledGrammar, ids: Sequence[int]) -> None:
    """Refuse what is far too long without a search, which would take as long as the shortest text."""
    tokens, longest = compiled.vocabulary.tokens, compiled.vocabulary.longest
    room = sum(longest if token == MASK else len(tokens[token] or b"") for token in ids)
    if compiled.shortest > max(room, LONG):
        raise GrammarError(
            f"{grammar.name}: no text of the grammar fits this canvas; the shortest one takes {compiled.shortest} "
            f"bytes, and {len(ids)} tokens hold {room} at most. Give it more room, or ask for fewer items"
        )
