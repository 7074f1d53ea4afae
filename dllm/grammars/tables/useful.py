"""Which symbols of a grammar are of use: those that derive a text, and those that the start leads to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dllm.grammars.rules import Body, Rules

Bodies = dict[str, tuple[Body, ...]]


def with_lists(rules: Rules) -> Bodies:
    """The productions, and for each list of members one of all that it requires: it has a text if that has."""
    lists = {} if rules.members is None else rules.members.lists
    return {**rules.productions, **{name: (own.required,) for name, own in lists.items()}}


def productive(bodies: Mapping[str, tuple[Body, ...]]) -> Bodies:
    """Only symbols that derive a text, and alternatives of such; what is no key is a terminal."""
    terminals = {symbol for found in bodies.values() for body in found for symbol in body if symbol not in bodies}
    good = derived(((name, body) for name, found in bodies.items() for body in found), terminals)
    return {
        name: tuple(body for body in found if good.issuperset(body)) for name, found in bodies.items() if name in good
    }


def derived(productions: Iterable[tuple[str, Body]], given: Iterable[str]) -> set[str]:
    """The symbols `given`, and heads of productions of which every part is one of them, or such a head.

    Linear in the grammar, by counting the parts that are left of each production (Dowling and Gallier 1984).
    """
    heads, left, above = list[str](), list[int](), dict[str, list[int]]()
    for head, body in productions:
        parts = set(body)
        for symbol in parts:
            above.setdefault(symbol, []).append(len(heads))
        heads.append(head)
        left.append(len(parts))
    found = {*given, *(head for head, count in zip(heads, left, strict=True) if not count)}
    queue = list(found)
    for symbol in queue:  # grows
        for at in above.get(symbol, ()):
            left[at] -= 1
            if not left[at] and heads[at] not in found:
                found.add(heads[at])
                queue.append(heads[at])
    return found


def reached(start: str, bodies: Bodies) -> Bodies:
    """Only symbols that stand in what `start` derives."""
    order = {start: None}
    queue = [start]
    for name in queue:  # grows
        for body in bodies[name]:
            for symbol in body:
                if symbol in bodies and symbol not in order:
                    order[symbol] = None
                    queue.append(symbol)
    return {name: bodies[name] for name in order}
