"""Whether a canvas can be completed, and how.

A lattice with closed gaps holds every completion and more, so if it has no sentence there is none. If it has one, its
labels are placed on the canvas with the exact number of tokens, and changed in windows where they do not fit. If that
fails, the gaps in question are opened; the search goes on, each round with less that is wrong, until a sentence fits or
none is left. Gaps are first taken to hold less than they can (`View`), which is nearly always enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dllm.grammars.canvas import MASK, Canvas, Gap
from dllm.grammars.search.chart import Chart
from dllm.grammars.search.lattice import Layout, View, build
from dllm.grammars.search.placement import NO_LIMIT, ROOM, Placement, Ways
from dllm.grammars.search.repair import LITTLE, MUCH, Effort, repaired
from dllm.grammars.search.sketch import sketch
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.steps import DEAD

NEAR = 32
"""Given tokens between a narrow gap and a loose one, up to which it is opened before a wide one."""
FEW_MASKS = 40
"""Masks up to which gaps of one are open from the start: then the lattice stays small, and most sentences do not fit
them by chance."""
AT_ONCE = 5
"""Gaps that are opened where a sentence does not fit."""
NARROW = 8
"""Masks of gaps that are opened together, at most: a wide one may be loose only because of a narrow one."""
PLACING = 4
"""Nodes of a lattice that take as long as one token of a sentence that is placed in vain, about."""
MEMORY = 256 << 20
"""Bytes of a chart, beyond which the search is given up."""
MANY = 4_000_000
"""Configurations of a sentence that is placed in every way, at most: about a second, and some 100 MB."""


class UndecidedError(Exception):
    """The search was given up: it says neither that the canvas can be completed nor that it cannot."""


@dataclass(frozen=True)
class Patience:
    """When a search is given up.

    Attributes:
        nodes: of a lattice, and two more for each token of the canvas, at most.
        made: nodes that are made for one of those.
        total: nodes of all lattices of the search; a sentence that does not fit counts as PLACING for each token.
        guesses: what is taken to stand in gaps, the next where there is no sentence: `view` and `exact` of `build`.
        room: configurations that are looked at to place one that fits in no plain way.
        effort: to change one where it does not fit.
    """

    nodes: int
    made: int
    total: int
    guesses: tuple[tuple[View, bool], ...]
    room: int
    effort: Effort


FIRST: tuple[tuple[View, bool], ...] = ((View.CALM, False), (View.FEW, False))
PATIENT = Patience(
    nodes=16_000,
    made=16,
    total=NO_LIMIT,
    guesses=(*FIRST, (View.ANY, False), (View.ANY, True)),
    room=MANY,
    effort=MUCH,
)
HASTY = Patience(
    nodes=1_000,
    made=4,
    total=3_000,
    guesses=(*FIRST, (View.ANY, True)),
    room=ROOM,
    effort=LITTLE,
)
"""Some tens of milliseconds. What takes longer to find out is nearly always refused in the end."""


def solve(
    compiled: CompiledGrammar, canvas: Canvas, patience: Patience = PATIENT, near: Placement | None = None
) -> Placement | None:
    """A sentence and how it lies on the canvas; None if no completion of the canvas is a sentence. Exact both ways.

    Args:
        near: how one lies on a canvas of this length that is mostly the same; only what differs is placed then.

    Raises:
        UndecidedError: the lattice outgrew its nodes, or the chart its memory, or the search took too many.
    """
    few = canvas.ids.count(MASK) <= FEW_MASKS
    opened = [gap for gap in canvas.gaps if gap.width == 1] if few else []
    guess, left = 0, patience.total
    while True:
        view, exact = patience.guesses[guess]
        most = min(left, patience.nodes + 2 * len(canvas.ids))
        layout = build(
            *(canvas, compiled.table, compiled.reach, opened),
            exact=exact,
            view=view,
            limit=most,
            made=patience.made * most,
        )
        chart = None if layout is None else Chart.bounded(compiled.productions, layout.lattice, MEMORY)
        if layout is None or chart is None:
            raise UndecidedError
        left -= len(layout.lattice.final)
        if not chart.possible or _too_heavy(compiled, layout, chart, canvas):
            if view == View.ANY and (exact or not opened):
                return None
            guess += 1
            continue
        sentence = chart.sentence()
        found, loose = _placed(compiled, canvas, sentence, patience, near)
        if found is not None:
            return found
        left -= PLACING * len(canvas.ids)
        guess = max(guess, 1)
        closed = [gap for gap in canvas.gaps if gap not in opened]
        if not closed:  # then it fits, if not near to where it lay before
            asked = canvas, compiled.table, compiled.reach, sentence
            found = None if near is None else Placement.make(*asked, tuple(Ways), patience.room)
            if found is None:
                raise UndecidedError  # that would take more room
            return found
        opened += _next(closed, loose)


def _too_heavy(compiled: CompiledGrammar, layout: Layout, chart: Chart, canvas: Canvas) -> bool:
    """Whether all sentences take more tokens than there are masks, as far as that is plain."""
    middles = layout.nodes.number[layout.middles[layout.middles != DEAD]]
    weight = chart.lightest(compiled.weights, middles[middles != DEAD])
    return weight is not None and weight > canvas.ids.count(MASK)


def _placed(
    compiled: CompiledGrammar, canvas: Canvas, sentence: Sequence[int], patience: Patience, near: Placement | None
) -> tuple[Placement | None, Sequence[Gap]]:
    """The sentence on the canvas, or one like it; or else the gaps where it does not fit."""
    asked = canvas, compiled.table, compiled.reach, sentence
    if near is None:
        own = Placement.bare(*asked)
        window = own.everything
    else:
        own, window = near.differing(canvas, sentence)
    rough = sketch(own, canvas, window)
    if rough is not None and not rough.loose:
        return rough, ()
    found = own.placed(canvas, window)
    if found is not None:
        return found, ()
    loose: Sequence[Gap] = canvas.gaps
    if rough is not None:
        rough = _repaired(compiled, canvas, rough, patience.effort)
        if not rough.loose:
            return rough, ()
        loose = rough.loose
    return Placement.make(*asked, (Ways.EXACT,), patience.room) if patience.room > ROOM else None, loose


def _next(closed: Sequence[Gap], loose: Sequence[Gap]) -> Sequence[Gap]:
    """Gaps to open: narrow ones that are loose; else narrow ones near to those that are, since what lies there may be
    what does not fit; else the narrowest of those that are loose, or the one that is nearest to them."""

    def distance(gap: Gap) -> int:
        return min(max(other.start - gap.stop, gap.start - other.stop, 0) for other in loose)

    found = sorted((gap for gap in closed if gap in loose), key=lambda gap: gap.width)
    narrow = [gap for gap in found if gap.width <= NARROW]
    near = sorted((gap for gap in closed if gap.width <= NARROW and distance(gap) <= NEAR), key=distance)
    return narrow[:AT_ONCE] or near[:AT_ONCE] or found[:1] or [min(closed, key=distance)]


def _repaired(compiled: CompiledGrammar, canvas: Canvas, placement: Placement, effort: Effort) -> Placement:
    """A placement with its loose gaps changed, perhaps not all of them."""
    for gap in placement.loose:
        if gap in placement.loose:
            placement = repaired(compiled, canvas, placement, gap.start, gap.stop, effort) or placement
    return placement
