"""A grammar's productions as the chart wants them: terminals merged, one or two symbols on the right, never none.

Terminals that stand in the same places of the same productions are one symbol: to the grammar, `+` and `%` are alike.
This makes everything behind it smaller, and changes no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from dllm.errors import GrammarError
from dllm.grammars.regex import least_bytes
from dllm.grammars.rules import Body, Rules
from dllm.grammars.tables.useful import derived, productive, reached, with_lists


@dataclass(frozen=True)
class MemberList:
    """A nonterminal of `Members.lists` in numbers.

    Attributes:
        head: it.
        required, others: its members.
        keys: the terminals that those of `required` begin with.
        comma: the terminal between two members.
    """

    head: int
    required: tuple[int, ...]
    others: tuple[int, ...]
    keys: tuple[int, ...]
    comma: int


@dataclass(frozen=True)
class MemberLists:
    """`Members` in numbers."""

    opening: frozenset[int]
    closing: frozenset[int]
    colons: frozenset[int]
    lists: tuple[MemberList, ...]


@dataclass(frozen=True)
class Cfg:
    """Productions over numbered symbols, the terminals first.

    Attributes:
        names: of the symbols, for messages and tests.
        terminals: how many symbols are terminals.
        symbol_of: terminal (index into `Rules.terminals`) -> its symbol, or None where no sentence uses it.
        unit: (head, body) of productions with one symbol on the right.
        binary: (head, left, right) of those with two.
        start: the symbol of a whole text.
        may_be_empty: whether the empty text is one.
        members: lists that have no productions yet: `dllm.grammars.tables.orders` gives them some.
    """

    names: tuple[str, ...]
    terminals: int
    symbol_of: tuple[int | None, ...]
    unit: tuple[tuple[int, int], ...]
    binary: tuple[tuple[int, int, int], ...]
    start: int
    may_be_empty: bool
    members: MemberLists | None = None


def cfg(rules: Rules) -> Cfg:
    """The normal form of a grammar.

    Raises:
        GrammarError: no text at all is a sentence.
    """
    _check_names(rules)
    merged, productions = _merged(_useful(rules), {terminal.name for terminal in rules.terminals}, _marks(rules))
    bodies = _binarised(productions)
    empty = derived(((head, body) for head, own in bodies.items() for body in own), ())
    unit, binary = _without_empty(bodies, empty)
    return _listed(rules, merged, _numbered(rules, merged, unit, binary, rules.start in empty))


def _marks(rules: Rules) -> frozenset[str]:
    """The terminals by which members are told."""
    told = rules.members
    if told is None:
        return frozenset()
    return frozenset({*told.opening, *told.closing, *told.colons, *(own.comma for own in told.lists.values())})


def _check_names(rules: Rules) -> None:
    known = {terminal.name for terminal in rules.terminals}
    lists = {} if rules.members is None else rules.members.lists
    heads = {**rules.productions, **lists}
    if len(known) < len(rules.terminals) or known & heads.keys():
        raise GrammarError("two terminals, or a terminal and a rule, have one name; rename one of them")
    bodied = {**rules.productions, **{name: (own.required, own.others) for name, own in lists.items()}}
    for head, bodies in bodied.items():
        for name in (name for body in bodies for name in body):
            if name not in known and name not in heads:
                raise GrammarError(f"rule {head} uses {name!r}, which is neither a rule nor a terminal; define it")
    if rules.start not in heads:
        raise GrammarError(f"start={rules.start!r} is no rule of the grammar; rules: {', '.join(rules.productions)}")


def _useful(rules: Rules) -> dict[str, set[Body]]:
    """The productions that stand in the derivation of some sentence."""
    told = rules.members
    lists = {} if told is None else told.lists
    bodies = productive(with_lists(rules))
    if rules.start not in bodies:
        raise GrammarError(f"no text is a {rules.start}: every way to build one goes on without end")
    if told is not None:  # for now a list is any of its symbols
        for name in lists.keys() & bodies:
            parts = (*lists[name].required, *(one for one in lists[name].others if one in bodies), lists[name].comma)
            bodies[name] = tuple((one,) for one in parts)
    return {head: set(own) for head, own in reached(rules.start, bodies).items()}


def _merged(
    productions: dict[str, set[Body]], terminals: set[str], apart: Set[str]
) -> tuple[dict[str, str], dict[str, set[Body]]]:
    """Terminal -> the one that stands for it, itself for those that are to stay `apart`; the productions over those."""
    stands = {name: name for bodies in productions.values() for body in bodies for name in body if name in terminals}
    while True:
        places: dict[str, set[tuple[str, Body, Body]]] = {}
        for head, bodies in productions.items():
            for body in bodies:
                for at, name in enumerate(body):
                    if name in terminals:
                        places.setdefault(name, set()).add((head, body[:at], body[at + 1 :]))
        same: dict[frozenset[tuple[str, Body, Body]], str] = {}
        renamed = {
            name: name if name in apart else same.setdefault(frozenset(places[name]), name) for name in sorted(places)
        }
        if all(name == other for name, other in renamed.items()):
            return stands, productions
        stands = {name: renamed[other] for name, other in stands.items()}
        productions = {
            head: {tuple(renamed.get(name, name) for name in body) for body in bodies}
            for head, bodies in productions.items()
        }


LONG = 500
"""Symbols from which on a right-hand side is halved first: the names of all its tails grow with its square."""


def _binarised(productions: Mapping[str, set[Body]]) -> dict[str, set[Body]]:
    """Right-hand sides of at most two symbols; what follows the first has a name that all such tails share."""
    found: dict[str, set[Body]] = {}
    queue = [(head, body) for head, bodies in productions.items() for body in sorted(bodies)]
    halves = 0
    while queue:
        head, body = queue.pop()
        if len(body) > LONG:
            pair, middle = (f"<#{halves}>", f"<#{halves + 1}>"), len(body) // 2  # tails have a "|" in their names
            queue += [(pair[0], body[:middle]), (pair[1], body[middle:])]
            halves, body = halves + 2, pair
        elif len(body) > 2:
            tail = f"<{'|'.join(name.replace('|', '||') for name in body[1:])}>"  # no two tails have one name
            if tail not in found:
                queue.append((tail, body[1:]))
            body = (body[0], tail)
        found.setdefault(head, set()).add(body)
    return found


def _without_empty(
    bodies: Mapping[str, set[Body]], empty: set[str]
) -> tuple[set[tuple[str, str]], set[tuple[str, str, str]]]:
    """Every production with each nullable symbol also left out."""
    unit: set[tuple[str, str]] = set()
    binary: set[tuple[str, str, str]] = set()
    for head, own in bodies.items():
        for body in own:
            if len(body) == 2:
                binary.add((head, *body))
                unit |= {(head, body[1 - at]) for at in (0, 1) if body[at] in empty}
            elif len(body) == 1:
                unit.add((head, body[0]))
    return {pair for pair in unit if pair[0] != pair[1]}, binary


def _numbered(
    rules: Rules,
    merged: Mapping[str, str],
    unit: Iterable[tuple[str, str]],
    binary: Iterable[tuple[str, str, str]],
    may_be_empty: bool,
) -> Cfg:
    names = sorted(set(merged.values()))
    terminals = len(names)
    # a head that only the empty text made has no production left, and what used it can never be
    unit, binary = list(unit), list(binary)
    made = derived(((head, tuple(body)) for head, *body in (*unit, *binary)), names)
    names += sorted((made | {rules.start}) - set(names))
    number = {name: index for index, name in enumerate(names)}
    return Cfg(
        names=tuple(names),
        terminals=terminals,
        symbol_of=tuple(
            number[merged[terminal.name]] if terminal.name in merged else None for terminal in rules.terminals
        ),
        unit=tuple(sorted((number[a], number[b]) for a, b in unit if a in made and b in made)),
        binary=tuple(sorted((number[a], number[b], number[c]) for a, b, c in binary if {a, b, c} <= made)),
        start=number[rules.start],
        may_be_empty=may_be_empty,
    )


def _listed(rules: Rules, merged: Mapping[str, str], grammar: Cfg) -> Cfg:
    """With the lists in numbers, instead of productions that name their symbols."""
    told = rules.members
    if told is None:
        return grammar
    number = {name: index for index, name in enumerate(grammar.names)}
    lists = []
    for name, own in told.lists.items():
        if name in number:
            required = tuple(number[one] for one in own.required)
            others = tuple(number[one] for one in own.others if one in number)
            keys = tuple(number[merged[_key(rules, one)]] for one in own.required)
            lists.append(MemberList(number[name], required, others, keys, number[merged[own.comma]]))
    heads = {own.head for own in lists}
    unit = tuple(pair for pair in grammar.unit if pair[0] not in heads)
    if not lists:
        return replace(grammar, unit=unit)

    def numbers(names: Set[str]) -> frozenset[int]:
        return frozenset(number[merged[name]] for name in names if name in merged)

    marks = MemberLists(numbers(told.opening), numbers(told.closing), numbers(told.colons), tuple(lists))
    return replace(grammar, unit=unit, members=marks)


def _key(rules: Rules, member: str) -> str:
    """The terminal before the colon of a member; what is counted has others before it."""
    found = rules.productions[member][0][0]
    while found in rules.productions:
        found = rules.productions[found][0][-1]
    return found


def shortest(rules: Rules, grammar: Cfg) -> int:
    """Bytes of every text of a grammar, at least (Knuth 1977, a generalization of Dijkstra's algorithm)."""
    if grammar.may_be_empty:
        return 0
    least: dict[int, int] = {}
    above: dict[int, list[tuple[int, int | None]]] = {}  # symbol -> (head, the other part)
    for head, body in grammar.unit:
        above.setdefault(body, []).append((head, None))
    for head, left, right in grammar.binary:
        above.setdefault(left, []).append((head, right))
        above.setdefault(right, []).append((head, left))
    pairs = zip(rules.terminals, grammar.symbol_of, strict=True)
    queue = [(least_bytes(terminal.pattern), symbol) for terminal, symbol in pairs if symbol is not None]
    heapify(queue)
    while queue:
        size, symbol = heappop(queue)
        if symbol in least:
            continue
        least[symbol] = size
        for head, other in above.get(symbol, ()):
            if head not in least and (other is None or other in least):
                heappush(queue, (size + (0 if other is None else least[other]), head))
    return least[grammar.start]
