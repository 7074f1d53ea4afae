"""Whether a lexed text belongs to a grammar, by Earley's algorithm on the rules as they are: slow and obvious."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dllm.grammars.rules import Rules


@dataclass(frozen=True, slots=True)
class _Item:
    """A production of `head`, read up to `dot`, begun before lexeme `origin`."""

    head: str
    body: tuple[str, ...]
    dot: int
    origin: int


class Earley:
    """Reads whole texts of a grammar, given as what each lexeme may be."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._numbers = {terminal.name: index for index, terminal in enumerate(rules.terminals)}

    def fault(self, lexemes: Iterable[Iterable[str]]) -> int | None:
        """The first lexeme with which no text begins (their number where the text breaks off), or None."""
        columns = [self._begin()]
        for at, names in enumerate(lexemes):
            after = self._advance(columns, set(names))
            if not after:
                return at
            columns.append(after)
        return None if self._done(columns) else len(columns) - 1

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
