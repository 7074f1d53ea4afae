"""Whether a canvas can be completed by a grammar with members in any order, and how.

How many orders there are does not matter: what is given on the canvas says in which order the members come that can be
seen, and the others may come in the order of the schema. So first a text is looked for that may have a member twice and
lack another (`Counted`): if there is none, there is no completion. What it says of the given members is the order of
another search, whose text is right (`Ordered`). If that one fails, more members are counted apart, and so on.

That is exact for lists of few required members. Of long ones a completion may be missed that needs the hidden members
in a certain order, or where it is not plain which member is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.placement import END, Placement
from dllm.grammars.search.solve import PATIENT, Patience, UndecidedError, solve
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.orders import Counted, Ordered, Orders, keys_in

STATES = 512
"""Of a list with tracked members, at most; so lists of up to 6 required ones can be tracked as a whole."""
BRIEF = replace(PATIENT, nodes=400)
"""For members that are put in order: that none was found proves nothing."""

Settled = tuple[CompiledGrammar, Placement]
"""A text on a canvas, and the grammar so arranged that it has it."""


def settle(
    compiled: CompiledGrammar, canvas: Canvas, patience: Patience = PATIENT, near: Placement | None = None
) -> Settled | None:
    """A text that completes the canvas, or None if there is none.

    Args:
        patience, near: as in `solve`.

    Raises:
        UndecidedError: that was not found out.
    """
    if compiled.grammar.members is None:
        placement = solve(compiled, canvas, patience, near)
        return None if placement is None else (compiled, placement)
    tracked: frozenset[int] = frozenset()
    while True:
        rough = solve(compiled.arranged(Counted(tracked)), canvas, patience, near)
        if rough is None:
            return None
        keys = _keys(compiled, canvas, rough)
        if not any(_twice(own) for own in keys):  # then none is missing
            return compiled.arranged(Ordered(_orders(keys))), rough
        found = _ordered(compiled, canvas, _orders(keys, given=True))
        if found is not None:
            return found
        tracked |= {_to_track(compiled, keys, tracked)}


Keys = list[list[tuple[int, bool]]]
"""Of each pair of braces, the keys of required members, and whether they are given on the canvas, if in part."""


def _keys(compiled: CompiledGrammar, canvas: Canvas, placement: Placement) -> Keys:
    members = compiled.grammar.members
    assert members is not None
    sentence = [compiled.scanner.labels[label] for label in placement.sentence]
    given = _given(compiled, canvas, placement)
    return [[(key, at in given) for key, at in own] for own in keys_in(members, sentence)]


def _given(compiled: CompiledGrammar, canvas: Canvas, placement: Placement) -> set[int]:
    """The lexemes of a placement's sentence of which a given token has a part.

    A lexeme is emitted by the byte behind it.
    """
    scanner, tokens = compiled.scanner, compiled.vocabulary.tokens
    found: set[int] = set()
    state, emitted = 0, 0
    for token, own in zip(canvas.ids, placement.witness, strict=True):
        if own == END:
            break
        for byte in tokens[own] or b"":
            emitted += len(scanner.emissions[scanner.emits[state, byte]])
            state = scanner.next[state, byte]
            if token != MASK:
                found.add(emitted)
    return found


def _orders(keys: Keys, *, given: bool = False) -> Orders:
    """The orders of keys, or of those that are given."""
    found = (tuple(dict.fromkeys(key for key, told in own if told or not given)) for own in keys)
    return tuple(dict.fromkeys(found)) or ((),)


def _ordered(compiled: CompiledGrammar, canvas: Canvas, orders: Orders) -> Settled | None:
    """A text in one of these orders, arranged as it is itself; None if none was found."""
    try:
        placement = solve(compiled.arranged(Ordered(orders)), canvas, BRIEF)
    except UndecidedError:
        return None
    if placement is None:
        return None
    return compiled.arranged(Ordered(_orders(_keys(compiled, canvas, placement)))), placement


def _twice(keys: Iterable[tuple[int, bool]]) -> list[int]:
    return [key for key, count in Counter(key for key, _ in keys).items() if count > 1]


def _to_track(compiled: CompiledGrammar, keys: Keys, tracked: frozenset[int]) -> int:
    """A key that is given twice; or of a list that can be tracked as a whole, one that comes twice, or any.

    Raises:
        UndecidedError: there is none.
    """
    members = compiled.grammar.members
    assert members is not None
    lists = [own.keys for own in members.lists]
    small = {key for own in lists if _states(own, frozenset(own)) <= STATES for key in own}
    given = [key for own in keys for key in _twice(one for one in own if one[1])]
    twice = [key for own in keys for key in _twice(own) if key in small]
    for key in (*given, *twice, *sorted(small)):
        if key not in tracked and all(_states(own, tracked | {key}) <= STATES for own in lists):
            return key
    raise UndecidedError


def _states(keys: tuple[int, ...], tracked: frozenset[int]) -> int:
    return (len(keys) + 1) << len(tracked.intersection(keys))
