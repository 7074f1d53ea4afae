"""Grammars in GBNF, the notation of llama.cpp's grammar files.

It knows no lexemes: a rule says which characters follow each other, and two rules may split a text in any way. So each
character is a lexeme here (`by_character`). What keeps masks tight is an outline: the start rule as one regular
expression in which a rule inside itself is any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.by_character import CharacterRules, outline
from dllm.grammars.regex import ANY, SURROGATES, Chars, Ranges, Regex, Repeat, alt, inverted, ranges_of, seq
from dllm.grammars.rules import Body, Rules
from dllm.grammars.tables.useful import productive

ROOT = "root"
"""The rule that a whole text is."""
MOST = 100_000
"""Times that something may be repeated."""
OUTLINED = 4_000
"""Parts of an outline, beyond which the rest of it is any text."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACES = re.compile(r"(?:\s|#[^\r\n]*)*")
_COUNTS = re.compile(r"\{[ \t]*(\d+)[ \t]*(,)?[ \t]*(\d+)?[ \t]*\}")
_ESCAPE = re.compile(r"x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[trn\\\"\[\]]")
_CONTROLS = {"t": "\t", "r": "\r", "n": "\n"}
_SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ANYTHING = Repeat(ANY, 0, None)


@dataclass(frozen=True, slots=True)
class _Name:
    """What another rule stands for."""

    name: str


@dataclass(frozen=True, slots=True)
class _Times:
    """`low` to `high` times the same; `high=None` is without end."""

    body: _Part
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class _Choice:
    """Any of the options, each of them parts one after the other."""

    options: tuple[tuple[_Part, ...], ...]


_Part = Chars | _Name | _Times | _Choice


def rules_from_gbnf(text: str) -> Rules:
    """The grammar that `text` describes. Unlike llama.cpp, it may be left-recursive.

    Raises:
        GrammarError: a mistake, with its line and column; a rule that is missing or there twice; parts that name tokens
            (`<think>`, `<[1000]>`); no text is a `root`.
    """
    if not isinstance(text, str):
        raise GrammarError(f"a GBNF grammar must be a str, but it is {type(text).__name__} {text!r:.60}")
    try:
        defined = _Reader(text).rules()
        used = _reached(defined)
        made = CharacterRules({one.ranges for rule in used.values() for one in _sets(rule)})
        bodies = {name: tuple(_bodies(rule, made)) for name, rule in used.items()}
        bodies |= made.bodies
        if ROOT not in productive(bodies):
            raise GrammarError(
                f"no text is a {ROOT!r}: each of its alternatives needs itself without end, or a class without "
                "characters; give it an alternative that ends"
            )
        return Rules(ROOT, bodies, tuple(made.terminals), outline=outline(_Outline(used).rule(ROOT, frozenset())))
    except RecursionError:
        raise GrammarError("the GBNF grammar is nested too deeply; give rules to its inner groups") from None


def _reached(defined: Mapping[str, _Choice]) -> dict[str, _Choice]:
    """The rules that texts are made of."""
    if ROOT not in defined:
        raise GrammarError(
            f"the GBNF grammar has no rule {ROOT!r}, which a whole text is; it has {', '.join(sorted(defined)):.200}"
        )
    found, queue = dict[str, _Choice](), [ROOT]
    while queue:
        name = queue.pop()
        if name not in found:
            found[name] = defined[name]
            queue += _names(defined[name])
    return found


def _inner(part: _Part) -> tuple[_Part, ...]:
    """The parts of a part."""
    match part:
        case _Times(body):
            return (body,)
        case _Choice(options):
            return tuple(one for option in options for one in option)
    return ()


def _names(part: _Part) -> Iterator[str]:
    if isinstance(part, _Name):
        yield part.name
    for one in _inner(part):
        yield from _names(one)


def _sets(part: _Part) -> Iterator[Chars]:
    if isinstance(part, Chars):
        yield part
    for one in _inner(part):
        yield from _sets(one)


def _bodies(rule: _Choice, made: CharacterRules) -> Iterator[Body]:
    for option in rule.options:
        yield tuple(_symbol(part, made) for part in option)


def _symbol(part: _Part, made: CharacterRules) -> str:
    """What stands for the texts of a part."""
    match part:
        case _Name(name):
            return name
        case _Times(body, low, high):
            return made.repeated(_symbol(body, made), low, high)
        case _Choice():
            return made.rule(part, lambda: _bodies(part, made))
        case Chars():
            return made.symbol(part)


class _Outline:
    """Rules as regular expressions, a rule inside itself as any text."""

    def __init__(self, rules: Mapping[str, _Choice]) -> None:
        self._rules, self._left = rules, OUTLINED

    def rule(self, name: str, inside: frozenset[str]) -> Regex:
        return _ANYTHING if name in inside else self._tree(self._rules[name], inside | {name})

    def _tree(self, part: _Part, inside: frozenset[str]) -> Regex:
        self._left -= 1
        if self._left < 0:
            return _ANYTHING
        match part:
            case _Name(name):
                return self.rule(name, inside)
            case _Times(body, low, high):
                return Repeat(self._tree(body, inside), low, high)
            case _Choice(options):
                return alt(*(seq(*(self._tree(one, inside) for one in option)) for option in options))
            case Chars():
                return part


class _Reader:
    """Reads from `at` on."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._called: list[tuple[str, int]] = []

    def rules(self) -> dict[str, _Choice]:
        found: dict[str, _Choice] = {}
        self._skip(_SPACES)
        while self._at < len(self._text):
            begin, name = self._at, self._name("the name of a rule")
            if name in found:
                self._fail(f"the rule {name!r:.60} is there twice; rename one of them", begin)
            self._skip(_SPACE)
            if not self._take("::="):
                self._fail("expected ::= behind the name of a rule")
            self._skip(_SPACES)
            found[name] = self._choice(nested=False)
            if self._at < len(self._text) and self._text[self._at] not in "\r\n":
                self._fail(f"expected the end of the rule {name!r:.60}; unfinished rules go on in brackets or behind |")
            self._skip(_SPACES)
        for name, at in self._called:
            if name not in found:
                self._fail(f"there is no rule {name!r:.60}.{nearest(name, found)}", at)
        return found

    def _choice(self, nested: bool) -> _Choice:
        options = [self._sequence(nested)]
        while self._take("|"):
            self._skip(_SPACES)
            options.append(self._sequence(nested))
        return _Choice(tuple(options))

    def _sequence(self, nested: bool) -> tuple[_Part, ...]:
        found: list[_Part] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)\r\n":
            found.append(self._repeated(self._part(), _SPACES if nested else _SPACE))
        return tuple(found)

    def _part(self) -> _Part:
        begin = self._at
        if self._take('"'):
            return _Choice((tuple(self._literal(begin)),))
        if self._take("["):
            return Chars(self._class(begin))
        if self._take("."):
            return ANY
        if self._take("("):
            self._skip(_SPACES)
            found = self._choice(nested=True)
            if not self._take(")"):
                self._fail("this bracket is never closed", begin)
            return found
        if self._text[begin] in "<!":
            self._fail("parts that name tokens are not supported: write the text of the token in quotes")
        name = self._name("a text in quotes, a class in [], a bracket or the name of a rule")
        self._called.append((name, begin))
        return _Name(name)

    def _repeated(self, part: _Part, space: re.Pattern[str]) -> _Part:
        """The part with the signs behind it, and the space before each sign and behind the last."""
        while True:
            self._skip(space)
            begin = self._at
            counts = _COUNTS.match(self._text, begin)
            if counts is not None:
                low = int(counts[1][:9])
                high = low if counts[2] is None else int(counts[3][:9]) if counts[3] else None
                if max(low, high or 0) > MOST or (high is not None and high < low):
                    self._fail(f"{counts[0]:.40} must count up, to at most {MOST}")
                self._at = counts.end()
            elif self._text[begin : begin + 1] in _SIGNS:
                low, high = _SIGNS[self._text[begin]]
                self._at += 1
            elif self._text[begin : begin + 1] == "{":
                self._fail("a count is {3}, {3,} or {3,5}")
            else:
                return part
            part = _Times(part, low, high)

    def _literal(self, begin: int) -> Iterator[Chars]:
        while not self._take('"'):
            code = self._character(begin)
            yield Chars(((code, code),))

    def _class(self, begin: int) -> Ranges:
        inverse, pairs = self._take("^"), []
        while not self._take("]"):
            low = high = self._character(begin)
            if self._text[self._at : self._at + 1] == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._character(begin)
                if high < low:
                    self._fail(f"the range {chr(low)!r} to {chr(high)!r} runs backwards", begin)
            pairs.append((low, high))
        found = ranges_of(pairs)
        return inverted(found) if inverse else found

    def _character(self, begin: int) -> int:
        """A character of a text in quotes or of a class, which began there."""
        if self._at >= len(self._text) or self._text[self._at] in "\r\n":
            self._fail(f"this {self._text[begin]} is never closed", begin)
        at, char = self._at, self._text[self._at]
        self._at += 1
        if char == "\\":
            escape = _ESCAPE.match(self._text, self._at)
            if escape is None:
                self._fail(r'a backslash stands before x41, u0041, U00000041, t, r, n, \, ", [ or ]', at)
            self._at, said = escape.end(), escape[0]
            if len(said) == 1:
                return ord(_CONTROLS.get(said, said))
            code = int(said[1:], 16)
        else:
            code = ord(char)
        if code > 0x10FFFF or SURROGATES[0] <= code <= SURROGATES[1]:
            self._fail("no text holds this character", at)
        return code

    def _name(self, what: str) -> str:
        found = _NAME.match(self._text, self._at)
        if found is None:
            self._fail(f"expected {what}")
        self._at = found.end()
        return found[0]

    def _take(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _skip(self, space: re.Pattern[str]) -> None:
        found = space.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _fail(self, message: str, at: int | None = None) -> NoReturn:
        at = self._at if at is None else at
        line, column = self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at)
        shown = f" at {self._text[at : at + 20]!r}" if at < len(self._text) else " at the end"
        raise GrammarError(f"the GBNF grammar cannot be read: line {line}, column {column}{shown}: {message}")
