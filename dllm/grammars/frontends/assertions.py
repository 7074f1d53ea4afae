r"""What patterns say of a place in a text: anchors, look-around and word boundaries, taken out of their trees.

A pattern is the union of its ways: sequences in which every assertion is a part of its own. In one sequence a
look-ahead is an intersection of all that follows, to the end of the text, and a look-behind of all that is before:
`A(?=B)C` is A(C & B.*) and `A(?!B)C` is A(C - B.*), since a text matches if it falls into parts in any way that does.
That holds where every look-behind is left of every look-ahead; or one of them is about the whole text.

A word boundary is a look-behind and a look-ahead for one character; where the pattern itself says what is on one side,
only the other is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dllm.errors import GrammarError
from dllm.grammars.regex import (
    ANY,
    EMPTY,
    NOTHING,
    Alt,
    And,
    Chars,
    Minus,
    Ranges,
    Regex,
    Repeat,
    Seq,
    alt,
    common,
    inverted,
    ranges_of,
    repeat,
    seq,
)

MAX_WAYS = 1000
"""Combinations of branches with anchors."""
# assertions while a tree is being built: no pattern gives an intersection, so nothing else can be equal to these
BEGIN: Regex = And(NOTHING, EMPTY)
END: Regex = And(EMPTY, NOTHING)


@dataclass(frozen=True, slots=True)
class LookAround:
    """What must, or must not, be found behind or before a place.

    Attributes:
        tree: of one way to look; without assertions but anchors.
        ahead: whether it begins there; else it ends there.
        negative: whether it must not be found.
    """

    tree: Regex
    ahead: bool
    negative: bool


class Looks:
    """The look-arounds of one pattern: each has a tree that stands for it."""

    def __init__(self) -> None:
        self._found: list[LookAround] = []

    def add(self, look: LookAround) -> Regex:
        self._found.append(look)
        return Minus(NOTHING, Chars(((len(self._found) - 1,) * 2,)))

    def of(self, tree: Regex) -> LookAround | None:
        if isinstance(tree, Minus) and tree.left == NOTHING and isinstance(tree.right, Chars):
            return self._found[tree.right.ranges[0][0]]
        return None

    def boundary(self, word: Ranges, negative: bool, ecma: bool) -> Regex:
        r"""`\b`, or `\B`, where `word` are the characters of words; Python finds no `\B` in the empty text."""

        def beside(before: LookAround, behind: LookAround) -> Regex:
            return seq(self.add(before), self.add(behind))

        ends, begins = LookAround(Chars(word), False, False), LookAround(Chars(word), True, False)
        no_end, no_begin = replace(ends, negative=True), replace(begins, negative=True)
        if not negative:
            return alt(beside(ends, no_begin), beside(no_end, begins))
        if ecma:
            return alt(beside(ends, begins), beside(no_end, no_begin))
        other = Chars(inverted(word))
        left, right = LookAround(other, False, False), LookAround(other, True, False)
        return alt(beside(ends, begins), beside(left, no_begin), beside(no_end, right))


def without_assertions(tree: Regex, looks: Looks, search: bool, lines: bool, where: str) -> Regex:
    """The tree without assertions: each way through it gets what may stand before and after it."""
    if not _asserts(tree):
        return seq(repeat(ANY), tree, repeat(ANY)) if search else tree
    if search and lines:
        raise GrammarError(f"{where} has an anchor under the flag m, which a grammar cannot honour; drop the flag")
    options: list[Regex] = []
    for count, parts in enumerate(_ways(tree, where)):
        if count >= MAX_WAYS:
            raise GrammarError(f"{where} has anchors in over {MAX_WAYS} combinations of branches; simplify it")
        options.append(_Way(parts, looks, search, where).tree())
    return alt(*options)


class _Way:
    """One sequence; `middle` is what stands between its anchors, with assertions that are not yet taken out."""

    def __init__(self, parts: Sequence[Regex], looks: Looks, search: bool, where: str) -> None:
        first, last = 0, len(parts)
        while first < last and parts[first] == BEGIN:
            first += 1
        while first < last and parts[last - 1] == END:
            last -= 1
        self._middle, self._looks, self._where = parts[first:last], looks, where
        self._begins, self._stops = bool(first) or not search, last < len(parts) or not search
        if any(part in (BEGIN, END) for part in self._middle):
            raise GrammarError(
                f"{where} has an anchor inside, which a grammar cannot honour; "
                "^ may only stand at the beginning and $ at the end of the pattern or of its branches"
            )

    def tree(self) -> Regex:
        parts: list[Regex] = [] if self._begins else [repeat(ANY)]
        places: list[tuple[int, LookAround]] = []  # how many parts are before it
        for part in self._middle:
            look = self._looks.of(part)
            if look is None:
                parts.append(part)
            else:
                places.append((len(parts), look))
        parts += [] if self._stops else [repeat(ANY)]
        whole: list[LookAround] = []
        inner: list[tuple[int, LookAround]] = []
        for at, look in places:
            certain = _certain(parts, at, look)
            if certain is False:
                return NOTHING
            if certain is None:
                if at == (0 if look.ahead else len(parts)):
                    whole.append(look)
                else:
                    inner.append((at, look))
        found = self._inner(parts, inner)
        for look in whole:
            found = self._narrowed(found, look)
        return found

    def _inner(self, parts: list[Regex], places: list[tuple[int, LookAround]]) -> Regex:
        """The parts with look-behinds, all of them left of look-aheads."""
        left = max((at for at, look in places if not look.ahead), default=0)
        right = min((at for at, look in places if look.ahead), default=len(parts))
        if left > right:
            raise GrammarError(
                f"{self._where} has a look-behind (or a word boundary) right of a look-ahead, which a grammar cannot "
                "honour; look ahead at the beginning or behind at the end"
            )
        before: Regex = EMPTY
        after: Regex = EMPTY
        for at in range(right + 1):
            for look in (look for place, look in places if place == at and not look.ahead):
                before = self._narrowed(before, look)
            before = seq(before, parts[at]) if at < right else before
        for at in range(len(parts), right - 1, -1):
            after = seq(parts[at], after) if at < len(parts) else after
            for look in (look for place, look in places if place == at and look.ahead):
                after = self._narrowed(after, look)
        return seq(before, after)

    def _narrowed(self, tree: Regex, look: LookAround) -> Regex:
        """Texts that begin, or end, as the look-around asks."""
        options = []
        for parts in _ways(look.tree, self._where):
            own = list(parts)
            anchor, at = (END, -1) if look.ahead else (BEGIN, 0)
            held = bool(own) and own[at] == anchor
            while own and own[at] == anchor:
                own.pop(at)
            if any(_asserts(part) for part in own):
                raise GrammarError(
                    f"{self._where} has look-around or an anchor inside look-around, which a grammar cannot honour; "
                    "write them side by side"
                )
            rest = [] if held else [repeat(ANY)]
            options.append(seq(*own, *rest) if look.ahead else seq(*rest, *own))
        return Minus(tree, alt(*options)) if look.negative else And(tree, alt(*options))


def _certain(parts: Sequence[Regex], at: int, look: LookAround) -> bool | None:
    """Whether a look for one character is always, or never, satisfied where it stands; None where that is open."""
    if not isinstance(look.tree, Chars):
        return None
    side = parts[at:] if look.ahead else parts[:at]
    if not side:
        return look.negative
    edge = _edge(side, look.ahead)
    if edge is None:
        return None
    inside, outside = common(edge, look.tree.ranges), common(edge, inverted(look.tree.ranges))
    if inside and outside:
        return None
    return bool(inside) != look.negative


def _edge(parts: Sequence[Regex], first: bool) -> Ranges | None:
    """The characters that texts of a sequence begin (or end) with; None if one may be empty."""
    found: list[tuple[int, int]] = []
    for part in parts if first else reversed(parts):
        own, may_be_empty = _edges(part, first)
        found += own
        if not may_be_empty:
            return ranges_of(found)
    return None


def _edges(tree: Regex, first: bool) -> tuple[Ranges, bool]:
    """The characters that texts of a tree begin (or end) with, some more perhaps; and whether one may be empty."""
    match tree:
        case Chars(ranges):
            return ranges, False
        case Seq(parts):
            found: list[tuple[int, int]] = []
            for part in parts if first else reversed(parts):
                own, may_be_empty = _edges(part, first)
                found += own
                if not may_be_empty:
                    return tuple(found), False
            return tuple(found), True
        case Alt(options):
            pairs = [_edges(option, first) for option in options]
            return tuple(pair for own, _ in pairs for pair in own), any(empty for _, empty in pairs)
        case Repeat(body, low, high):
            own, may_be_empty = _edges(body, first) if high != 0 else ((), True)
            return own, may_be_empty or low == 0
        case And(left, _) | Minus(left, _):
            return _edges(left, first)[0], True


def _asserts(tree: Regex) -> bool:
    """Whether an assertion is in a tree."""
    if isinstance(tree, And | Minus):
        return True
    inner = tree.parts if isinstance(tree, Seq) else tree.options if isinstance(tree, Alt) else ()
    return any(map(_asserts, (tree.body,) if isinstance(tree, Repeat) else inner))


def _ways(tree: Regex, where: str) -> Iterator[tuple[Regex, ...]]:
    """The sequences whose union is `tree`, with every assertion a part of its own."""
    if not _asserts(tree) or isinstance(tree, And | Minus):
        yield (tree,)
    elif isinstance(tree, Alt):
        for option in tree.options:
            yield from _ways(option, where)
    elif isinstance(tree, Seq):
        for chosen in itertools.product(*(list(_ways(part, where)) for part in tree.parts)):
            yield tuple(part for parts in chosen for part in parts)
    else:
        raise GrammarError(
            f"{where} has an anchor inside a repetition (or look-around or a word boundary), which a grammar cannot "
            "honour; take it out"
        )
