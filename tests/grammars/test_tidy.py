"""Rules made small, against the plain way to do it; and trees as keys."""

import random

from dllm.grammars.frontends.json_schema import tidy
from dllm.grammars.regex import Alt, Chars, Repeat, Seq, literal, seq


def merged(start, bodies):
    """`tidy._merged` by rounds over all names, until none tells more of them apart."""
    group = dict.fromkeys(bodies, 0)
    while True:
        signs = {
            name: (group[name], frozenset(tuple(group.get(one, one) for one in body) for body in found))
            for name, found in bodies.items()
        }
        numbers = {sign: number for number, sign in enumerate(dict.fromkeys(signs.values()))}
        if len(numbers) == len(set(group.values())):
            break
        group = {name: numbers[sign] for name, sign in signs.items()}
    first = {group[start]: start}
    for name in bodies:
        first.setdefault(group[name], name)
    names = {name: first[group[name]] for name in bodies}
    return {
        name: tuple(dict.fromkeys(tuple(names.get(one, one) for one in body) for body in found))
        for name, found in bodies.items()
        if names[name] == name
    }


def test_names_with_the_same_bodies_become_one():
    rng, smaller = random.Random(0), 0
    for _ in range(3000):
        names = [f"n{index}" for index in range(rng.randint(1, 12))]
        symbols = [*names, "a", "b", "c"]
        bodies = {
            name: tuple(tuple(rng.choice(symbols) for _ in range(rng.randint(0, 3))) for _ in range(rng.randint(1, 2)))
            for name in names
        }
        found = tidy._merged(names[0], bodies)
        assert list(found.items()) == list(merged(names[0], bodies).items()), bodies
        smaller += len(found) < len(bodies)
    assert smaller > 500


def test_trees_that_are_alike_are_one_key():
    kept = {literal("abc"): 1, Repeat(literal("ab"), 0, None): 2, Alt((literal("a"), Seq(()))): 3}
    assert kept[seq(literal("a"), literal("bc"))] == 1
    assert kept[Repeat(seq(*map(literal, "ab")), 0, None)] == 2
    assert kept[Alt((Chars(((97, 97),)), Seq(())))] == 3
    assert literal("abd") not in kept and Repeat(literal("ab"), 1, None) not in kept
    assert hash(Seq(())) != hash(Alt(()))
