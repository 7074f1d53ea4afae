r"""Strings: their keywords, what a schema asks of one, and their lexemes. All is said of the meant text.

A text whose value is valid is rejected where

- *escape*: a printable ASCII character other than `"`, `\` and `/` is written as an escape (`\u0041`); or a string with
  a length bound above 4, or a pattern of over 1,000 states, has `\uXXXX` at all; or there is half a surrogate pair;
- *pattern*: ECMA-262 and Python do not both match the text (`\d`, `\w`, `\s` outside ASCII, `$` before a line end);
- *format*: it is asserted, which by default it is not; and of most formats there are narrower readings than the
  standard's (`formats`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

from dllm.grammars.frontends.ecma import in_python
from dllm.grammars.frontends.json_schema import counts
from dllm.grammars.frontends.json_schema.formats import FORMATS, NUMBERS
from dllm.grammars.frontends.json_schema.forms import Context, Form, Forms, fits, lower, narrowed
from dllm.grammars.frontends.json_schema.notes import WARNING, one_edit_away
from dllm.grammars.frontends.json_schema.numbers import Bound, NumberForm
from dllm.grammars.frontends.json_schema.productions import Productions, choice
from dllm.grammars.frontends.json_schema.reading import Keyword, Schema, located, shown
from dllm.grammars.frontends.json_schema.spelling import (
    STRING,
    WITHOUT_ESCAPES,
    as_json,
    quoted,
    quoted_text,
)
from dllm.grammars.frontends.pattern import parse_pattern, width
from dllm.grammars.regex import (
    ANY,
    Alt,
    And,
    Chars,
    Minus,
    Regex,
    Repeat,
    Seq,
    alt,
    chars,
    common,
    literal,
    optional,
    repeat,
    seq,
)
from dllm.grammars.rules import Body
from dllm.grammars.tables.automata import Dfa, dfa, size
from dllm.grammars.tables.steps import DEAD

ESCAPES_UP_TO = 4
"""Above this bound of a length, `\\uXXXX` is left out, which spares 15 of 24 states for each character."""
SMALL = 1_000
"""States of a pattern, up to which escapes stay in."""
MAX_SIZE = 1_000_000
"""The highest maxLength and minLength; they cost productions logarithmic in it."""
FEW = 16
"""Texts of a pattern, up to which it is as an enum to those who compare it."""
_ANY_TEXT = repeat(ANY)
_LINE_END = optional(chars("\n"))


@dataclass(frozen=True, slots=True)
class StringForm(Form):
    """Strings.

    Attributes:
        patterns: the text is in all of them.
        low, high: bounds of its length in characters.
        texts: if not None, one of these; they already satisfy all else.
    """

    TYPES: ClassVar = ("string",)
    patterns: tuple[Regex, ...] = ()
    low: int = 0
    high: int | None = None
    texts: tuple[str, ...] | None = None

    @classmethod
    def among(cls, values: Sequence[Any], context: Context, place: str) -> Iterable[Self]:
        found = tuple(dict.fromkeys(value for value in values if isinstance(value, str)))
        return [cls(texts=found)] if found else []

    def meet(self, other: Self) -> Self | None:
        low, high = max(self.low, other.low), lower(self.high, other.high)
        form = type(self)(tuple(dict.fromkeys(self.patterns + other.patterns)), low, high)
        if any(_others(tree) in form.patterns for tree in form.patterns if isinstance(tree, Minus)):
            return None
        if self.texts is None and other.texts is None:
            return form if fits(low, high) else None
        texts = self.texts if self.texts is not None else other.texts or ()
        if other.texts is not None:
            texts = tuple(text for text in texts if text in other.texts)
        texts = tuple(text for text in texts if form.allows(text))
        return type(self)(texts=texts) if texts else None

    def allows(self, text: str) -> bool:
        fitting = self.low <= len(text) and (self.high is None or len(text) <= self.high)
        return fitting and all(matches(tree, text) for tree in self.patterns)

    def possible(self, context: Context) -> bool:
        return self.has_text()

    def complement(self, context: Context, place: str) -> Iterable[Self]:
        if self.texts is not None:
            return [type(self)((_others(alt(*map(literal, filter(_is_text, self.texts)))),))]
        found = [type(self)((_others(tree),)) for tree in self.patterns]
        if self.low:
            found.append(type(self)(high=self.low - 1))
        if self.high is not None:
            found.append(type(self)(low=self.high + 1))
        return found

    def has_text(self) -> bool:
        if not self.patterns or (self == StringForm(self.patterns[:1]) and self.patterns[0] in FORMATS.values()):
            return True
        machine = machine_of(StringForm(self.patterns).tree(), self._keywords())
        after: dict[int, set[int]] = {}
        states, length = {0}, 0
        while states:  # where texts of this length lead; from every state some text is accepted
            if length >= self.low and (self.high is None or any(machine.accepts[state] for state in states)):
                return self.high is not None or any(machine.accepts)
            if length == self.high:
                return False
            for state in states - after.keys():
                after[state] = _after_character(machine, state)
            states, length = set().union(*(after[state] for state in states)), length + 1
        return False

    def meant(self) -> Regex:
        """The texts of this form."""
        return self.tree() if self.texts is None else alt(*map(literal, self.texts))

    def tree(self) -> Regex:
        """The texts that satisfy patterns and bounds."""
        trees = [tree for tree in self.patterns if not _is_complement(tree)]
        if self.low or self.high is not None or not trees:
            trees.append(repeat(ANY, self.low, self.high))
        found = trees[0]
        for tree in trees[1:]:
            found = And(found, tree)
        # all that is left out is one automaton
        out = [tree.right for tree in self.patterns if isinstance(tree, Minus) and _is_complement(tree)]
        return Minus(found, alt(*out)) if out else found

    def bodies(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        if max(self.low, self.high or 0) <= counts.BY_STATES:
            return [(grammar.terminal(*self._lexeme(), self._keywords()),)]
        free = StringForm(self.patterns).tree()
        tree = quoted(free, escapes=not self._plain().has_text())
        return [(grammar.terminal("string", tree, self._keywords(), counts.Lengths(self.low, self.high)),)]

    def _plain(self) -> StringForm:
        r"""The same without characters that only `\uXXXX` spells."""
        return replace(self, patterns=(*self.patterns, repeat(WITHOUT_ESCAPES)))

    def _keywords(self) -> str:
        """What has asked for it."""
        found = {
            "enum": self.texts is not None,
            "pattern": any(tree not in FORMATS.values() for tree in self.patterns),
            "format": any(tree in FORMATS.values() for tree in self.patterns),
            "minLength": self.low > 0,
            "maxLength": self.high is not None,
        }
        return " and ".join(name for name, asked in found.items() if asked)

    def _lexeme(self) -> tuple[str, Regex]:
        """A name for messages, and the spellings."""
        if self.texts is not None:
            return choice(map(as_json, self.texts)), alt(*map(quoted_text, self.texts))
        if self == StringForm():
            return "STRING", STRING
        name = next((name for name, tree in FORMATS.items() if (tree,) == self.patterns), "string")
        short = max(self.low, self.high or 0) <= ESCAPES_UP_TO and size(self.tree()) <= SMALL
        return name.upper().replace("-", "_"), quoted(self.tree(), escapes=short or not self._plain().has_text())


def _others(tree: Regex) -> Regex:
    """All texts but those of `tree`."""
    return tree.right if isinstance(tree, Minus) and _is_complement(tree) else Minus(_ANY_TEXT, tree)


def _is_complement(tree: Regex) -> bool:
    return isinstance(tree, Minus) and tree.left == _ANY_TEXT


def _few(tree: Regex) -> tuple[str, ...] | None:
    """The texts of a tree, if it is plain that they are few."""
    match tree:
        case Chars(ranges):
            if sum(high - low + 1 for low, high in ranges) <= FEW:
                return tuple(chr(code) for low, high in ranges for code in range(low, high + 1))
        case Alt(options):
            parts = list(map(_few, options))
            if all(part is not None for part in parts) and sum(len(part or ()) for part in parts) <= FEW:
                return tuple(dict.fromkeys(text for part in parts for text in part or ()))
        case Seq(options):
            found: tuple[str, ...] = ("",)
            for option in options:
                more = _few(option)
                if more is None or len(found) * len(more) > FEW:
                    return None
                found = tuple(text + also for text in found for also in more)
            return found
        case Repeat(body, 0, 1):
            once = _few(body)
            return once if once is None else tuple(dict.fromkeys(("", *once)))
    return None


def _is_text(text: str) -> bool:
    """Whether UTF-8 can hold it: no lone surrogates."""
    return not re.search("[\ud800-\udfff]", text)


@lru_cache(maxsize=256)
def machine_of(tree: Regex, part: str) -> Dfa:
    """Its automaton; `part` says in errors what it is."""
    return dfa([tree], [part])


def matches(tree: Regex, text: str) -> bool:
    """Whether `text` is in `tree`. Texts that no UTF-8 can hold are in none."""
    return bool(machine_of(tree, "pattern").matches(text.encode(errors="surrogatepass")))


def _after_character(machine: Dfa, state: int) -> set[int]:
    """The states after one more character."""
    found: set[int] = set()
    for byte in range(256):
        ends = {int(machine.table[state, byte])}
        for _ in range((byte >= 0xC0) + (byte >= 0xE0) + (byte >= 0xF0)):
            ends = {int(end) for one in ends if one != DEAD for end in machine.table[one, 0x80:0xC0]}
        found |= ends
    return found - {DEAD}


def _pattern(schema: Schema, found: Forms) -> Forms:
    pattern = schema.value("pattern", str, "a regular expression")
    read = readings(pattern, f"{located(schema.place)}: pattern")
    # validators read patterns as ECMA-262 or as Python does: what both let through is valid for all of them
    if schema.context.wide:
        tree = in_either(*read)
        texts = _few(tree)  # far sooner compared than automata
        return narrowed(found, StringForm((tree,)) if texts is None else StringForm(texts=texts))
    tree = in_both(*read)
    if size(tree) <= SMALL:
        return narrowed(found, StringForm((tree,)))
    uncounted, low, high = by_length(tree)
    return narrowed(found, StringForm((uncounted,), low, high))


def by_length(tree: Regex) -> tuple[Regex, int, int | None]:
    """The texts of a pattern as those of another one that have so many characters: `[a-z]{3,900}` is `[a-z]*` of 3 to
    900. The pattern itself, without bounds, where its counts are no length."""
    parts: list[Regex] = list(tree.parts) if isinstance(tree, Seq) else [tree]
    counted = [at for at, part in enumerate(parts) if isinstance(part, Repeat) and width(part.body)]
    if not counted:
        return tree, 0, None
    largest = max(counted, key=lambda at: size(parts[at]))
    one, others = parts[largest], width(Seq(tuple(parts[:largest] + parts[largest + 1 :])))
    assert isinstance(one, Repeat)
    each = width(one.body)
    if others is None or each is None:
        return tree, 0, None
    parts[largest] = repeat(one.body)
    high = None if one.high is None else others + each * one.high
    return Seq(tuple(parts)), others + each * one.low, high


def readings(pattern: str, what: str) -> tuple[Regex, Regex]:
    """The texts in which ECMA-262 finds the pattern, and those in which Python does; `what` it is, for errors."""
    written = in_python(pattern, f"{what} {pattern!r:.200}")
    ecma, python = (parse_pattern(written, ecma=ecma, search=True, what=what) for ecma in (True, False))
    return ecma, python


def in_both(left: Regex, right: Regex) -> Regex:
    """Texts of both. Trees of one shape, as one pattern gives, are met set by set: far cheaper than an intersection.

    That keeps only texts that go the same way through both trees, which is no more than both allow.
    """
    if left == right:
        return left
    match left, right:
        case Chars(one), Chars(other):
            return Chars(common(one, other))
        case Seq(one), Seq(other) if len(one) == len(other):
            return Seq(tuple(map(in_both, one, other)))
        case Alt(one), Alt(other) if len(one) == len(other):
            return Alt(tuple(map(in_both, one, other)))
        case Repeat(one, low, high), Repeat(other) if (low, high) == (right.low, right.high):
            return Repeat(in_both(one, other), low, high)
    return And(left, right)


def in_either(left: Regex, right: Regex) -> Regex:
    """At least the texts of one of both: `left` is a pattern as ECMA-262 reads it, `right` as Python does."""
    right = _with_line_ends(right)
    return right if right in (left, seq(left, _LINE_END), _with_line_ends(left)) else alt(left, right)


def _with_line_ends(tree: Regex) -> Regex:
    """Where Python finds `$`, a last line end may follow."""
    if isinstance(tree, Alt):
        return alt(*map(_with_line_ends, tree.options))
    return tree if isinstance(tree, Seq) and tree.parts[-1:] == (_ANY_TEXT,) else seq(tree, _LINE_END)


def _format(schema: Schema, found: Forms) -> Forms:
    name = schema.told["format"]
    options, notes, what = schema.context.options, schema.context.notes, f"format {shown(name)}"
    if not isinstance(name, str):
        raise schema.wrong("format", "the name of a format")
    if options.formats == "note":
        notes.add(what, schema.place, "an annotation under formats='note'")
    elif name in FORMATS:
        return found if schema.context.wide else narrowed(found, StringForm((FORMATS[name],)))
    elif name in NUMBERS:
        ends = NUMBERS[name]
        if ends is not None and not schema.context.wide:
            low, high = (Bound(end, exclusive=False) for end in ends)
            return narrowed(found, NumberForm(whole=True, low=low, high=high))
    elif options.unknown == "refuse":
        raise schema.wrong("format", f"one of {', '.join((*FORMATS, *NUMBERS))} under unknown='refuse'")
    else:
        close = one_edit_away(name, (*FORMATS, *NUMBERS))
        hint = f" Did you mean {close!r}?" if close else ""
        notes.add(what, schema.place, f"{WARNING if close else ''}not a known format: an annotation.{hint}")
    return found


KEYWORDS = {
    "minLength": Keyword(lambda schema, found: narrowed(found, StringForm(low=schema.count("minLength", MAX_SIZE)))),
    "maxLength": Keyword(lambda schema, found: narrowed(found, StringForm(high=schema.count("maxLength", MAX_SIZE)))),
    "pattern": Keyword(_pattern),
    "format": Keyword(_format),
}
