"""Reading sentences that a regular expression says, with its repetitions counted and never written out.

A way through the expression is the set of characters that comes next, and what comes behind it: in each sequence the
part, in each repetition how many have begun. All ways are followed at once (Thompson 1968, *Regular Expression Search
Algorithm*). Of two that differ only in how many of optional repetitions they have used, the one that has used fewer has
all texts of the other, which is dropped: so there are few, however large the counts are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dllm.grammars.regex import Alt, Chars, Ranges, Regex, Repeat, Seq, flattened, nullable


class _Frame(NamedTuple):
    """What comes behind a part of a sequence or a repetition.

    Attributes:
        part: the number of that sequence or repetition.
        at: which part of the sequence comes next; or how many of the repetition have begun.
        fresh: of a repetition, whether nothing of the last one was read.
        below: what comes behind the whole.
    """

    part: int
    at: int
    fresh: bool
    below: _Frame | None


_NONE = -1
_Way = tuple[int, _Frame | None]
"""The part that comes next, or _NONE; and what comes behind it."""


class Expression:
    """A regular expression without intersection and difference, its parts numbered.

    Attributes:
        sets, sequences, choices: by number.
        repeats: (body, least, most).
        start: the number of the whole.
    """

    def __init__(self, tree: Regex) -> None:
        self.sets: dict[int, Ranges] = {}
        self.sequences: dict[int, tuple[int, ...]] = {}
        self.choices: dict[int, tuple[int, ...]] = {}
        self.repeats: dict[int, tuple[int, int, int | None]] = {}
        self._count = 0
        self.start = self._add(tree)

    def _add(self, tree: Regex) -> int:
        self._count += 1
        number = self._count
        match tree:
            case Chars(ranges):
                self.sets[number] = ranges
            case Seq(parts):
                self.sequences[number] = tuple(map(self._add, parts))
            case Alt(options):
                self.choices[number] = tuple(map(self._add, options))
            case Repeat():
                once = flattened(tree)
                # an empty one stands for as many as are missing, and is of no other use
                low = 0 if nullable(once.body) else once.low
                self.repeats[number] = (self._add(once.body), low, once.high)
            case _:
                raise AssertionError("a pattern gives no intersection")
        return number

    def onward(self, way: _Way) -> Iterator[_Way]:
        """What a way that does not begin with a set of characters goes on with."""
        number, frame = way
        if number in self.choices:
            for option in self.choices[number]:
                yield option, frame
        elif number in self.sequences:
            yield self._part(_Frame(number, 0, False, frame))
        elif number in self.repeats:
            yield from self._begin(number, 0, frame)
        elif frame is not None and frame.part in self.sequences:
            yield self._part(frame)
        elif frame is not None and not frame.fresh:
            yield from self._begin(frame.part, frame.at, frame.below)

    def _part(self, frame: _Frame) -> _Way:
        parts = self.sequences[frame.part]
        if frame.at == len(parts):
            return _NONE, frame.below
        return parts[frame.at], frame._replace(at=frame.at + 1)

    def _begin(self, number: int, count: int, below: _Frame | None) -> Iterator[_Way]:
        """Behind `count` of a repetition."""
        body, low, high = self.repeats[number]
        if count >= low:
            yield _NONE, below
        if high is None or count < high:
            yield body, _Frame(number, min(count + 1, low) if high is None else count + 1, True, below)

    def needed(self, ways: Iterable[_Way]) -> list[_Way]:
        """Those whose texts no other one has."""
        kinds: dict[tuple[int, ...], list[tuple[tuple[int, ...], _Way]]] = {}
        for way in ways:
            kind, used, frame = [way[0]], list[int](), way[1]
            while frame is not None:
                kind.append(frame.part)
                least = self.repeats[frame.part][1] if frame.part in self.repeats else None
                if least is None or frame.at <= least:
                    kind.append(frame.at)
                else:
                    kind.append(_NONE)
                    used.append(frame.at)
                frame = frame.below
            kinds.setdefault(tuple(kind), []).append((tuple(used), way))
        found: list[_Way] = []
        for own in kinds.values():
            front: list[tuple[int, ...]] = []
            for place, way in sorted(own, key=lambda pair: pair[0]):
                if not any(all(a <= b for a, b in zip(one, place, strict=True)) for one in front):
                    front.append(place)
                    found.append(way)
        return found


class CountedParse:
    """A beginning of a text, as far as some text of the expression begins with it. Symbols are character codes."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression
        self._ends = False
        self._ways: list[_Way] = []
        self._follow([(expression.start, None)])

    def read(self, symbols: Iterable[int]) -> bool:
        """One more character, which may be any of these; where none fits, False, and nothing has changed."""
        wanted, sets = list(symbols), self._expression.sets
        behind = [
            (_NONE, _stale(frame))
            for number, frame in self._ways
            if any(low <= one <= high for low, high in sets[number] for one in wanted)
        ]
        if behind:
            self._follow(behind)
        return bool(behind)

    def done(self) -> bool:
        """Whether a text may end here."""
        return self._ends

    def expected(self) -> set[int]:
        """The characters that may come next."""
        ranges = [pair for number, _ in self._ways for pair in self._expression.sets[number]]
        return {code for low, high in ranges for code in range(low, high + 1)}

    def _follow(self, queue: list[_Way]) -> None:
        """All that the ways lead to, up to sets of characters."""
        seen, sets = set(queue), self._expression.sets
        ways: list[_Way] = []
        self._ends = False
        for way in queue:  # grows
            if way[0] in sets:
                ways.append(way)
                continue
            self._ends = self._ends or way == (_NONE, None)
            for one in self._expression.onward(way):
                if one not in seen:
                    seen.add(one)
                    queue.append(one)
        self._ways = ways if len(ways) < 2 else self._expression.needed(ways)


def _stale(frame: _Frame | None) -> _Frame | None:
    """What comes behind, now that something was read."""
    if frame is None or not (frame.fresh or frame.below):
        return frame and frame._replace(fresh=False)
    return frame._replace(fresh=False, below=_stale(frame.below))
