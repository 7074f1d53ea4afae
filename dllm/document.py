"""Documents with holes: what `infill` fills."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TypeGuard

from dllm.errors import PromptError
from dllm.outputs import Hole

Part = str | int | Sequence[int] | Hole
Piece = str | list[int] | Hole

_WIDTH = re.compile(r" *[0-9]{1,9} *")
_MARK = re.compile(r"<<mask:|<mask:([^>\n]*)(>?)")


def parse_template(text: str) -> list[Piece]:
    """Split `"int f(){ <mask:12> }"` into text and holes; `<<mask:` stands for a literal `<mask:`.

    Raises:
        PromptError: a `<mask:` that is not followed by a width and `>`.
    """
    pieces: list[Piece] = [""]
    at = 0
    for match in _MARK.finditer(text):
        pieces[-1] = str(pieces[-1]) + text[at : match.start()]
        at = match.end()
        if match.group() == "<<mask:":
            pieces[-1] = str(pieces[-1]) + "<mask:"
            continue
        width, closed = match.groups()
        if not closed or not _WIDTH.fullmatch(width):
            where = text[match.start() : match.start() + 20]
            raise PromptError(
                f"hole {where!r} at column {match.start() + 1}: write <mask:N> for N tokens, or <<mask: for plain text"
            )
        pieces += [Hole(int(width)), ""]
    pieces[-1] = str(pieces[-1]) + text[at:]
    return [piece for piece in pieces if piece != ""]


def parse_parts(parts: Iterable[Part]) -> list[Piece]:
    """A document given as parts: strings (verbatim), ids or lists of ids, and Holes."""
    pieces: list[Piece] = []
    if not isinstance(parts, Iterable):
        raise PromptError(f"document {parts!r} must be a string with <mask:N> holes, or a list of parts with a Hole")
    for part in parts:
        if isinstance(part, Hole | str):
            pieces.append(part)
        elif is_ids(part):
            pieces.append(list(part))
        elif isinstance(part, Integral) and not isinstance(part, bool):
            pieces.append([int(part)])
        else:
            raise PromptError(f"document part {part!r}: use a string, a list of token ids, or a Hole")
    return [piece for piece in pieces if piece not in ("", [])]


def is_ids(value: object) -> TypeGuard[Sequence[int]]:
    """A non-empty list or tuple of whole numbers."""
    if not isinstance(value, list | tuple) or not value:
        return False
    return all(isinstance(item, Integral) and not isinstance(item, bool) for item in value)
