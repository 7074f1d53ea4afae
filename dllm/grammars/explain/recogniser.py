"""Whether a whole text belongs to a grammar, and if not, where and why; independent of the search.

Lexemes are found by running the terminals' automaton forward and falling back to the last complete lexeme; sentences by
generalised LR parsing (Tomita 1985, *Efficient Parsing for Natural Language*) of the normal form, with one lexeme of
lookahead, over LR(0) states that are made as they are met; or by a regular expression over lexemes, where there is one.
Where few readings are open at a time that is linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dllm.grammars.explain.counted import CountedParse, Expression
from dllm.grammars.explain.parse import Parse, States
from dllm.grammars.rules import Rules
from dllm.grammars.tables.automata import Dfa
from dllm.grammars.tables.cfg import Cfg, cfg
from dllm.grammars.tables.limits import naming
from dllm.grammars.tables.orders import Counted, Ordered, arranged, orders_in
from dllm.grammars.tables.scanner import endless, machine_of, meant, numbered
from dllm.grammars.tables.steps import DEAD
from dllm.grammars.tables.useful import productive, with_lists

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


class Recogniser:
    """Reads whole texts of a grammar; `name` is for messages."""

    def __init__(self, rules: Rules, name: str = "") -> None:
        self.rules, self.name = rules, name

    @cached_property
    def _machine(self) -> Dfa:
        with naming(self.name):
            return machine_of(self.rules)

    @cached_property
    def _rows(self) -> list[list[int]]:
        return [list(row) for row in self._machine.table.tolist()]

    @cached_property
    def _endless(self) -> list[bool]:
        return endless(self._machine)

    @cached_property
    def _meant(self) -> dict[frozenset[int], tuple[int, ...]]:
        """What the terminals of a state of the automaton mean."""
        return {accepted: meant(self.rules, accepted) for accepted in set(self._machine.accepts)}

    @cached_property
    def _mark(self) -> tuple[int, ...]:
        """The terminal that a mark within a lexeme is (`dllm.grammars.tables.tally`)."""
        tally = self.rules.tally
        return () if tally is None else (numbered(self.rules, tally.mark),)

    @cached_property
    def _grammar(self) -> Cfg:
        rules = self.rules
        bodies = with_lists(rules)
        if rules.start in bodies and rules.start not in productive(bodies):
            return Cfg((rules.start,), 0, (None,) * len(rules.terminals), (), (), start=0, may_be_empty=False)
        return cfg(rules)

    @cached_property
    def _states(self) -> States:
        return States(arranged(self._grammar, Counted()))

    @cached_property
    def _expression(self) -> Expression | None:
        return None if self.rules.counted is None else Expression(self.rules.counted)

    @property
    def _symbol_of(self) -> Sequence[int | None]:
        """Terminal -> what a parse knows it by."""
        return range(len(self.rules.terminals)) if self._expression else self._grammar.symbol_of

    def _begun(self) -> Parse | CountedParse:
        return CountedParse(self._expression) if self._expression else Parse(self._states)

    def _in_order(self, data: bytes) -> Parse:
        """For texts whose members come in the orders of this one, which is right but for them."""
        grammar, symbol_of = self._grammar, self._symbol_of
        assert grammar.members is not None
        sentence = [
            [symbol for one in lexeme.terminals if (symbol := symbol_of[one]) is not None]
            for lexeme in self.lexemes(data)
            if lexeme.terminals
        ]
        return Parse(States(arranged(grammar, Ordered(orders_in(grammar.members, sentence)))))

    def accepts(self, data: bytes) -> bool:
        """Whether `data` is the UTF-8 of a text of the grammar."""
        return self.failure(data) is None

    def failure(self, data: bytes) -> Failure | None:
        """The first thing wrong with a text, or None if it belongs to the grammar."""
        failure = self._failure(data, self._begun())
        if failure is not None or self._expression or self._grammar.members is None:
            return failure
        return self._failure(data, self._in_order(data))

    def _failure(self, data: bytes, parse: Parse | CountedParse) -> Failure | None:
        at, symbol_of = 0, self._symbol_of
        for lexeme in self.lexemes(data):
            if not lexeme.terminals and lexeme.end == lexeme.start:
                end = _behind_character(data, at)
                return Failure(at, end, "lexeme", self._expected(parse), parse.done())
            at = lexeme.end
            if lexeme.terminals:
                symbols = {symbol for one in lexeme.terminals if (symbol := symbol_of[one]) is not None}
                if not parse.read(symbols):
                    own = data[lexeme.start : lexeme.end]
                    start = lexeme.start + blank(own)
                    end = lexeme.start + len(own.rstrip(b" \t"))  # blanks may be a part of it
                    return Failure(start, max(end, start + 1), "sentence", self._expected(parse), parse.done())
        if parse.done():
            return None
        return Failure(len(data), len(data), "sentence", self._expected(parse), False)

    def _expected(self, parse: Parse | CountedParse) -> tuple[str, ...]:
        symbols = parse.expected()
        named = zip(self.rules.terminals, self._symbol_of, strict=True)
        return tuple(sorted(terminal.name for terminal, symbol in named if symbol in symbols))

    def lexemes(self, data: bytes) -> Iterator[Lexeme]:
        """The lexemes of a text, ignored ones (no terminals) included; an empty last one stands where none matches."""
        rows, accepts, unending, marks = self._rows, self._machine.accepts, self._endless, self._machine.marks
        start = 0
        while start < len(data):
            state, end, kept = 0, start, 0
            marked: list[int] = []
            for at in range(start, len(data)):
                state = rows[state][data[at]]
                if state == DEAD:
                    break
                if state in marks:
                    marked.append(at)
                if accepts[state]:
                    end, kept = at + 1, state
                elif unending[state]:
                    end = start  # never given up, see `scanner`
            if end == start:
                yield Lexeme(start, start, ())
                return
            for at in marked:
                if at < end:
                    yield Lexeme(start, end, self._mark)
            yield Lexeme(start, end, self._meant[accepts[kept]])
            start = end


def blank(lexeme: bytes) -> int:
    """Bytes of white space that a lexeme begins with (as a directive does with the end of a line), if it has others."""
    return 0 if lexeme.isspace() else len(lexeme) - len(lexeme.lstrip())


def _behind_character(data: bytes, at: int) -> int:
    """Where the character ends that begins at a byte of UTF-8."""
    return next((end for end in range(at + 1, len(data)) if data[end] & 0xC0 != 0x80), len(data))
