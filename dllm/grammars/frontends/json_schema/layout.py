"""White space between the lexemes of a JSON text: any, or just what `json.dumps` puts there.

- "any": wherever RFC 8259 lets it stand, as much as one likes.
- "compact": one space behind `:` and `,`, as `json.dumps(value)` has it.
- "pretty": members and items on lines of their own, as `json.dumps(value, indent=2)` has them. How far a line is
  indented is told by the nonterminals, of which there is one for each level; so values are nested DEEPEST levels deep
  at most.

Behind the value any white space may stand in all three: it is all that fills a canvas that is wider than the value.
"""

from __future__ import annotations

from typing import Literal

from dllm.grammars.regex import chars, plus
from dllm.grammars.rules import Body

WhiteSpace = Literal["any", "compact", "pretty"]
INDENT = 2
"""Spaces a level."""
DEEPEST = 16
"""Levels of arrays and objects with something in them."""
SPACE = plus(chars(" \t\n\r"))

_PUNCTUATION = "{}[],:"
OPEN, CLOSE, BEGIN, END, COMMA, COLON = (f"'{char}'" for char in _PUNCTUATION)
PLAIN = {f"'{char}'": char for char in _PUNCTUATION}
"""Name of a terminal of punctuation -> its text."""
_EMPTY = ((OPEN, CLOSE), (BEGIN, END))


def texts_of(body: Body, layout: WhiteSpace, depth: int) -> list[str | None]:
    """What the punctuation in a production of an array or object is written as; None for other symbols.

    Args:
        depth: of the values inside; 1 for those of the outermost.
    """
    if layout == "any" or body in _EMPTY:
        return [PLAIN.get(symbol) for symbol in body]
    spaced = {COMMA: ", ", COLON: ": "}
    if layout == "pretty":
        inner, outer = ("\n" + " " * (INDENT * level) for level in (depth, depth - 1))
        spaced |= {OPEN: "{" + inner, BEGIN: "[" + inner, COMMA: "," + inner, END: outer + "]", CLOSE: outer + "}"}
    return [spaced.get(symbol) or PLAIN.get(symbol) for symbol in body]
