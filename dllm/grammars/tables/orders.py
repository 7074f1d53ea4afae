"""Members in any order (`dllm.grammars.rules.Members`) as productions: not one grammar, but one for what is asked.

Exact productions take a nonterminal for each set of members that may be missing. No canvas and no text needs them all:

- `Counted` has more than is meant: as many required members as there must be, but the same may come twice, apart from
  those that are tracked. What it does not have does not exist.
- `Ordered` has less: required members in given orders, and those that an order does not name anywhere between, in the
  order of the schema. What it has is meant.

So a text, or a way to complete a canvas, that `Ordered` has is right, and none is there if `Counted` has none. With all
members tracked `Counted` is exact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from dllm.grammars.tables.cfg import Cfg, MemberList, MemberLists


class Missing(NamedTuple):
    """What required members are still to come; keys are terminals.

    Attributes:
        left: so many, whichever.
        first: those of these keys, in this order.
        others: those of these keys, between them; of `Ordered` in this order.
    """

    left: int
    first: tuple[int, ...]
    others: tuple[int, ...]


Orders = tuple[tuple[int, ...], ...]
"""In each, keys (terminals) in the order in which they come."""


@dataclass(frozen=True)
class Counted:
    """The number of required members is counted, and of those whose keys are tracked none comes twice."""

    tracked: frozenset[int] = frozenset()

    def starts(self, own: MemberList) -> Iterator[Missing]:
        yield Missing(len(own.keys), (), tuple(key for key in own.keys if key in self.tracked))

    def after(self, state: Missing, key: int) -> Missing | None:
        """Behind a required member, or None where it may not come."""
        others = tuple(other for other in state.others if other != key)
        if state.left <= len(others) or (key in self.tracked and key not in state.others):
            return None
        return Missing(state.left - 1, (), others)


@dataclass(frozen=True)
class Ordered:
    """Any of some orders; each says of a list what it says of its keys."""

    orders: Orders = ((),)

    def starts(self, own: MemberList) -> Iterator[Missing]:
        for told in dict.fromkeys(tuple(dict.fromkeys(key for key in one if key in own.keys)) for one in self.orders):
            yield Missing(len(own.keys), told, tuple(key for key in own.keys if key not in told))

    def after(self, state: Missing, key: int) -> Missing | None:
        """As of `Counted`."""
        if state.first[:1] == (key,):
            return state._replace(left=state.left - 1, first=state.first[1:])
        return state._replace(left=state.left - 1, others=state.others[1:]) if state.others[:1] == (key,) else None


Arrangement = Counted | Ordered


def arranged(grammar: Cfg, arrangement: Arrangement) -> Cfg:
    """The grammar with productions for its lists: those of an automaton over their members."""
    if grammar.members is None:
        return grammar
    made = _Arranged(grammar)
    for own in grammar.members.lists:
        made.add(own, arrangement)
    names = (*grammar.names, *(f"<order {index}>" for index in range(made.count - len(grammar.names))))
    unit, binary = (
        tuple(sorted({*old, *new})) for old, new in ((grammar.unit, made.unit), (grammar.binary, made.binary))
    )
    return replace(grammar, names=names, unit=unit, binary=binary, members=None)


class _Arranged:
    """Productions of lists, as they are added to a grammar."""

    def __init__(self, grammar: Cfg) -> None:
        assert grammar.members is not None
        self.count = len(grammar.names)
        self.unit: list[tuple[int, int]] = []
        self.binary: list[tuple[int, int, int]] = []

    def _symbol(self) -> int:
        self.count += 1
        return self.count - 1

    def add(self, own: MemberList, arrangement: Arrangement) -> None:
        """The productions of a list: a symbol a state, of all that may come from there, and one with a comma before."""

        @cache
        def named(state: Missing) -> int:
            queue.append(state)
            return self._symbol()

        @cache
        def behind_comma(state: Missing) -> int:
            found = self._symbol()
            self.binary.append((found, own.comma, named(state)))
            return found

        @cache
        def any_of(members: tuple[int, ...]) -> int:
            if len(members) == 1:
                return members[0]
            found = self._symbol()
            self.unit += [(found, one) for one in members]
            return found

        @cache
        def onward(state: Missing) -> dict[Missing, tuple[int, ...]]:
            found: dict[Missing, tuple[int, ...]] = {}
            for member, key in zip(own.required, own.keys, strict=True):
                after = arrangement.after(state, key)
                if after is not None:
                    found[after] = (*found.get(after, ()), member)
            if own.others:
                found[state] = own.others
            return found

        queue: list[Missing] = []
        self.unit += [(own.head, named(state)) for state in arrangement.starts(own)]
        for state in queue:  # grows
            for after, members in onward(state).items():
                member = any_of(members)
                if not after.left:
                    self.unit.append((named(state), member))
                if onward(after):
                    self.binary.append((named(state), member, behind_comma(after)))


def keys_in(members: MemberLists, sentence: Sequence[Collection[int]]) -> list[list[tuple[int, int]]]:
    """Of each pair of braces in a sentence, the keys of required members of any list, and where in it they stand.

    Args:
        sentence: the terminals that each lexeme may be.
    """
    known = frozenset(key for own in members.lists for key in own.keys)
    found: list[list[tuple[int, int]]] = []
    inside: list[list[tuple[int, int]]] = []
    for at, (terminals, after) in enumerate(zip(sentence, [*sentence, ()][1:], strict=True)):
        if not members.opening.isdisjoint(terminals):
            inside.append([])
            found.append(inside[-1])
        elif not inside:  # a mark outside of all braces, which is no mark of a list
            continue
        elif not members.closing.isdisjoint(terminals):
            inside.pop()
        elif not members.colons.isdisjoint(after):
            inside[-1] += [(key, at) for key in terminals if key in known]
    return found


def orders_in(members: MemberLists, sentence: Sequence[Collection[int]]) -> Orders:
    """The orders in which required members come in a sentence."""
    return tuple(dict.fromkeys(tuple(dict.fromkeys(key for key, _ in own)) for own in keys_in(members, sentence)))
