"""Regular expressions over characters, as trees. Front ends build them, `dllm.grammars.tables.automata` runs them.

A tree stands for a set of texts. There are no anchors, captures or greediness: those are ways to search, not to say
what a text may be. Besides the usual operators there are intersection and difference, which every front end may use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dllm.errors import GrammarError

MAX_CHAR = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
Ranges = tuple[tuple[int, int], ...]
"""Inclusive ranges of code points, ascending, disjoint and not adjacent, without surrogates."""


class _Tree:
    """Trees are keys, and asked for again and again; so the hash of one is found once."""

    __slots__ = ("_hash",)
    _hash: int

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            own = (getattr(self, name) for name in self.__slots__)
            object.__setattr__(self, "_hash", hash((type(self).__name__, *own)))
            return self._hash


@dataclass(frozen=True, slots=True)
class Chars(_Tree):
    """One character of a set; of the empty set: nothing matches."""

    ranges: Ranges

    __hash__ = _Tree.__hash__


@dataclass(frozen=True, slots=True)
class Seq(_Tree):
    """The parts one after the other; no parts: the empty text."""

    parts: tuple[Regex, ...]

    __hash__ = _Tree.__hash__


@dataclass(frozen=True, slots=True)
class Alt(_Tree):
    """Any of the options; no options: nothing matches."""

    options: tuple[Regex, ...]

    __hash__ = _Tree.__hash__


@dataclass(frozen=True, slots=True)
class Repeat(_Tree):
    """`low` to `high` texts of `body` one after the other; `high=None` is without end."""

    body: Regex
    low: int
    high: int | None

    __hash__ = _Tree.__hash__


@dataclass(frozen=True, slots=True)
class And(_Tree):
    """Texts that are in both."""

    left: Regex
    right: Regex

    __hash__ = _Tree.__hash__


@dataclass(frozen=True, slots=True)
class Minus(_Tree):
    """Texts of `left` that are not in `right`."""

    left: Regex
    right: Regex

    __hash__ = _Tree.__hash__


Regex = Chars | Seq | Alt | Repeat | And | Minus

EMPTY = Seq(())
NOTHING = Alt(())


def ranges_of(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Any inclusive pairs in their normal form: sorted, merged, surrogates left out."""
    kept: list[tuple[int, int]] = []
    for low, high in pairs:
        if low < SURROGATES[0]:
            kept.append((low, min(high, SURROGATES[0] - 1)))
        if high > SURROGATES[1]:
            kept.append((max(low, SURROGATES[1] + 1), high))
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for pair in kept if pair[0] <= pair[1]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def inverted(ranges: Ranges) -> Ranges:
    """All characters that are not in `ranges`."""
    edges = [-1, *(edge for pair in ranges for edge in pair), MAX_CHAR + 1]
    return ranges_of((edges[i] + 1, edges[i + 1] - 1) for i in range(0, len(edges), 2))


def common(left: Ranges, right: Ranges) -> Ranges:
    """Characters of both sets."""
    found = [(max(a, c), min(b, d)) for a, b in left for c, d in right]
    return ranges_of(pair for pair in found if pair[0] <= pair[1])


def chars(text: str = "", *spans: tuple[str, str]) -> Chars:
    """One of the characters of `text`, or of the inclusive `spans`, e.g. `chars("_", ("a", "z"))`."""
    singles = [(ord(c), ord(c)) for c in text]
    return Chars(ranges_of(singles + [(ord(low), ord(high)) for low, high in spans]))


ANY = Chars(ranges_of([(0, MAX_CHAR)]))


def literal(text: str) -> Regex:
    """Exactly this text.

    Raises:
        GrammarError: it is not valid Unicode (lone surrogates).
    """
    if any(SURROGATES[0] <= ord(c) <= SURROGATES[1] for c in text):
        raise GrammarError(f"the text {text!r} holds a lone surrogate, which no UTF-8 text can hold; remove it")
    return seq(*(Chars(((ord(c), ord(c)),)) for c in text))


def seq(*parts: Regex) -> Regex:
    """The parts one after the other, flattened."""
    flat: list[Regex] = []
    for part in parts:
        flat += part.parts if isinstance(part, Seq) else [part]
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def alt(*options: Regex) -> Regex:
    """Any of the options, flattened; sets of characters are merged."""
    flat: list[Regex] = []
    for option in options:
        flat += option.options if isinstance(option, Alt) else [option]
    sets = [option for option in flat if isinstance(option, Chars)]
    if len(sets) > 1:
        merged = Chars(ranges_of(pair for one in sets for pair in one.ranges))
        flat = [merged, *(option for option in flat if not isinstance(option, Chars))]
    return flat[0] if len(flat) == 1 else Alt(tuple(flat))


def repeat(body: Regex, low: int = 0, high: int | None = None) -> Regex:
    """`low` to `high` times; by default any number of times."""
    return Repeat(body, low, high)


def optional(body: Regex) -> Regex:
    return Repeat(body, 0, 1)


def plus(body: Regex) -> Regex:
    return Repeat(body, 1, None)


def joined(parts: Sequence[Regex], separator: Regex) -> Regex:
    """The parts with `separator` between them."""
    spread: list[Regex] = []
    for part in parts:
        spread += [separator, part] if spread else [part]
    return seq(*spread)


def least_bytes(tree: Regex) -> int:
    """Bytes of UTF-8 that every text of a tree has, at least."""
    if isinstance(tree, Chars):
        return len(chr(tree.ranges[0][0]).encode()) if tree.ranges else 0
    if isinstance(tree, Seq):
        return sum(map(least_bytes, tree.parts))
    if isinstance(tree, Alt):
        return min(map(least_bytes, tree.options), default=0)
    if isinstance(tree, Repeat):
        return tree.low * least_bytes(tree.body)
    if isinstance(tree, And):
        return max(least_bytes(tree.left), least_bytes(tree.right))
    return least_bytes(tree.left)


def flattened(tree: Repeat) -> Repeat:
    """The same texts with fewer repetitions inside repetitions: `(a{1,9}){1,9}` is `a{1,81}`."""
    body = tree.body
    if not isinstance(body, Repeat):
        return tree
    inner = flattened(body)
    low, high = tree.low, tree.high
    # k of them take k * inner.low to k * inner.high; no count may be missing between those of k and of k + 1
    if low == 0:
        whole = inner.low <= 1
    else:
        whole = high == low or inner.high is None or (low + 1) * inner.low <= low * inner.high + 1
    if not whole:
        return Repeat(inner, low, high)
    if inner.high == 0 or high == 0:
        return Repeat(inner.body, 0, 0)
    return Repeat(inner.body, low * inner.low, None if high is None or inner.high is None else high * inner.high)


def nullable(tree: Regex) -> bool:
    """Whether the empty text is one of the texts."""
    if isinstance(tree, Seq):
        return all(map(nullable, tree.parts))
    if isinstance(tree, Alt):
        return any(map(nullable, tree.options))
    if isinstance(tree, Repeat):
        return tree.low == 0 or nullable(tree.body)
    if isinstance(tree, And):
        return nullable(tree.left) and nullable(tree.right)
    return isinstance(tree, Minus) and nullable(tree.left) and not nullable(tree.right)
