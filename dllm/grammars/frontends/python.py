"""Python, whose lines are indented: the rules of one level, as `data/python.lark` has them, become rules of all levels.

How far a line is indented is a part of the lexeme that ends the line before it, together with blank lines between them.
So a lexeme knows its level (`LINE 8` ends a line before one that begins at column 8), and a rule that holds such a
lexeme is copied for each level. Inside brackets lines do not count: a rule that is used there has a copy in which every
lexeme may be followed by any of these. Blanks are a part of the lexeme before them, so that no text begins with them.

Of the sentences that a canvas may hold, the search takes one that is derived in few steps. So that this is a short one,
what is rare in programs (`late_...`) is derived by some more.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files

from dllm.errors import GrammarError
from dllm.grammars.frontends.lark import rules_from_lark
from dllm.grammars.frontends.python_fstrings import f_string
from dllm.grammars.regex import chars, literal, optional, plus, repeat, seq
from dllm.grammars.rules import Body, Rules, Terminal

LEVELS = 8
"""Units by which a line may be indented, at most."""
WIDEST = 8
"""Spaces of a unit, at most."""
FOUR = "    "
TYPE_PARAMETERS = (3, 12)
"""The Python that takes `def f[T]()` and `type X = int` first."""

_LINE, _ANY_LINE, _OTHER_LINE = "LINE", "ANYLINE", "LINE elsewhere"
_BRACKETS = "in_brackets"
_LATE, _LATER = "late_", "later"
_STEPS = 2
"""More steps to what is late, but for the first."""
_DEEPER, _SKIPPED = "deeper", "skipped"
_OPENING, _CLOSING = frozenset({'"("', '"["', '"{"'}), frozenset({'")"', '"]"', '"}"'})
_ALONE = frozenset({"STRING", "FSTRING", "BYTES", "BLANK", "COMMENT", "JUNK"})
"""Terminals without blanks behind them. What follows a text must not be a part of it."""

_EOL = seq(optional(literal("\r")), literal("\n"))
_BLANKS = chars(" \t\f")
_ENDED = seq(_EOL, repeat(seq(repeat(_BLANKS), _EOL)))
"""The end of a line, and all lines behind it that hold nothing."""
_TRAIL = seq(repeat(_BLANKS), repeat(seq(literal("\\"), _EOL, plus(chars(" \t")))))
"""What may stand behind a lexeme: blanks, and ends of lines behind a `\\`; the next line is never empty."""


def rules_for(unit: str, swallow: bool = False) -> Rules:
    """The rules of Python for lines that are indented by whole numbers of a unit: spaces, or one tab."""
    return _rules_for(unit, swallow)


@cache
def _rules_for(unit: str, swallow: bool) -> Rules:
    rules = rules_from_lark(_text(), swallow=swallow)
    productions = {
        head: tuple(body for body in bodies if sys.version_info >= TYPE_PARAMETERS or not _is_new(body))
        for head, bodies in rules.productions.items()
    }
    copies = _Copies(productions, {terminal.name for terminal in rules.terminals}, unit)
    return replace(
        rules, start=f"{rules.start} 0", productions=copies.made(rules.start), terminals=tuple(_terminals(rules, unit))
    )


def rules_like(text: str, swallow: bool = False) -> Rules:
    """Those for lines that are indented as those of a text are."""
    return rules_for(unit_of(text), swallow)


def _text() -> str:
    return (files("dllm.grammars") / "data" / "python.lark").read_text(encoding="utf-8")


def checked_unit(indent: object) -> str:
    """The unit that a caller names, as text.

    Raises:
        GrammarError: it is neither a number of spaces, nor spaces, nor a tab.
    """
    unit = " " * indent if isinstance(indent, int) and not isinstance(indent, bool) else indent
    if isinstance(unit, str) and (unit == "\t" or (unit.strip(" ") == "" and 1 <= len(unit) <= WIDEST)):
        return unit
    raise GrammarError(
        f"indent={indent!r:.60} is no unit that lines are indented by; give a number of spaces from 1 to {WIDEST}, the "
        'spaces themselves, or "\\t"; None finds it in the text that is given'
    )


def unit_of(text: str) -> str:
    """By what most blocks of a text are indented; 4 spaces where there are none.

    Args:
        text: any, with gaps or not; a block is a line further in than one before it that ends in a colon.
    """
    found: Counter[str] = Counter()
    opened: str | None = None  # the indentation of a line that a block is to follow
    for line in re.sub(r"\\\r?\n", "", text).split("\n"):
        code = line.strip()
        if not code or code.startswith("#"):
            continue
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        if opened is not None and indent != opened and indent.startswith(opened):
            found[indent[len(opened) :]] += 1
        opened = indent if code.partition("#")[0].rstrip().endswith(":") else None
    units = [unit for unit in found if unit == "\t" or (not unit.strip(" ") and len(unit) <= WIDEST)]
    return min(units, key=lambda unit: (-found[unit], len(unit)), default=FOUR)


def _is_new(body: Body) -> bool:
    return not {"in_brackets_types", "type_alias"}.isdisjoint(body)


def line_name(unit: str, level: int) -> str:
    return f"{_LINE} {level * len(unit)}"


def _terminals(rules: Rules, unit: str) -> Iterator[Terminal]:
    """Those of the file, with blanks behind them; and the ends of lines."""
    for terminal in rules.terminals:
        if terminal.name in (_LINE, _ANY_LINE):
            continue
        pattern = f_string() if terminal.name == "FSTRING" else terminal.pattern
        yield replace(terminal, pattern=pattern if terminal.name in _ALONE else seq(pattern, _TRAIL))
    for level in range(LEVELS + 1):
        yield Terminal(line_name(unit, level), seq(_ENDED, literal(unit * level)))
    yield Terminal(_OTHER_LINE, seq(_ENDED, repeat(_BLANKS)), -1)


class _Copies:
    """Rules as they are met: `rule`, `rule K` at level K, `rule ()` inside brackets."""

    def __init__(self, productions: dict[str, tuple[Body, ...]], terminals: set[str], unit: str) -> None:
        self._productions, self._terminals, self._unit = productions, terminals, unit
        self._levelled = self._reaching(_LINE)
        self._found: dict[str, tuple[Body, ...]] = {}
        self._queue: list[tuple[str, str, int | None, bool]] = []  # the name of a copy, and what it is a copy of

    def made(self, start: str) -> dict[str, tuple[Body, ...]]:
        lines = [line_name(self._unit, level) for level in range(LEVELS + 1)]
        self._found = {_ANY_LINE: tuple((name,) for name in (*lines, _OTHER_LINE))}
        self._copy(start, 0, False)
        for name, rule, level, inside in self._queue:  # grows
            if rule.startswith(_DEEPER) and level is not None:
                self._found[name] = tuple(self._deeper(rule, level))
            elif rule in self._terminals:
                self._found[name] = ((rule,), (rule, _SKIPPED))
            elif rule.startswith(_LATE):
                steps = [name, *(f"{_LATER}{step} {name}" for step in range(_STEPS + 1))]
                self._found |= {step: ((after,),) for step, after in itertools.pairwise(steps)}
                self._found[steps[-1]] = tuple(self._body(body, level, inside) for body in self._productions[rule])
            elif rule.startswith(_BRACKETS) and inside:
                outside = self._copy(rule, None, False)
                self._found[name] = ((outside,), (outside, _SKIPPED))
            else:
                self._found[name] = tuple(self._body(body, level, inside) for body in self._productions[rule])
        return self._found

    def _reaching(self, terminal: str) -> set[str]:
        """Rules that hold a terminal, or a rule that does."""
        found = {terminal}
        while True:
            more = {head for head, bodies in self._productions.items() for body in bodies if found & set(body)} - found
            if not more:
                return found
            found |= more

    def _copy(self, rule: str, level: int | None, inside: bool) -> str:
        """The name of a copy, which is made if it is new."""
        if rule == _LINE and level is not None:
            return line_name(self._unit, level)
        if rule == _ANY_LINE or (rule in self._terminals and not inside):
            return rule
        name = f"{rule} {level}" if rule in self._levelled else f"{rule} ()" if inside else rule
        if name not in self._found:
            self._found[name] = ()
            self._queue.append((name, rule, level, inside))
        return name

    def _deeper(self, rule: str, level: int) -> Iterator[Body]:
        """A block at the next level, or further in."""
        if level < LEVELS:
            for body in self._productions[rule]:
                yield tuple(self._copy(one, level + 1, False) for one in body)
            yield (self._copy(rule, level + 1, False),)

    def _body(self, body: Body, level: int | None, inside: bool) -> Body:
        depth, found = int(inside), list[str]()
        for one in body:
            depth -= one in _CLOSING
            held = depth > 0 or one in _OPENING
            found.append(self._copy(one, level if one in self._levelled else None, held))
            depth += one in _OPENING
        return tuple(found)
