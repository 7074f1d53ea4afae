"""Sets of characters as small automata over the bytes of their UTF-8 encodings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from dllm.grammars.regex import Ranges

_ENDS = (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)
"""The last code points of 1, 2, 3 and 4 bytes."""
END = -1
"""In a `CharacterAutomaton`, behind the character."""

Edge = tuple[int, int, int]
"""Lowest byte, highest byte, state."""


class CharacterAutomaton(NamedTuple):
    """The smallest deterministic automaton that reads one character of a set.

    Attributes:
        edges: by state; it starts in the last one, and END is where it has read one.
    """

    edges: tuple[tuple[Edge, ...], ...]


@lru_cache(maxsize=256)
def character(ranges: Ranges) -> CharacterAutomaton:
    """That of the characters in `ranges`."""
    numbers: dict[tuple[Edge, ...], int] = {}

    def number(paths: list[tuple[tuple[int, int], ...]]) -> int:
        behind: dict[tuple[int, int], list[tuple[tuple[int, int], ...]]] = {}
        for path in paths:
            behind.setdefault(path[0], []).append(path[1:])
        edges: list[Edge] = []
        for (low, high), rests in sorted(behind.items()):
            target = number(rests) if rests[0] else END
            if edges and edges[-1][1] + 1 == low and edges[-1][2] == target:
                edges[-1] = (edges[-1][0], high, target)
            else:
                edges.append((low, high, target))
        return numbers.setdefault(tuple(edges), len(numbers))

    paths = list(utf8_paths(ranges))
    if not paths:
        return CharacterAutomaton(((),))
    first = number(paths)
    assert first == len(numbers) - 1, "nothing leads back to the start"
    return CharacterAutomaton(tuple(numbers))


def utf8_paths(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], ...]]:
    """The UTF-8 encodings of ranges of characters, as sequences of byte ranges."""
    for low, high in ranges:
        for last in _ENDS:
            if low <= min(high, last):
                yield from _same_length(low, min(high, last))
                low = last + 1


def _same_length(low: int, high: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """A range whose ends take equally many bytes: cut until every byte but one spans all its values or one."""
    first, last = chr(low).encode(), chr(high).encode()
    for following in range(len(first) - 1, 0, -1):
        mask = (1 << 6 * following) - 1
        if low & ~mask == high & ~mask:
            continue
        if low & mask:
            yield from _same_length(low, low | mask)
            yield from _same_length((low | mask) + 1, high)
            return
        if high & mask != mask:
            yield from _same_length(low, (high & ~mask) - 1)
            yield from _same_length(high & ~mask, high)
            return
    yield tuple(zip(first, last, strict=True))
