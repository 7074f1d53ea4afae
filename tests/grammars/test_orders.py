"""Members in any order against enumeration, where every set of missing members is a nonterminal of its own."""

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from dllm.errors import GrammarError
from dllm.grammars.regex import chars
from dllm.grammars.rules import AnyOrder, Members, Rules, Terminal
from dllm.grammars.tables.cfg import cfg
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.vocabulary import vocabulary
from tests.grammars.test_engine import (
    check_commits,
    check_joint_commits,
    check_masks,
    check_witness,
    random_canvas,
    random_step,
    started,
)
from tests.references.grammar_brute import World
from tests.references.grammar_orders import spelled_out

MOST = 6
"""Tokens of a vocabulary."""
KEYS = ("A", "B", "C", "D")
LEXEMES = {"OPEN": "{", "CLOSE": "}", "COMMA": ",", "COLON": ":", "NUMBER": "01", **{key: key.lower() for key in KEYS}}
"""Terminals, each one of these letters: so what is a lexeme is plain."""


class Letters:
    """A lexer for these terminals."""

    def lexemes(self, text: str) -> tuple[frozenset[str], ...] | None:
        if text[:1] != "{" or text.count("{") != text.count("}"):
            return None  # no list, whatever else: most texts are left out so
        found = [frozenset(name for name, letters in LEXEMES.items() if letter in letters) for letter in text]
        return tuple(found) if all(found) else None


def world_of(rules: Rules, tokens: list[bytes], longest: int) -> World:
    world = World(spelled_out(rules), tokens, longest)
    world.grammar.lexer = Letters()
    return world


def random_lists(rng: random.Random) -> Rules:
    """One or two kinds of objects with up to four required members, some inside each other; or alternatives of both."""
    terminals = [Terminal(name, chars(letters)) for name, letters in LEXEMES.items()]
    productions: dict[str, tuple[tuple[str, ...], ...]] = {"S": (("one",), *([("two",)] if rng.random() < 0.5 else []))}
    lists = {}
    for name in ("one", "two"):
        productions[name] = (("OPEN", f"{name}:members", "CLOSE"), *([("OPEN", "CLOSE")] if rng.random() < 0.2 else []))
        members = []
        for key in rng.sample(KEYS, rng.randint(1, 4)):
            value = rng.choice(["NUMBER", "NUMBER", "NUMBER", "A", "one", "two"])
            productions[f"{key}={value}"] = ((key, "COLON", value),)
            members.append(f"{key}={value}")
        count = rng.randint(1, len(members))
        lists[f"{name}:members"] = AnyOrder(tuple(members[:count]), tuple(members[count:]), "COMMA")
    told = Members({"OPEN"}, {"CLOSE"}, {"COLON"}, lists)
    return Rules("S", productions, tuple(terminals), members=told)


def random_text(rng: random.Random, rules: Rules, name: str, depth: int = 0) -> list[str] | None:
    """The lexemes of a text of a nonterminal, members in a random order; None where it would be deep."""
    assert rules.members is not None
    if depth > 6:
        return None
    if name in rules.members.lists:
        own = rules.members.lists[name]
        members = [*own.required, *(one for one in own.others if rng.random() < 0.3)]
        body = [symbol for one in rng.sample(members, len(members)) for symbol in (own.comma, one)][1:]
    elif name in rules.productions:
        body = list(rng.choice(rules.productions[name]))
    else:
        return [rng.choice(LEXEMES[name])]
    parts = [random_text(rng, rules, symbol, depth + 1) for symbol in body]
    return None if None in parts else [lexeme for part in parts for lexeme in part or ()]


def random_tokens(rng: random.Random, rules: Rules, longest: int) -> list[bytes]:
    """Pieces of texts, of which each can be written with `longest` of them; mostly of such as can be put in any order.

    Raises:
        GrammarError: no short text was found.
    """
    found: list[str] = []
    for _ in range(30):
        lexemes = random_text(rng, rules, "S")
        if lexemes and len(lexemes) < 30:
            edges = [at for at in range(1, len(lexemes)) if lexemes[at] in ",}" or lexemes[at - 1] == "{"]
            if len(edges) >= longest or rng.random() < 0.4:
                edges = rng.sample(range(1, len(lexemes)), min(longest - 1, len(lexemes) - 1))
            bounds = [0, *sorted(edges), len(lexemes)]
            found += ["".join(lexemes[low:high]) for low, high in pairwise(bounds)]
    if not found:
        raise GrammarError("no short text was found")
    return [token.encode() for token in [*dict.fromkeys(found)][:MOST]]


def worlds(first: int, count: int, longest: int = 5) -> Iterator[tuple[int, World, CompiledGrammar]]:
    """The first `count` from a seed on that have a text."""
    seed = first
    while count:
        rng = random.Random(seed)
        rules = random_lists(rng)
        try:
            cfg(rules)  # raises where there is no text
            world = world_of(rules, random_tokens(rng, rules, longest), longest)
            yield seed, world, CompiledGrammar.make(rules, vocabulary([*world.tokens, None, None]))
            count -= 1
        except GrammarError:
            pass
        seed += 1


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_commits_and_masks_are_those_of_enumeration(first):
    answers = []
    for seed, world, compiled in worlds(first, 12):
        rng = random.Random(seed)
        for _ in range(6):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            note = (seed, ids, ends)
            held = started(world, compiled, ids, ends)
            answers.append(held is not None)
            assert (held is not None) == world.completable(ids, ends), note
            if held is not None:
                check_witness(world, held, note)
                check_masks(world, held, note)
                check_commits(world, held, note)
                check_joint_commits(rng, world, held, note)
                for _ in range(6):
                    held = random_step(rng, world, held, note)
    assert answers.count(True) > 25 and answers.count(False) > 1
