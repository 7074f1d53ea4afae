"""Patterns as rules over characters: the same texts, and the same commits, as with one lexeme for the whole."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from dllm import Grammar, GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.frontends.by_character import MOST, rules_by_character
from dllm.grammars.frontends.choices import LARGE, one_lexeme, rules_from_regex
from dllm.grammars.frontends.pattern import parse_pattern
from dllm.grammars.regex import Chars, seq
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.tables.automata import size
from dllm.grammars.tables.vocabulary import vocabulary

ATOMS = ("a", "b", "[ab]", "[^a]", ".", r"\w", "é", "[a-cé]", " ", "-")
COUNTS = ("?", "*", "+", "{3}", "{2,}", "{0,2}", "{1,4}", "{2,5}", "{3,4}")


def pattern(rng, depth=3):
    """A random one, of counts inside counts."""
    kind = rng.randrange(10)
    if depth == 0 or kind < 3:
        return rng.choice(ATOMS)
    if kind < 5:
        return "".join(pattern(rng, depth - 1) for _ in range(rng.randint(1, 3)))
    if kind < 6:
        return "(" + "|".join(pattern(rng, depth - 1) for _ in range(rng.randint(1, 3))) + ")"
    return f"({pattern(rng, depth - 1)}){rng.choice(COUNTS)}"


def both_readings(tree):
    """The grammar as it is read, by counting, and by its productions."""
    rules = rules_by_character(tree)
    return Grammar(rules), Grammar(replace(rules, counted=None))


@pytest.mark.parametrize("seed", range(8))
def test_random_patterns_agree_with_fullmatch(seed):
    rng = random.Random(seed)
    for _ in range(25):
        given = pattern(rng)
        wanted, grammars = re.compile(given), both_readings(parse_pattern(given))
        for _ in range(12):
            text = "".join(rng.choices("aabbcé -\n", k=rng.randrange(10)))
            for grammar in grammars:
                assert grammar.accepts(text) == bool(wanted.fullmatch(text)), (given, text)


PATTERNS = (r"(\w{1,3} ?){1,4}", r"(\w{2,3}-){2,4}", r"(.{1,4}\n){0,3}", r"(a{2,3}b){2}é*", r"[^a]{3,5}a(b|é)+")
WORDS = vocabulary(
    [bytes([byte]) for byte in b"abc -\n"]
    + [text.encode() for text in ("é", "ab", "aa", "a b", " ab", "abcabc", "--", "aéb")]
    + ["é".encode()[:1], "é".encode()[1:], None]
)
EOS = len(WORDS) - 1


def started(compiled, canvas):
    try:
        return GrammarConstraint.start(compiled, canvas, 0, (EOS,) if canvas.ends else ())
    except GrammarError:
        return None


@pytest.mark.parametrize("given", PATTERNS)
def test_the_same_can_be_committed(given):
    rng, tree = random.Random(0), parse_pattern(given)
    ways = [Grammar(rules).compile(WORDS) for rules in (one_lexeme(tree), rules_by_character(tree))]
    for _ in range(60):
        ids = tuple(MASK if rng.random() < 0.8 else rng.randrange(EOS) for _ in range(rng.randint(1, 7)))
        canvas = Canvas(ids, rng.random() < 0.5)
        one, other = (started(compiled, canvas) for compiled in ways)
        while one is not None and other is not None and MASK in one.canvas.ids:
            assert one.canvas == other.canvas
            at = rng.choice([at for at, token in enumerate(one.canvas.ids) if token == MASK])
            commit = {at: rng.randrange(EOS + canvas.ends)}
            one, other = one.commit(commit), other.commit(commit)
        assert (one is None) == (other is None), (ids, canvas.ends)


def test_small_patterns_are_one_lexeme_and_large_ones_are_not():
    for given in (r"[a-z]{1,900}", r"\w{5}", r"(a|b)*a(a|b){9}", r"(a|b)*a(a|b){400}"):
        assert size(parse_pattern(given)) <= LARGE and len(rules_from_regex(given).terminals) == 1
    rules = rules_from_regex(r"(\w{1,20} ?){1,30}")
    assert len(rules.terminals) == 2 and rules.terminals[0].name == "' '"
    assert sum(map(len, rules.productions.values())) < 60


def test_too_many_kinds_of_characters_are_left_to_the_scanner():
    tree = seq(*(Chars(((code, code),)) for code in range(0x4E00, 0x4E00 + MOST + 1)))
    assert rules_by_character(tree) is None


def test_what_does_not_fit_is_pointed_at():
    grammar = Grammar.from_regex(r"(\w{1,20} ?){1,30}")
    told = grammar.explain("some words and-more")
    assert "line 1, column 15" in told and "'-'" in told and "the end of the text" in told
    assert "column 21" in Grammar.from_regex(r"(\d{20}-){900}").explain("1" * 21)


def test_deep_groups_are_refused():
    with pytest.raises(GrammarError, match="nested too deeply"):
        Grammar.from_regex("(" * 400 + r"\w{20}" + "){1,2}" * 400)


def test_the_outline_keeps_out_what_the_next_character_tells():
    grammar = Grammar.from_regex(r"([A-Z]{2}\d{1,8},? ?){1,50}")
    words = vocabulary([bytes([byte]) for byte in b"AZ09, "] + [b"AB", b"A1", b"1,", b"12", b"B1", b", A", None])
    held = GrammarConstraint.start(grammar.compile(words), Canvas((MASK,) * 9, True), 0, (len(words) - 1,))
    found = {words.tokens[token] for token in np.flatnonzero(held.allowed(torch.tensor([0]))[0]).tolist()}
    assert found == {b"A", b"Z", b"AB"}
