"""Documents with holes: what `infill` fills, as text or as parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, TypeGuard

from dllm.arguments import MOST_TOKENS, whole
from dllm.errors import ConfigError, PromptError, quoted


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Hole:
    """A span of masked tokens, to be filled by `LLM.infill`.

    `Hole(12)` is exactly 12 tokens. `Hole(min=3, max=12)` is 3 to 12: up to 8 widths are tried, and the one is kept
    whose tokens the model is surest of (see `LLM.infill`).

    Attributes:
        width: tokens, or None where the number is left open; `Hole(min=3, max=3)` is `Hole(3)`.
        min, max: tokens at least and at most; both are `width` where there is one.

    Raises:
        ConfigError: no whole numbers of at least 1, max below min, one of the two alone, or a width and a range.
    """

    width: int | None
    min: int = field(init=False)  # so that dataclasses.replace(hole, width=...) works
    max: int = field(init=False)

    def __init__(self, width: int | None = None, *, min: int | None = None, max: int | None = None) -> None:
        least, most = _range(width, min, max)
        object.__setattr__(self, "width", least if least == most else None)
        object.__setattr__(self, "min", least)
        object.__setattr__(self, "max", most)

    def __repr__(self) -> str:
        return f"Hole(min={self.min}, max={self.max})" if self.width is None else f"Hole(width={self.width})"


def _range(width: Any, least: Any, most: Any) -> tuple[int, int]:
    """Fewest and most tokens of a hole; raises ConfigError as `Hole` says."""
    if width is not None:
        if (least, most) != (None, None):
            raise ConfigError(
                f"Hole width={quoted(width)} with min={quoted(least)}, max={quoted(most)}: give a width, as in "
                "Hole(12), or a range, as in Hole(min=3, max=12)"
            )
        width = whole("Hole width", width, 1, MOST_TOKENS)
        return width, width
    if least is None or most is None:
        raise ConfigError(
            f"Hole min={quoted(least)}, max={quoted(most)}: give both, as in Hole(min=3, max=12), "
            "or a width, as in Hole(12)"
        )
    least, most = whole("Hole min", least, 1), whole("Hole max", most, 1, MOST_TOKENS)
    if most < least:
        raise ConfigError(f"Hole max={most} must be at least min={least}; swap them, or raise max")
    return least, most


Part = str | int | Sequence[int] | Hole
Piece = str | list[int] | Hole

_WIDTH = re.compile(r" *([0-9]{1,9}) *(?:- *([0-9]{1,9}) *)?")
_MARK = re.compile(r"<<mask:|<mask:([^>\n]*)(>?)")
CANDIDATES = 8
"""Widths that are tried at most where a hole leaves its width open."""


def parse_template(text: str) -> list[Piece]:
    """Split `"int f(){ <mask:12> }"` into text and holes; `<<mask:` stands for a literal `<mask:`.

    `<mask:12>` is `Hole(12)`, `<mask:3-12>` is `Hole(min=3, max=12)`.

    Raises:
        PromptError: a `<mask:` that is not followed by a width, or two with a `-` between them, and `>`.
        ConfigError: widths that no hole can have.
    """
    pieces, plain, at = list[Piece](), list[str](), 0
    for match in _MARK.finditer(text):
        plain.append(text[at : match.start()])
        at = match.end()
        if match.group() == "<<mask:":
            plain.append("<mask:")
            continue
        inside, closed = match.groups()
        widths = _WIDTH.fullmatch(inside)
        if not closed or widths is None:
            where = text[match.start() : match.start() + 20]
            raise PromptError(
                f"hole {where!r} at column {match.start() + 1}: write <mask:N> for N tokens, <mask:3-12> for 3 to 12, "
                "or <<mask: for plain text"
            )
        low, high = widths.groups()
        pieces += ["".join(plain), Hole(int(low)) if high is None else Hole(min=int(low), max=int(high))]
        plain = []
    pieces.append("".join(plain) + text[at:])
    return [piece for piece in pieces if piece != ""]


def parse_parts(parts: Iterable[Part]) -> list[Piece]:
    """A document given as parts: strings (verbatim), ids or lists of ids, and Holes."""
    pieces: list[Piece] = []
    try:
        listed = list(parts)
    except TypeError:  # arrays without dimensions have an __iter__, too
        raise PromptError(
            f"document {quoted(parts)} must be a string with <mask:N> holes, or a list of parts with a Hole"
        ) from None
    for part in listed:
        if isinstance(part, Hole | str):
            pieces.append(part)
        elif is_ids(part):
            pieces.append(list(part))
        elif isinstance(part, Integral) and not isinstance(part, bool):
            pieces.append([int(part)])
        else:
            raise PromptError(f"document part {quoted(part)}: use a string, a list of token ids, or a Hole")
    return [piece for piece in pieces if piece not in ("", [])]


def expand(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The documents with fixed widths that are tried for one, from the narrowest to the widest; itself if it is fixed.

    Of n, document k gives each hole `round(min + k * (max - min) / (n - 1))` tokens: they grow together, since trying
    all their combinations would cost a product of rows. The widest range grows at every k, so no two are alike.
    """
    n = min(CANDIDATES, 1 + max((hole.max - hole.min for hole in pieces if isinstance(hole, Hole)), default=0))
    return [[_fixed(piece, k, n) if isinstance(piece, Hole) else piece for piece in pieces] for k in range(n)]


def _fixed(hole: Hole, k: int, n: int) -> Hole:
    return hole if hole.width is not None else Hole(round(hole.min + k * (hole.max - hole.min) / (n - 1)))


def is_ids(value: object) -> TypeGuard[Sequence[int]]:
    """A non-empty list or tuple of whole numbers."""
    if not isinstance(value, list | tuple) or not value:
        return False
    return all(isinstance(item, Integral) and not isinstance(item, bool) for item in value)
