"""Where lexemes are counted: a text is found without the counts, and then it is seen whether it has the right ones.

Where no text fits without counts, none fits with them, and few canvases come near a bound of thousands of characters.
So nearly all is decided by the small tables of the grammar that does not count (`CompiledGrammar.loose`), and by
reading tokens once. Only where counts matter is the canvas searched with them.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.explain.parse import Parse, States
from dllm.grammars.search.orders import Settled, settle
from dllm.grammars.search.placement import END, Placement
from dllm.grammars.search.repair import adapted
from dllm.grammars.search.solve import PATIENT, Patience
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.orders import Ordered, arranged, orders_in
from dllm.grammars.tables.steps import DEAD

_states: WeakKeyDictionary[CompiledGrammar, States] = WeakKeyDictionary()


def loosely(
    compiled: CompiledGrammar, canvas: Canvas, before: Placement | None, patience: Patience = PATIENT
) -> tuple[bool, Settled | None]:
    """Whether it is certain without a search that counts, and if so what `settle` returns.

    Args:
        before: how a text lay on the canvas when fewer tokens were given, if it is of the same length.

    Raises:
        UndecidedError: as `settle`.
    """
    loose = compiled.loose
    assert loose is not None, "nothing is counted"
    found = None if before is None else reread(compiled, canvas, canvas, before.witness)
    if found is not None:
        return True, found
    rough = None
    if before is not None:
        old = reread(loose, Canvas((MASK,) * len(canvas.ids), canvas.ends), canvas, before.witness)
        rough = old and adapted(old[0], canvas, old[1])
    if rough is None:
        settled = settle(loose, canvas, patience)
        if settled is None:
            return True, None
        rough = settled[1]
    found = reread(compiled, canvas, canvas, rough.witness)
    return found is not None, found


def reread(compiled: CompiledGrammar, given: Canvas, canvas: Canvas, own: tuple[int, ...]) -> Settled | None:
    """The tokens of a witness but for those that a canvas of this length gives otherwise; None if that is no text."""
    stop = own.index(END) if END in own else len(own)
    if MASK in own or stop < given.tail or (stop < len(own) and not canvas.ends):
        return None
    pairs = zip(given.ids[:stop], own[:stop], strict=True)
    witness = tuple(token if token != MASK else before for token, before in pairs)
    path = np.full((len(own) + 1, 2), DEAD, dtype=np.int32)
    sentence: tuple[int, ...] = ()
    state = 0
    for at, token in enumerate(witness):
        path[at] = state, len(sentence)
        labels, state = compiled.table.step(state, token, given=canvas.is_given(at))
        if state == DEAD:
            return None
        sentence += labels
    path[stop] = state, len(sentence)
    final = compiled.scanner.final[state]
    if final == DEAD:
        return None
    sentence += compiled.scanner.emissions[final]
    orders = Ordered()
    if compiled.grammar.members is not None:
        orders = Ordered(orders_in(compiled.grammar.members, [compiled.scanner.labels[label] for label in sentence]))
    own_order = compiled.arranged(orders)
    if not _belongs(own_order, orders, sentence):
        return None
    bare = Placement.bare(canvas, compiled.table, compiled.reach, sentence)
    return own_order, Placement(bare.table, bare.reach, sentence, witness + own[stop:], path, bare.matches)


def _belongs(compiled: CompiledGrammar, orders: Ordered, sentence: tuple[int, ...]) -> bool:
    if not sentence:
        return compiled.grammar.may_be_empty
    if compiled not in _states:
        _states[compiled] = States(arranged(compiled.grammar, orders))
    parse = Parse(_states[compiled])
    return all(parse.read(compiled.scanner.labels[label]) for label in sentence) and parse.done()
