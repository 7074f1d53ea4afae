"""Where the fixed text of a canvas leaves its grammar.

A closed gap holds anything of any length, nothing included (`dllm.grammars.search.lattice`). So fixed text with one at
its end has a sentence just where some text of the grammar begins like it, whatever stands in its gaps. What has none
has none with more text behind it either: the first character at fault is found by halving.

A hole may open a string or a comment, and then nearly anything may stand behind it: the text is at fault only where it
ends, or not at all. Hardly anyone means that, so the place that is shown is that for holes that do not; the other one
is named.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.explain.caret import placed, pointed
from dllm.grammars.explain.recogniser import blank
from dllm.grammars.grammar import Grammar
from dllm.grammars.search.chart import Chart
from dllm.grammars.search.lattice import FEW, View, build
from dllm.grammars.search.solve import MEMORY, UndecidedError
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.flat import Bools, bits
from dllm.grammars.tables.reach import Reach
from dllm.grammars.tables.steps import DEAD

Fault = tuple[int, int]
"""A token of the canvas, and a byte in it; behind the last token where the text breaks off."""
FREE_TEXT = "a string, a comment or the like"
_HOLE = "<mask:"


def possible(
    compiled: CompiledGrammar, ids: Sequence[int], *, calm: Reach | None = None, swallow: bool = False
) -> bool:
    """Whether the fixed text is part of some text of the grammar, with gaps of any length.

    Args:
        calm: as `calm` gives it, for gaps that begin no free text (a string, a comment) that goes on behind them.
        swallow: whether free text that a gap begins may go on over given text where the grammar forbids that.

    Raises:
        UndecidedError: the chart would take more than `solve.MEMORY`.
    """
    # a narrow gap would be taken to hold few lexemes
    wide = tuple(one for token in ids for one in [token] * (FEW + 1 if token == MASK else 1))
    reach, view = (compiled.reach, View.ANY) if calm is None else (calm, View.CALM)
    canvas = Canvas(wide).unguarded if swallow else Canvas(wide)
    layout = build(canvas, compiled.table, reach, (), view=view)
    assert layout is not None, "without a limit there is a lattice"
    chart = Chart.bounded(compiled.productions, layout.lattice, MEMORY)
    if chart is None:
        raise UndecidedError
    return chart.possible


def misfit(grammar: Grammar, compiled: CompiledGrammar, ids: Sequence[int], *, inside: bool = False) -> str:
    """Line and column of the first character that cannot stand where it does, why, the line, and a caret.

    Lines and columns are those of the document as a template, with holes written `<mask:N>`.

    Args:
        ids: of a canvas whose fixed text is not possible with calm gaps.
        inside: whether it is possible with others.

    Raises:
        UndecidedError: see `possible`.
    """
    likely = _fault(compiled, ids, calm=calm(compiled))
    surely = likely if inside else _fault(compiled, ids, low=likely[0])
    shown = _begun(grammar, compiled, ids, likely) if likely[0] < len(ids) else likely
    text, place = _written(compiled, ids, shown)
    width, reason = _reason(grammar, compiled, ids, shown) or (1, _said(text, place))
    if surely != likely:
        _, other = _written(compiled, ids, surely)
        opened = f"if a hole opens {FREE_TEXT} before it, {placed(text, other)}: {_said(text, other)}"
        reason = f"{reason}; or, {opened}"
    return pointed(text, place, width, reason)


def calm(compiled: CompiledGrammar) -> Reach:
    """What a gap can hold if it begins no free text that goes on behind it, not even half of its mark or of an escape.

    `Reach` says that of the start and of the midst of lexemes. White space that a longer lexeme may begin with is both:
    there, it leaves in that a comment is opened.
    """
    steps, emits, reach = compiled.scanner.next, compiled.scanner.emits, compiled.reach
    free = _within(compiled)
    begun = steps[0] != DEAD
    like_start = ((steps == steps[0]) & (emits == emits[0]))[:, begun].sum(axis=1) * 2 > begun.sum()
    calm = reach.calm.copy()
    calm[like_start] &= ~bits(np.flatnonzero(free), np.array([0, free.sum()]), len(free))
    return replace(reach, free=free, calm=calm)


def _within(compiled: CompiledGrammar) -> Bools:
    """`[S]` bool: the states of free text, and those but the start that lead there, nowhere else, and silently."""
    steps, emits, reach = compiled.scanner.next, compiled.scanner.emits, compiled.reach
    found, before = reach.free.copy(), -1
    found |= (reach.silent & reach.sets.free).any(axis=1)
    while found.sum() != before:
        found[0], before = reach.free[0], found.sum()
        found = reach.free | (found & ((steps == DEAD) | (found[steps] & (emits == 0))).all(axis=1))
    return found


def _fault(compiled: CompiledGrammar, ids: Sequence[int], *, calm: Reach | None = None, low: int = 0) -> Fault:
    """The first byte with which no text of the grammar begins so; none before token `low`."""

    def refused(more: Sequence[int]) -> bool:
        return not possible(compiled, (*more, MASK), calm=calm)

    fixed = [at for at in range(low, len(ids)) if ids[at] != MASK]
    index = bisect_left(fixed, True, key=lambda at: refused(ids[: at + 1]))
    if index == len(fixed):
        return len(ids), 0
    at = fixed[index]
    spelled = _bytewise(compiled, ids[at])
    return at, bisect_left(range(1, len(spelled)), True, key=lambda count: refused((*ids[:at], *spelled[:count])))


def _begun(grammar: Grammar, compiled: CompiledGrammar, ids: Sequence[int], fault: Fault) -> Fault:
    """Where the lexeme begins that a fault lies in or ends, if no sentence holds such a lexeme (`concept x`, `#frob`):
    its beginning could have been that of another one, but it is what is at fault."""
    at, _ = fault
    low = max((index + 1 for index in range(at) if ids[index] == MASK), default=0)
    high = next((index for index in range(at, len(ids)) if ids[index] == MASK), len(ids))
    place = len(_spelled(compiled, ids[low:at])) + fault[1]
    data = _spelled(compiled, ids[low:high])
    found = next((lexeme for lexeme in grammar.lexemes(data) if lexeme.end >= place and lexeme.terminals), None)
    if found is None or any(compiled.grammar.symbol_of[one] is not None for one in found.terminals):
        return fault
    if low and not found.start:  # it may begin in the hole
        return fault
    start = found.start + blank(data[found.start : found.end])
    for index in range(low, high):
        size = len(_spelled(compiled, [ids[index]]))
        if start < size:
            return index, start
        start -= size
    return fault


def _bytewise(compiled: CompiledGrammar, token: int) -> Sequence[int]:
    """Tokens of one byte each that spell a token; itself where there are none."""
    single = {token[0]: index for index, token in enumerate(compiled.vocabulary.tokens) if token and len(token) == 1}
    spelled = [single.get(byte, MASK) for byte in _spelled(compiled, [token])]
    return [token] if MASK in spelled else spelled


def _said(text: str, place: int) -> str:
    return f"unexpected {text[place]!r}" if place < len(text) else "the text breaks off here"


def _reason(grammar: Grammar, compiled: CompiledGrammar, ids: Sequence[int], fault: Fault) -> tuple[int, str] | None:
    """Characters at fault and what `Grammar.explain` says of them; None where a gap before them leaves that open.

    Nor is there an answer if the fault is within a lexeme, or how it ends: what could stand there is no list of names.
    """
    at, offset = fault
    if MASK in ids[:at]:
        return None
    run = ids[: ids.index(MASK)] if MASK in ids else ids
    data, place = _spelled(compiled, run), len(_spelled(compiled, ids[:at])) + offset
    failure = grammar.failure(data)
    if failure is None or failure.start != place:
        return None
    return len(data[failure.start : failure.end].decode(errors="replace")), failure.told(data)


def _written(compiled: CompiledGrammar, ids: Sequence[int], fault: Fault) -> tuple[str, int]:
    """The document as a template, and where in it the byte at fault is, or the character that it is part of.

    Bytes are decoded a run at a time, since a character may lie across tokens.
    """
    at, offset = fault
    text, place, start = "", -1, 0
    for masked, group in groupby(ids, lambda token: token == MASK):
        run = list(group)
        if masked:
            text += f"{_HOLE}{len(run)}>"
        else:
            data = _spelled(compiled, run)
            if start <= at < start + len(run):
                place = len(text) + _characters(data, len(_spelled(compiled, run[: at - start])) + offset)
            text += data.decode(errors="replace").replace(_HOLE, f"<{_HOLE}")
        start += len(run)
    return text, len(text) if place < 0 else place


def _characters(data: bytes, before: int) -> int:
    """How many characters of a run of fixed text, written as in a template, end before the byte `before`."""
    # not told that this is all, the decoder holds back a character that is cut
    count = len(codecs.getincrementaldecoder("utf-8")("replace").decode(data[:before]))
    marks = re.finditer(_HOLE, data.decode(errors="replace"))
    return count + sum(mark.start() < count for mark in marks)


def _spelled(compiled: CompiledGrammar, ids: Sequence[int]) -> bytes:
    return b"".join(compiled.vocabulary.tokens[token] or b"" for token in ids)
