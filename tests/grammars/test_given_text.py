"""Given text keeps its meaning: no string or comment that a hole begins goes on over it. Against enumeration."""

import itertools
import random
from collections.abc import Iterator

import pytest

from dllm import LLM, Grammar, GrammarError, Hole, SamplingParams
from dllm.grammars.attach import attach
from dllm.grammars.canvas import MASK
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.vocabulary import vocabulary
from tests.grammars.test_engine import (
    check_commits,
    check_completability,
    check_joint_commits,
    check_masks,
    check_witness,
    random_canvas,
    random_step,
    started,
    worlds,
)
from tests.references.grammar_brute import World

MOST = 800
"""Sentences of a world, which are all looked at for each canvas."""


def guarded_worlds(first: int, count: int, **sizes: int) -> Iterator[tuple[int, World, CompiledGrammar]]:
    """Those of few sentences of which some is none if all but its first token is given."""
    found = (
        one
        for one in worlds(first, 1 << 30, **sizes, guarded=True)
        if len(one[1].sentences) < MOST
        and not all(one[1].keeps(ids, frozenset({0})) for ids in one[1].sentences if ids)
    )
    return itertools.islice(found, count)


@pytest.mark.parametrize("first", [0, 200, 300])
def test_on_every_canvas_completability_is_that_of_enumeration(first):
    """Random grammars, some of whose terminals are text, up to three tokens; all canvases of up to five places."""
    answers, swallowed = [], 0
    for seed, world, compiled in guarded_worlds(first, 2, most=3, least=4):
        for length, ends in itertools.product(range(6), (False, True)):
            for ids in itertools.product([MASK, *world.usable], repeat=length):
                answers.append(check_completability(world, compiled, ids, ends, seed))
                swallowed += ids in world.full and not answers[-1]
    assert answers.count(True) > 100 and answers.count(False) > 100
    assert swallowed > 10, "some canvases can only be completed by what goes on over given text"


@pytest.mark.parametrize("first", range(1000, 1300, 100))
def test_masks_hold_all_that_may_stand_and_commits_accept_exactly_that(first):
    for seed, world, compiled in guarded_worlds(first, 8):
        rng = random.Random(seed)
        for _ in range(6):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            note = (seed, ids, ends)
            held = started(world, compiled, ids, ends)
            assert (held is not None) == world.completable(ids, ends), note
            if held is not None:
                check_witness(world, held, note)
                check_masks(world, held, note)
                check_commits(world, held, note)
                check_joint_commits(rng, world, held, note)


@pytest.mark.parametrize("first", [3000, 3100])
def test_after_any_steps_what_was_given_is_still_told_from_what_was_chosen(first):
    for seed, world, compiled in guarded_worlds(first, 6):
        rng = random.Random(seed)
        for _ in range(3):
            held = started(world, compiled, random_canvas(rng, world), rng.random() < 0.6)
            for _ in range(10 if held else 0):
                note = (seed, held.canvas)
                held = random_step(rng, world, held, note)
                check_witness(world, held, note)
                check_masks(world, held, note)


# --- by hand ----------------------------------------------------------------------------------------------------------

WORDS = r"""
start: (WORD | STRING | "/" | ";")+
WORD: /[a-z]+/
STRING: /"[^"]*"/
COMMENT: /\/\/[^\n]*/
LINE: /\n*#[^\n]*/
WS: /[ \n]+/
%ignore WS
%ignore COMMENT
%ignore LINE
// %text STRING COMMENT LINE
"""
TOKENS = [b'"', b"a", b"/", b"//", b";", b" ", b"\n", b"#", b'" "', b'"a']


def fits(text: str, fill: str = "", swallow: bool = False) -> bool:
    """Whether a document, `_` for a mask, has a completion with these characters in its holes."""
    words = vocabulary(TOKENS)
    ids = [MASK if one == "_" else TOKENS.index(one.encode()) for one in text]
    chosen = iter(fill)
    try:
        held = attach(Grammar.from_lark(WORDS, swallow=swallow), words, ids, 0, ends=False, eos=(), advise=False)
    except GrammarError:
        return False
    tokens = {at: TOKENS.index(next(chosen).encode()) for at, token in enumerate(ids) if token == MASK and fill}
    return not fill or held.commit(tokens) is not None


@pytest.mark.parametrize(
    ("text", "fill", "kept"),
    [
        ("a_a", "/", True),
        ('a_a"', "", False),  # the string would have to begin in the hole
        ('"_a"', "a", True),
        ('"a__a"', '""', False),
        ('"a__;', '";', True),
        ('"a___a"', '" "', False),
        ("a__a", "//", False),
        ("a__\na", "//", True),
        ("a_/a", "/", False),  # begun by the first of the two
        ("a/_a", "/", True),
        ("a_#a", "\n", True),  # the end of the line before it is no part of it
        ("a_a", "#", False),
        ("a_\na", "#", True),
    ],
)
def test_what_a_hole_may_begin(text, fill, kept):
    assert fits(text, fill) == kept
    assert fits(text, fill, swallow=True)


def test_code_that_a_narrow_hole_would_swallow():
    llm = LLM("tiny")
    document = ["bool f(int a, int b) {\n    return ", Hole(3), " a > 0 1 b; }"]
    swallowed = llm.infill(document, SamplingParams(grammar=Grammar.builtin("cpp", swallow=True))).text
    assert "// a" in swallowed or "#" in swallowed
    with pytest.raises(GrammarError, match="one does with swallow=True"):
        llm.infill(document, SamplingParams(grammar=Grammar.builtin("cpp")))
    document[-1] = " a > 0 && b > 0; }"
    assert "//" not in llm.infill(document, SamplingParams(grammar=Grammar.builtin("cpp"))).text


def test_which_terminals_are_text():
    for name in ("cpp", "cpp_closed", "python_expr", "sql_select"):
        rules = Grammar.builtin(name).rules
        assert rules.text and rules.text <= {terminal.name for terminal in rules.terminals}
        assert not Grammar.builtin(name, swallow=True).rules.text
        assert Grammar.builtin(name) != Grammar.builtin(name, swallow=True)
    assert not Grammar.builtin("json").rules.text
    assert Grammar.from_lark(WORDS).rules.text == {"STRING", "COMMENT", "LINE"}
    with pytest.raises(GrammarError, match=r"%text names STRNG, which is no terminal of the grammar.*STRING"):
        Grammar.from_lark(WORDS.replace("%text STRING", "%text STRNG"))
