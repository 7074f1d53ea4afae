"""What to say where no text of a grammar fits a canvas: how much room one needs, or where fixed text is at fault."""

from __future__ import annotations

from collections.abc import Sequence

from dllm.grammars.canvas import MASK, Canvas, Gap
from dllm.grammars.explain.misfit import FREE_TEXT, calm, misfit, possible
from dllm.grammars.grammar import Grammar
from dllm.grammars.search.orders import settle
from dllm.grammars.search.solve import UndecidedError
from dllm.grammars.tables.compiled import CompiledGrammar

LONGEST = 4096
"""Tokens up to which is looked for how much room a text of the grammar needs."""
WIDER = (*range(1, 17), 24, 32, 48, 64, 96, 128)
"""Tokens that are added to holes to see with how many a text would fit. Up to the last of them are also taken away."""
FEW = 4
"""Holes up to which each is also widened alone."""


def advice(grammar: Grammar, compiled: CompiledGrammar, canvas: Canvas) -> str:
    """What would have to change for a text of the grammar to fit a canvas that none fits, as the end of a sentence."""
    try:
        swallowing = _swallowing(compiled, canvas)
    except UndecidedError:
        swallowing = ""
    return swallowing + _kept(grammar, compiled, canvas)


def _swallowing(compiled: CompiledGrammar, canvas: Canvas) -> str:
    """Whether one would fit if holes might begin free text that goes on over given text; nothing if not."""
    if not compiled.scanner.guards:
        return ""
    opened = f"a hole may then open {FREE_TEXT} that goes on over given text; else "
    if _fits(compiled, canvas.unguarded):
        return f"one does with swallow=True: {opened}"
    if possible(compiled, canvas.ids, swallow=True) and not possible(compiled, canvas.ids):
        return f"swallow=True and other widths of holes might allow one: {opened}"
    return ""


def _kept(grammar: Grammar, compiled: CompiledGrammar, canvas: Canvas) -> str:
    """What would have to change otherwise."""
    try:
        if all(token == MASK for token in canvas.ids):
            return _room(compiled, len(canvas.ids))
        inside = possible(compiled, canvas.ids)
        if inside and possible(compiled, canvas.ids, calm=calm(compiled)):
            return _widths(compiled, canvas)
    except UndecidedError:
        return "how much room it needs was not found out"
    place = _place(grammar, compiled, canvas, inside)
    if inside:
        return f"{_widths(compiled, canvas)}, but only if a hole opens {FREE_TEXT}; else {place}"
    return f"its fixed text is not part of any text of the grammar: {place}"


def _place(grammar: Grammar, compiled: CompiledGrammar, canvas: Canvas, inside: bool) -> str:
    try:
        return misfit(grammar, compiled, canvas.ids, inside=inside)
    except UndecidedError:
        return "it does not fit, where was not found out"


def _room(compiled: CompiledGrammar, length: int) -> str:
    """The fewest tokens that a text needs, found by doubling and halving."""

    def fits(count: int) -> bool:  # it may end before, so if so many tokens are enough, more are
        return settle(compiled, Canvas((MASK,) * count, True)) is not None

    high = 1
    while not fits(high):
        high *= 2
        if high > LONGEST:
            return f"none of up to {LONGEST} tokens is found"
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    if length < high:
        return f"the shortest needs {high} tokens: make room for them"
    return f"the shortest has {high} tokens and none has {length}, which must all be filled: ask for another number"


def _widths(compiled: CompiledGrammar, canvas: Canvas) -> str:
    """The least change of the holes' widths with which a text fits: of all of them alike, or of one of a few."""
    sets = [canvas.gaps, *([gap] for gap in canvas.gaps if 1 < len(canvas.gaps) <= FEW)]
    for change in (*WIDER, *range(-1, -max(WIDER), -1)):
        for gaps in sets:
            left = min(gap.stop - gap.start for gap in gaps) + change
            if left > 0 and _fits(compiled, _widened(canvas, gaps, change)):
                tokens = f"{abs(change)} {'more' if change > 0 else 'fewer'} token{'s' if abs(change) > 1 else ''}"
                which = "each hole" if len(gaps) == len(canvas.gaps) > 1 else f"the hole at token {gaps[0].start}"
                return f"with {tokens} in {which} one does"
    return "its fixed text is part of some, but not with holes of about these widths: make them wider or narrower"


def _fits(compiled: CompiledGrammar, canvas: Canvas) -> bool:
    try:
        return settle(compiled, canvas) is not None
    except UndecidedError:
        return False


def _widened(canvas: Canvas, gaps: Sequence[Gap], change: int) -> Canvas:
    """With `change` more masks, or fewer if it is negative, in these gaps."""
    ids: list[int] = []
    begins = {gap.start: change for gap in gaps}
    skipped = 0
    for at, token in enumerate(canvas.ids):
        more = begins.get(at, 0)
        ids += [MASK] * max(0, more)
        skipped += max(0, -more)
        if token == MASK and skipped:
            skipped -= 1
        else:
            ids.append(token)
    return Canvas(tuple(ids), canvas.ends)
