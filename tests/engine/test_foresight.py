"""Proposals that do not go together, and which of them is doubted."""

from __future__ import annotations

import random

import pytest

from dllm import Grammar
from dllm.engine.admission import admitted
from dllm.engine.foresight import BLIND, DOUBTS, TIRED, foreseen, look_ahead
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.tables.vocabulary import vocabulary

TOKENS = [b"(", b")", b"a", b"+", None]
OPEN, CLOSE, A, PLUS = range(4)


def constraint(ids):
    compiled = Grammar.from_lark('start: term ("+" term)*\nterm: "a" | "(" start ")"').compile(vocabulary(TOKENS))
    return GrammarConstraint.start(compiled, Canvas(tuple(ids)), 0, ())


def test_proposals_that_go_together_become_the_witness():
    before = constraint([MASK] * 5)
    proposals = list(enumerate([OPEN, A, PLUS, A, CLOSE]))
    after, doubtful = foreseen(before, proposals)
    assert doubtful == set()
    assert [after.witness(at) for at in range(5)] == [token for _, token in proposals]
    assert after.canvas == before.canvas


def test_the_one_that_does_not_go_with_the_others_is_doubted():
    """`a + a + + + a + a`: no term is left out."""
    right = [A, PLUS, A, PLUS, A, PLUS, A, PLUS, A]
    wrong = [*right[:4], PLUS, *right[5:]]
    before = constraint([MASK] * 9)
    after, doubtful = foreseen(before, list(enumerate(wrong)))
    assert doubtful == {4}
    assert [after.witness(at) for at in range(9)] == right


def test_a_wrong_token_that_may_stand_alone_is_found_by_those_behind_it():
    """An opened parenthesis in place of `a` could be closed, but for what follows."""
    right = [A, PLUS, A, PLUS, A, PLUS, A, PLUS, A]
    wrong = [*right[:4], OPEN, *right[5:]]
    before = constraint([MASK] * 9)
    assert before.commit({4: OPEN}) is not None
    _, doubtful = foreseen(before, list(enumerate(wrong)))
    assert doubtful == {4}


def test_where_hardly_any_go_together_nothing_is_said():
    before = constraint([MASK] * 9)
    after, doubtful = foreseen(before, [(at, PLUS) for at in range(9)])
    assert doubtful is None
    assert after.canvas == before.canvas


def test_foresight_rests_where_it_is_of_little_use():
    """For long where proposals hardly go together, for a while after many doubts, not at all otherwise."""
    hopeless = [(at, PLUS) for at in range(9)]
    assert look_ahead(constraint([MASK] * 9), hopeless, 0)[1:] == (set(), BLIND)
    assert look_ahead(constraint([MASK] * 9), hopeless, BLIND)[1:] == (set(), BLIND - 1)

    right = [A, PLUS] * 14 + [A]
    doubted = list(range(4, 4 + 8 * DOUBTS, 8))
    wrong = [PLUS if at in doubted else token for at, token in enumerate(right)]
    assert look_ahead(constraint([MASK] * 29), list(enumerate(wrong)), 0)[1:] == (set(doubted), TIRED)
    wrong[doubted[0]] = A
    assert look_ahead(constraint([MASK] * 29), list(enumerate(wrong)), 0)[1:] == (set(doubted[1:]), 0)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_held_can_be_committed(seed):
    """Whatever is proposed: what is not doubted stands, and a witness completes the canvas."""
    rng = random.Random(seed)
    before = constraint([rng.choice([MASK, MASK, A]) if at % 2 == 0 else MASK for at in range(9)])
    proposals = [(at, rng.randrange(4)) for at, token in enumerate(before.canvas.ids) if token == MASK]
    after, doubtful = foreseen(before, proposals)
    for at, token in enumerate(before.canvas.ids):
        if token == MASK:
            assert after.commit({at: after.witness(at)}) is not None
    done, taken = admitted(after, [pair for pair in proposals if pair[0] not in (doubtful or ())])
    ids = list(before.canvas.ids)
    for index in taken:
        at, token = [pair for pair in proposals if pair[0] not in (doubtful or ())][index]
        ids[at] = token
    assert done.canvas.ids == tuple(ids)


def test_what_was_refused_is_not_tried_again_behind_a_part_of_it():
    """Of four of which the last is wrong: all, the first two, and the third; the others follow from those."""
    asked = []

    class Counted:
        def __init__(self, done=()):
            self.done = done

        def commit(self, tokens, *, quick=False):
            asked.append(tuple(tokens))
            return None if 3 in tokens else Counted((*self.done, *tokens))

    after, taken = admitted(Counted(), [(at, 0) for at in range(4)])
    assert (after.done, taken) == ((0, 1, 2), [0, 1, 2])
    assert asked == [(0, 1, 2, 3), (0, 1), (2,)]
