"""Rules over characters: of a pattern whose counts would take many states of a scanner, of grammars without lexemes.

Each lexeme is one character; so a text has one split into lexemes, and rules may say of it whatever a pattern does. A
repetition takes rules logarithmic in its counts, where a scanner takes a state for each count, each inner one and each
byte of a character: `(\\w{1,20} ?){1,30}` is 30 rules, or 186,000 states.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from dllm.errors import GrammarError
from dllm.grammars.regex import Alt, Chars, Ranges, Regex, Repeat, Seq, flattened
from dllm.grammars.rules import Body, Rules, Terminal
from dllm.grammars.tables.automata import deterministic
from dllm.grammars.tables.limits import limited

MOST = 200
"""Kinds of characters, beyond which a scanner is better."""
OUTLINE = 600
"""States of the outline, at most."""
KEPT = (8, 4, 2, 1, 0)
"""Counts up to which an outline keeps a repetition as it is: the first that makes it small enough."""
_START = "start"


def rules_by_character(tree: Regex) -> Rules | None:
    """The rules of a tree without intersection and difference, as patterns give them.

    None if it tells more than MOST kinds of characters apart.
    """
    made = CharacterRules({one.ranges for one in _sets(tree)})
    if len(made.terminals) > MOST:
        return None
    bodies = {_START: ((made.symbol(tree),),), **made.bodies}
    return Rules(_START, bodies, tuple(made.terminals), counted=made.numbered(tree), outline=outline(tree))


def _sets(tree: Regex) -> Iterator[Chars]:
    """All sets of characters in a tree."""
    if isinstance(tree, Chars):
        yield tree
    elif isinstance(tree, Repeat):
        yield from _sets(tree.body)
    elif isinstance(tree, Seq | Alt):
        for part in tree.parts if isinstance(tree, Seq) else tree.options:
            yield from _sets(part)


def _kinds(sets: Iterable[Ranges]) -> list[tuple[Ranges, frozenset[Ranges]]]:
    """The characters that are in the same of the sets, and which those are; by their first."""
    edges = sorted({edge for ranges in sets for low, high in ranges for edge in (low, high + 1)})
    inside: list[list[Ranges]] = [[] for _ in edges]
    for ranges in sets:
        for low, high in ranges:
            for at in range(bisect_right(edges, low) - 1, bisect_right(edges, high)):
                inside[at].append(ranges)
    found: dict[frozenset[Ranges], list[tuple[int, int]]] = {}
    for at, own in enumerate(inside):
        if own:
            spans = found.setdefault(frozenset(own), [])
            if spans and spans[-1][1] == edges[at] - 1:
                spans[-1] = (spans[-1][0], edges[at + 1] - 1)
            else:
                spans.append((edges[at], edges[at + 1] - 1))
    return [(tuple(spans), own) for own, spans in found.items()]


class CharacterRules:
    """Collects them. Equal trees have one nonterminal.

    Args:
        sets: all that the rules will tell apart.

    Attributes:
        terminals: one for each kind of characters that the sets tell apart.
        bodies: nonterminal -> its productions, of all that was asked for so far.
    """

    def __init__(self, sets: Iterable[Ranges]) -> None:
        self.terminals: list[Terminal] = []
        self.bodies: dict[str, tuple[Body, ...]] = {}
        self._members: dict[Ranges, list[int]] = {}  # set of characters -> the terminals that it is made of
        self._known: dict[object, str] = {}
        for number, (ranges, own) in enumerate(_kinds(sets)):
            name = _named(ranges)
            while any(name == terminal.name for terminal in self.terminals):
                name += "'"
            self.terminals.append(Terminal(name, Chars(ranges)))
            for one in own:
                self._members.setdefault(one, []).append(number)

    def numbered(self, tree: Regex) -> Regex:
        """The tree with the numbers of terminals for their characters."""
        match tree:
            case Chars(ranges):
                return Chars(tuple((number, number) for number in self._members.get(ranges, [])))
            case Seq(parts):
                return Seq(tuple(map(self.numbered, parts)))
            case Alt(options):
                return Alt(tuple(map(self.numbered, options)))
            case Repeat(body, low, high):
                return Repeat(self.numbered(body), low, high)
        raise AssertionError("a pattern gives no intersection")

    def rule(self, key: object, bodies: Callable[[], Iterable[Body]]) -> str:
        """The nonterminal of `key`, with these bodies if it is new."""
        if key not in self._known:
            self._known[key] = name = f"rule {len(self._known)}"
            self.bodies[name] = ()
            self.bodies[name] = tuple(bodies())
        return self._known[key]

    def symbol(self, tree: Regex) -> str:
        """What stands for the texts of a tree."""
        match tree:
            case Chars(ranges):
                members = [self.terminals[number].name for number in self._members.get(ranges, [])]
                return members[0] if len(members) == 1 else self.rule(tree, lambda: ((name,) for name in members))
            case Seq(parts):
                return self.rule(tree, lambda: [tuple(map(self.symbol, parts))])
            case Alt(options):
                return self.rule(tree, lambda: [(self.symbol(option),) for option in options])
            case Repeat():
                once = flattened(tree)
                return self.repeated(self.symbol(once.body), once.low, once.high)
        raise AssertionError("a pattern gives no intersection")

    def repeated(self, symbol: str, low: int, high: int | None) -> str:
        """What stands for `low` to `high` of what a symbol stands for."""
        least = self._exactly(symbol, low)
        more = self._any(symbol) if high is None else self._up_to(symbol, high - low)
        return self.rule((symbol, low, high), lambda: [(least, more)])

    def _any(self, symbol: str) -> str:
        def bodies() -> Iterator[Body]:
            yield ()
            yield self._any(symbol), symbol

        return self.rule(("any", symbol), bodies)

    def _exactly(self, symbol: str, count: int) -> str:
        def bodies() -> Iterator[Body]:
            yield (self._exactly(symbol, half), self._exactly(symbol, count - half)) if count else ()

        half = count // 2
        return symbol if count == 1 else self.rule(("exactly", symbol, count), bodies)

    def _up_to(self, symbol: str, count: int) -> str:
        """0 to `count` of them; each number is derived in one way."""

        def bodies() -> Iterator[Body]:
            if count < 2:
                yield from [(), (symbol,)][: count + 1]
                return
            yield (self._up_to(symbol, half - 1),)
            yield self._exactly(symbol, half), self._up_to(symbol, count - half)

        half = (count + 1) // 2
        return self.rule(("up to", symbol, count), bodies)


def outline(tree: Regex) -> Regex | None:
    """A simpler pattern with more texts, so that a scanner can tell at once what the rules would find out late."""
    for most in KEPT:
        found = _without_counts(tree, most)
        with suppress(GrammarError), limited(OUTLINE):
            deterministic([found])
            return found
    return None


def _without_counts(tree: Regex, most: int) -> Regex:
    """The tree with repetitions of more than `most` without end."""
    match tree:
        case Seq(parts):
            return Seq(tuple(_without_counts(part, most) for part in parts))
        case Alt(options):
            return Alt(tuple(_without_counts(option, most) for option in options))
        case Repeat(body, low, high):
            if high is not None and high <= most:
                return Repeat(_without_counts(body, most), low, high)
            return Repeat(_without_counts(body, most), min(low, most), None)
    return tree


def _named(ranges: Ranges) -> str:
    """A class of characters for messages; of many ranges, the first ones."""
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return repr(chr(ranges[0][0]))
    shown = [_shown(low) if low == high else f"{_shown(low)}-{_shown(high)}" for low, high in ranges[:8]]
    return f"[{''.join(shown)}{'...' if len(ranges) > 8 else ''}]"


def _shown(code: int) -> str:
    return repr(chr(code))[1:-1]
