"""Whether a whole text belongs to a grammar, and if not, where and why: slow, obvious, and independent of the engine.

Lexemes are found by running the terminals' automaton forward and falling back to the last complete lexeme; sentences by
Earley's algorithm. The engine that constrains a canvas is tested against this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dllm.grammars.rules import Rules
from dllm.grammars.tables.automata import Dfa
from dllm.grammars.tables.scanner import endless, machine_of, meant
from dllm.grammars.tables.steps import DEAD

SHOWN = 12
"""Expected terminals that a message names."""


@dataclass(frozen=True, slots=True)
class Lexeme:
    """Bytes `[start, end)` of a text, and the terminals (indices) that they may be."""

    start: int
    end: int
    terminals: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a text is refused.

    Attributes:
        start, end: the bytes that do not fit; empty at the end of a text that breaks off.
        reason: "lexeme" (no terminal matches there) or "sentence" (the lexeme may not stand there).
        expected: names of the terminals that could have come instead; empty if the text could end there.
        may_end: whether the text could have ended before them.
    """

    start: int
    end: int
    reason: str
    expected: tuple[str, ...]
    may_end: bool

    def told(self, data: bytes) -> str:
        """In words, for the text that is refused."""
        names = [*self.expected[:SHOWN], *(["the end of the text"] if self.may_end else [])]
        more = len(self.expected) - SHOWN
        wanted = ", ".join(names) + (f" and {more} more" if more > 0 else "")
        if self.start == len(data):
            return f"the text breaks off here; expected {wanted}"
        found = data[self.start : self.end].decode(errors="replace")
        what = "no lexeme begins with" if self.reason == "lexeme" else "unexpected"
        return f"{what} {found!r:.40}; expected {wanted or 'nothing'}"


@dataclass(frozen=True, slots=True)
class _Item:
    """A production of `head`, read up to `dot`, begun before lexeme `origin`."""

    head: str
    body: tuple[str, ...]
    dot: int
    origin: int


class Recogniser:
    """Reads whole texts of a grammar."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._numbers = {terminal.name: index for index, terminal in enumerate(rules.terminals)}

    @cached_property
    def _machine(self) -> Dfa:
        return machine_of(self.rules)

    @cached_property
    def _endless(self) -> list[bool]:
        return endless(self._machine)

    def accepts(self, data: bytes) -> bool:
        """Whether `data` is the UTF-8 of a text of the grammar."""
        return self.failure(data) is None

    def failure(self, data: bytes) -> Failure | None:
        """The first thing wrong with a text, or None if it belongs to the grammar."""
        columns, at = [self._begin()], 0
        for lexeme in self.lexemes(data):
            if not lexeme.terminals and lexeme.end == lexeme.start:
                end = _behind_character(data, at)
                return Failure(at, end, "lexeme", self._expected(columns[-1]), self._done(columns))
            at = lexeme.end
            if lexeme.terminals:
                after = self._advance(columns, {self.rules.terminals[index].name for index in lexeme.terminals})
                if not after:
                    expected = self._expected(columns[-1])
                    return Failure(lexeme.start, lexeme.end, "sentence", expected, self._done(columns))
                columns.append(after)
        if self._done(columns):
            return None
        return Failure(len(data), len(data), "sentence", self._expected(columns[-1]), False)

    def lexemes(self, data: bytes) -> Iterator[Lexeme]:
        """The lexemes of a text, ignored ones (no terminals) included; an empty last one stands where none matches."""
        start = 0
        while start < len(data):
            state, end, kept = 0, start, 0
            for at in range(start, len(data)):
                state = int(self._machine.table[state, data[at]])
                if state == DEAD:
                    break
                if self._machine.accepts[state]:
                    end, kept = at + 1, state
                elif self._endless[state]:
                    end = start  # never given up, see `scanner`
            if end == start:
                yield Lexeme(start, start, ())
                return
            yield Lexeme(start, end, meant(self.rules, self._machine.accepts[kept]))
            start = end

    def _begin(self) -> set[_Item]:
        return self._closed([], {_Item("", (self.rules.start,), 0, 0)})

    def _advance(self, columns: list[set[_Item]], names: set[str]) -> set[_Item]:
        """The column behind a lexeme that may be any of `names`."""
        found = {
            _Item(item.head, item.body, item.dot + 1, item.origin)
            for item in columns[-1]
            if item.dot < len(item.body) and item.body[item.dot] in names
        }
        return self._closed(columns, found)

    def _closed(self, columns: list[set[_Item]], items: set[_Item]) -> set[_Item]:
        """With all that the items predict and complete."""
        here, queue = set(items), list(items)
        ended: set[str] = set()  # nonterminals that were found to be empty here

        def add(item: _Item) -> None:
            if item not in here:
                here.add(item)
                queue.append(item)

        while queue:
            item = queue.pop()
            if item.dot == len(item.body):
                if item.origin == len(columns):
                    ended.add(item.head)
                for other in list(here if item.origin == len(columns) else columns[item.origin]):
                    if other.dot < len(other.body) and other.body[other.dot] == item.head:
                        add(_Item(other.head, other.body, other.dot + 1, other.origin))
            elif item.body[item.dot] not in self._numbers:
                head = item.body[item.dot]
                for body in self.rules.productions[head]:
                    add(_Item(head, body, 0, len(columns)))
                if head in ended:
                    add(_Item(item.head, item.body, item.dot + 1, item.origin))
        return here

    def _done(self, columns: list[set[_Item]]) -> bool:
        return _Item("", (self.rules.start,), 1, 0) in columns[-1]

    def _expected(self, column: set[_Item]) -> tuple[str, ...]:
        names = {item.body[item.dot] for item in column if item.dot < len(item.body)}
        return tuple(sorted(name for name in names if name in self._numbers))


def _behind_character(data: bytes, at: int) -> int:
    """Where the character ends that begins at a byte of UTF-8."""
    return next((end for end in range(at + 1, len(data)) if data[end] & 0xC0 != 0x80), len(data))
