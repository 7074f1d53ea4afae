"""The keys of an object that no keyword names: which classes of them there are, by patterns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.forms import NEVER, Demand, all_of
from dllm.grammars.frontends.json_schema.spelling import any_but, quoted
from dllm.grammars.frontends.json_schema.strings import SMALL, in_both, in_either, machine_of, matches, readings
from dllm.grammars.regex import ANY, NOTHING, And, Minus, Regex, alt, literal, repeat
from dllm.grammars.tables.automata import dfa, size

ANY_KEY = repeat(ANY)
MAX_CLASSES = 64
"""Each is a terminal; n patterns that overlap in all ways make 2^n."""

Classes = tuple[tuple[Regex, Demand], ...]
"""Disjoint sets of keys, and what the values of each are; a key of none of them may not be there."""


def demand_of(key: str, classes: Classes) -> Demand:
    """What the value of `key` is."""
    if classes and classes[0][0] is ANY_KEY:
        return classes[0][1]
    return next((demand for tree, demand in classes if tree == ANY_KEY or matches(tree, key)), NEVER)


def common_classes(left: Classes, right: Classes) -> Classes:
    """What both say."""
    if left == ((ANY_KEY, ()),):
        return right
    if [tree for tree, _ in left] == [tree for tree, _ in right]:
        return tuple((tree, all_of(one, other)) for (tree, one), (_, other) in zip(left, right, strict=True))
    found = []
    for tree, demand in left:
        for other, asked in right:
            both = _met(tree, other)
            if ANY_KEY in (tree, other) or tree == other or not empty(both):
                found.append((both, all_of(demand, asked)))
    return tuple(found)


def none_of(classes: Classes) -> Regex:
    """The keys of no class."""
    trees = [tree for tree, _ in classes]
    return NOTHING if ANY_KEY in trees else Minus(ANY_KEY, alt(*trees))


def _met(left: Regex, right: Regex) -> Regex:
    return right if left in (ANY_KEY, right) else left if right == ANY_KEY else And(left, right)


def empty(tree: Regex) -> bool:
    """Whether there is no such key."""
    return not any(machine_of(tree, "names of properties").accepts)


def spellings(tree: Regex, named: Sequence[str]) -> Regex | None:
    """The JSON strings of the keys of `tree` that are not `named`; None if there are none."""
    if tree == ANY_KEY:
        return any_but(named)
    held = [key for key in named if matches(tree, key)]
    rest = Minus(tree, alt(*map(literal, held))) if held else tree
    return None if empty(rest) else quoted(rest, escapes=size(rest) <= SMALL)


@lru_cache(maxsize=256)
def partition(patterns: tuple[str, ...], place: str) -> tuple[tuple[Regex, frozenset[str] | None], ...]:
    """All keys, by which of the patterns match them; None for those about which ECMA-262 and Python disagree.

    Raises:
        GrammarError: a pattern at `place` is not supported, or there are too many classes.
    """
    if not patterns:
        return ((ANY_KEY, frozenset()),)
    read = {}
    for pattern in patterns:
        both = readings(pattern, f"{place}: pattern")
        read[pattern] = in_both(*both), in_either(*both)
    # one automaton tells which patterns match a key together
    names = [f"{place}: pattern {pattern!r:.60}" for pattern in patterns for _ in "ep"]
    accepts = dfa([ANY_KEY, *(tree for both in read.values() for tree in both)], ["any key", *names]).accepts
    together = {
        (
            frozenset(pattern for at, pattern in enumerate(patterns) if {2 * at + 1, 2 * at + 2} <= labels),
            frozenset(pattern for at, pattern in enumerate(patterns) if {2 * at + 1, 2 * at + 2} & labels),
        )
        for labels in accepts
        if labels
    }
    certain = sorted((inside for inside, some in together if inside == some), key=sorted)
    if len(certain) > MAX_CLASSES:
        raise GrammarError(
            f"{place}: the patterns of patternProperties overlap in over {MAX_CLASSES} ways, which is not supported; "
            "use fewer, or such as exclude each other"
        )
    found: list[tuple[Regex, frozenset[str] | None]] = []
    for matched in certain:
        tree: Regex = ANY_KEY
        for pattern in sorted(matched):
            tree = _met(tree, read[pattern][0])
        others = {pattern for _, some in together if matched <= some for pattern in some - matched}
        if others:
            tree = Minus(tree, alt(*(read[pattern][1] for pattern in sorted(others))))
        found.append((tree, matched))
    if any(inside != some for inside, some in read.values()):
        found.append((Minus(ANY_KEY, alt(*(tree for tree, _ in found))), None))
    return tuple(found)
