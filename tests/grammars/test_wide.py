"""Canvases of thousands of tokens: what is wide costs no more than its ends, and what is tried has a bound."""

import random

import numpy as np
import pytest

from dllm import Grammar
from dllm.errors import GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search import chart as chart_module
from dllm.grammars.search import masks as masks_module
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.search.lattice import build
from dllm.grammars.search.masks import Possible
from dllm.grammars.search.orders import settle
from dllm.grammars.search.placement import Placement, Ways
from dllm.grammars.search.solve import HASTY, UndecidedError
from dllm.grammars.tables.vocabulary import vocabulary
from tests.grammars.test_engine import worlds

TOKENS = [*(bytes([byte]) for byte in range(256)), b'"}', b'": ', b'{"', b'", "', b"true", b"nu", b"ll", None]
EOS = len(TOKENS) - 1
NAMES = ("localisation", "label", "limitLocales", "leftPanelEnabled", "open")
TYPES = ({"type": "string"}, {"type": ["boolean", "null"]}, {"type": "number"}, {"enum": ["left", "right"]})
SCHEMA = {
    "type": "object",
    "properties": {name: TYPES[at % len(TYPES)] for at, name in enumerate(NAMES)},
    "required": list(NAMES),
}


@pytest.fixture(scope="module")
def compiled():
    return Grammar.from_json_schema(SCHEMA).compile(vocabulary(TOKENS))


@pytest.mark.parametrize("first", [2100, 2200])
@pytest.mark.parametrize("narrow", [1, 2, 5])
def test_the_masks_of_a_wide_gap_are_those_that_are_found_one_by_one(first, narrow, monkeypatch):
    """What tokens may stand, which states be before, and whether the text may end, at each mask."""
    alike = 0
    for seed, world, compiled in worlds(first, 8):
        rng = random.Random(seed)
        for width in (7, 16, 33):
            before, behind = ([rng.choice(world.usable) for _ in range(rng.randint(0, 2))] for _ in range(2))
            canvas = Canvas((*before, *[MASK] * width, *behind), rng.random() < 0.5)
            found = []
            for most in (narrow, 1 << 20):
                monkeypatch.setattr(masks_module, "NARROW", most)
                masks = Possible(compiled, canvas)(canvas.gaps[0])
                own = [(masks.groups(at).tolist(), masks.states(at).tolist(), masks.ends(at)) for at in range(width)]
                found.append((own, len(masks.before)))
            assert found[0][0] == found[1][0], (seed, canvas, narrow)
            alike += found[0][1] < found[1][1]
    assert alike > 10


def test_given_text_leaves_few_states_to_keep(compiled):
    text = '{"localisation": "' + "abc " * 1000
    canvas = Canvas((*text.encode(), *[MASK] * 3000), True)
    layout = build(canvas, compiled.table, compiled.reach, ())
    starts, states, nodes = layout.places
    assert len(starts) == len(canvas.ids) + 2 and len(states) == len(nodes) == starts[-1]
    assert len(states) < 3 * len(text) + 2 * len(compiled.table.class_of)
    assert layout.before(canvas.gaps[0].start + 1)[0].size == 0, "inside of a closed gap nothing is known"


def test_names_of_many_tokens_and_words_known_early_have_a_plain_way(compiled):
    """Else they are placed with every state followed, which takes gigabytes where there are hundreds of names."""
    settled, placement = settle(compiled, Canvas((MASK,) * 2000, True))
    names = {settled.grammar.names[one] for label in placement.sentence for one in settled.scanner.labels[label]}
    assert {f'"{name}"' for name in NAMES} <= names
    whole = Placement.make(Canvas((MASK,) * 2000, True), settled.table, settled.reach, placement.sentence, (Ways.CALM,))
    assert whole is not None


def test_an_end_behind_the_text_of_the_witness_can_be_committed(compiled):
    """However little time there is: the witness, cut there, is a text of the shorter canvas."""
    held = GrammarConstraint.start(compiled, Canvas((MASK,) * 400, True), 0, [EOS])
    ended = [at for at in range(400) if held.witness(at) == EOS]
    assert 0 < ended[0] < 300
    for at in (ended[0], ended[1], ended[60], 399):
        after = held.commit({at: EOS}, quick=True)
        assert after is not None and len(after.canvas.ids) == at
        assert [after.witness(one) for one in range(at)] == [held.witness(one) for one in range(at)]


def test_what_would_take_too_much_memory_is_not_found_out(compiled, monkeypatch):
    monkeypatch.setattr(chart_module, "CELLS", 100)
    with pytest.raises(UndecidedError):
        settle(compiled, Canvas((MASK,) * 400, True), HASTY)
    with pytest.raises(GrammarError, match="was not found out"):
        GrammarConstraint.start(compiled, Canvas((MASK,) * 400, True), 0, [EOS])
    masks = Possible(compiled, Canvas((*b"{", *[MASK] * 400), True))
    gap = Canvas((*b"{", *[MASK] * 400), True).gaps[0]
    assert np.flatnonzero(masks(gap).groups(0)).size, "without a chart any lexeme is possible"
