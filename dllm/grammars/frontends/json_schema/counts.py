"""Lengths of strings beyond what a scanner counts by states: by marks, and productions about how many there are.

The scanner puts a mark behind each EVERY characters (`dllm.grammars.rules.Tally`), so a string of n characters is n //
EVERY marks and a lexeme of n % EVERY characters more. Of the latter there are up to three kinds for each pair of
bounds: with each, a range of marks is allowed, which takes productions logarithmic in the bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from dllm.grammars.frontends.json_schema.spelling import CHARACTER, QUOTE
from dllm.grammars.regex import Alt, And, Chars, Minus, Regex, Repeat, Seq, common, repeat
from dllm.grammars.rules import Body, Rules, Tally, Terminal

EVERY = 64
"""Characters to a mark."""
BY_STATES = 64
"""Up to this bound, strings are counted by states alone."""
MARK = "a longer string"


class Lengths(NamedTuple):
    """Strings of a terminal without its bounds, of so many characters; None is no bound."""

    low: int
    high: int | None


def counted(loose: Rules, lengths: Mapping[str, Lengths]) -> Rules:
    """Rules in which the `lengths` of terminals are told by marks.

    Names of those terminals become nonterminals; and so do those of all that may have a mark.
    """
    made = _Marks({*loose.productions, *(terminal.name for terminal in loose.terminals)})
    kept: list[Terminal] = [Terminal(MARK, repeat(CHARACTER, EVERY, EVERY))]
    rests: dict[str, tuple[int, int]] = {}
    names: dict[str, str] = {}
    for terminal in loose.terminals:
        if terminal.name in lengths:
            ways = []
            for rest, least, most in _kinds(lengths[terminal.name]):
                name = made.unique(terminal.name)
                kept.append(replace(terminal, name=name))
                rests[name] = rest
                ways += made.before(name, least, most)
            made.bodies[terminal.name] = tuple(ways)
            continue
        kept.append(terminal)
        if _opens(terminal.pattern) and _longest(terminal.pattern) >= EVERY + 2:
            names[terminal.name] = name = made.unique(terminal.name)
            made.bodies[name] = tuple(made.before(terminal.name, 0, None))
    own = {
        head: tuple(tuple(names.get(symbol, symbol) for symbol in body) for body in found)
        for head, found in loose.productions.items()
    }
    tally = Tally(QUOTE, CHARACTER, EVERY, MARK, rests, loose)
    return replace(loose, productions={**own, **made.bodies}, terminals=tuple(kept), tally=tally)


def _kinds(lengths: Lengths) -> Iterator[tuple[tuple[int, int], int, int | None]]:
    """Ranges of characters behind the last mark, and how many marks go with each, at least and at most."""
    low, high = lengths
    cuts = {0, low % EVERY, EVERY} | (set() if high is None else {high % EVERY + 1})
    first, *others = sorted(cuts)
    for end in others:
        least = -(-max(low - first, 0) // EVERY)
        most = None if high is None else (high - first) // EVERY
        if most is None or least <= most:
            yield (first, end - 1), least, most
        first = end


class _Marks:
    """Productions of numbers of marks."""

    def __init__(self, taken: set[str]) -> None:
        self.bodies: dict[str, tuple[Body, ...]] = {}
        self._taken = {*taken, MARK}
        self._known: dict[tuple[str, int], str] = {}

    def unique(self, name: str) -> str:
        found, count = name, 1
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        return found

    def before(self, name: str, least: int, most: int | None) -> list[Body]:
        """Bodies of a terminal behind `least` to `most` marks."""
        found: list[Body] = [] if least else [(name,)]
        if most != 0:
            found.append((*self._times(max(least, 1), most), name))
        return found

    def _times(self, least: int, most: int | None) -> Body:
        rest = self._any() if most is None else self._up_to(most - least + 1)
        return (rest,) if least == 1 else (self._exactly(least - 1), rest)

    def _rule(self, kind: str, count: int, bodies: Sequence[Body]) -> str:
        self._known[kind, count] = name = self.unique("longer")
        self.bodies[name] = tuple(bodies)
        return name

    def _any(self) -> str:
        if ("any", 0) not in self._known:
            self._known["any", 0] = name = self.unique("longer")
            self.bodies[name] = ((MARK,), (MARK, name))
        return self._known["any", 0]

    def _exactly(self, count: int) -> str:
        if count == 1:
            return MARK
        half = count // 2
        known = self._known.get(("exactly", count))
        return known or self._rule("exactly", count, [(self._exactly(half), self._exactly(count - half))])

    def _up_to(self, count: int) -> str:
        """1 to `count` of them; each number is derived in one way."""
        if count == 1:
            return MARK
        half = count // 2
        known = self._known.get(("up to", count))
        return known or self._rule(
            "up to", count, [(self._up_to(half),), (self._exactly(half), self._up_to(count - half))]
        )


def _opens(tree: Regex) -> bool:
    """Whether a text of the tree may begin with a quote."""
    match tree:
        case Chars(ranges):
            return bool(common(ranges, QUOTE.ranges))
        case Seq(parts):
            return bool(parts) and _opens(parts[0])
        case Alt(options):
            return any(map(_opens, options))
        case Repeat(body):
            return _opens(body)
        case And(left) | Minus(left):
            return _opens(left)


def _longest(tree: Regex) -> float:
    """Characters of a text of the tree, at most; some more where it is costly to tell."""
    match tree:
        case Chars():
            return 1
        case Seq(parts):
            return sum(map(_longest, parts))
        case Alt(options):
            return max(map(_longest, options), default=0)
        case Repeat(body, _, high):
            return float("inf") if high is None else high * _longest(body) if high else 0
        case And(left, right):
            return min(_longest(left), _longest(right))
        case Minus(left):
            return _longest(left)
