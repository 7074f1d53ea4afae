"""The productions and terminals of one grammar, as forms add to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.counts import Lengths, counted
from dllm.grammars.frontends.json_schema.layout import (
    BEGIN,
    CLOSE,
    COLON,
    COMMA,
    DEEPEST,
    END,
    OPEN,
    PLAIN,
    SPACE,
    WhiteSpace,
    texts_of,
)
from dllm.grammars.frontends.json_schema.tidy import tidied
from dllm.grammars.regex import Regex, literal
from dllm.grammars.rules import AnyOrder, Body, Members, Rules, Terminal

__all__ = ["BEGIN", "CLOSE", "COLON", "COMMA", "END", "OPEN", "Productions", "choice"]

MAX_PRODUCTIONS = 20_000
_NAME_LENGTH = 60
_WHITE_SPACE = "WHITE_SPACE"


class Productions:
    """Collects the productions and terminals of one grammar. Nonterminals are called by places in the schema.

    Args:
        places: name of a schema -> where it is.
        order: in which keys come: "auto", "any" or "schema".
        layout: which white space stands between lexemes.
        in_order: places of schemas where that is "schema" in any case.

    Attributes:
        order: of the schema whose productions are added.
        place: of the schema whose productions are added.
    """

    def __init__(
        self, places: Mapping[str, str], order: str, layout: WhiteSpace = "any", in_order: Iterable[str] = ()
    ) -> None:
        self._order, self._in_order = order, frozenset(in_order)
        self.place = "#"
        self._layout = layout
        self._depth = 0  # of the values inside those whose productions are added; it counts under "pretty" only
        self._pending: list[tuple[tuple[str, ...], int]] = []
        self._places = places
        self._bodies: dict[str, list[Body]] = {}
        self._lists: dict[str, AnyOrder] = {}
        self._written = {mark: {mark} for mark in PLAIN}  # as which terminals
        self._count = 0
        self._terminals: dict[tuple[Regex, Lengths | None], Terminal] = {}
        self._lengths: dict[str, Lengths] = {}
        self._names: set[str] = set()
        self._values: dict[tuple[tuple[str, ...], int], str] = {}
        self._shared: dict[tuple[Sequence[str | int], int], str] = {}
        for name, char in PLAIN.items():
            self.terminal(name, literal(char))

    @property
    def order(self) -> str:
        return "schema" if self.place in self._in_order else self._order

    def rules(self, start: str, around: Callable[[Rules], Rules] | None = None) -> Rules:
        """The grammar of the nonterminal `start`, made small; it has no productions if it has no text.

        around: what is made of it before strings are counted.
        """
        ignored = frozenset({_WHITE_SPACE}) if self._layout == "any" else frozenset()
        if not ignored:
            whole = self.nonterminal("text")
            self.add(whole, (start,), (start, _WHITE_SPACE))
            start = whole
        terminals = (*self._terminals.values(), Terminal(_WHITE_SPACE, SPACE))
        productions = {name: tuple(bodies) for name, bodies in self._bodies.items()}
        found = tidied(Rules(start, productions, terminals, ignored, members=self._members()))
        if around is not None and found.productions:
            found = around(found)
        lengths = {one.name: self._lengths[one.name] for one in found.terminals if one.name in self._lengths}
        return tidied(counted(found, lengths)) if lengths else found

    def _unique(self, name: str) -> str:
        found, count = name, 1
        while found in self._names:
            count += 1
            found = f"{name}_{count}"
        self._names.add(found)
        return found

    def terminal(self, name: str, tree: Regex, keywords: str = "", lengths: Lengths | None = None) -> str:
        """The terminal of `tree`, called `name` if it is new; `keywords` ask for it, for errors about its size.

        With `lengths`, of those strings of the tree that have so many characters.
        """
        key = (tree, lengths)
        if key not in self._terminals:
            asked = f"{keywords} at {self.place}" if keywords else ""
            self._terminals[key] = found = Terminal(self._unique(name), tree, asked=asked)
            if lengths is not None:
                self._lengths[found.name] = lengths
        return self._terminals[key].name

    def nonterminal(self, name: str) -> str:
        """A new nonterminal, called `name` or much like it."""
        found = self._unique(name)
        self._bodies[found] = []
        return found

    def add(self, name: str, *bodies: Body) -> None:
        """More productions of a nonterminal; punctuation in them gets the white space that belongs to it.

        What stands in brackets is never empty: without anything in them they are side by side in one production.

        Raises:
            GrammarError: there are too many.
        """
        self._bodies[name] += map(self._laid_out, bodies)
        self._count += len(bodies)
        if self._count > MAX_PRODUCTIONS:
            raise GrammarError(
                f"JSON schema: it takes over {MAX_PRODUCTIONS} productions; make it smaller, or pass "
                "property_order='schema' if objects have many required keys"
            )

    def any_order(self, required: Sequence[str], others: Sequence[str], name: str) -> str:
        """A new nonterminal of members in any order, called `name` or much like it."""
        found = self._unique(name)
        comma, *_ = self._laid_out((COMMA,))
        self._lists[found] = AnyOrder(tuple(required), tuple(others), comma)
        return found

    def _members(self) -> Members | None:
        if not self._lists:
            return None
        return Members(self._written[OPEN], self._written[CLOSE], self._written[COLON], self._lists)

    def _laid_out(self, body: Body) -> Body:
        if self._layout == "any":
            return body
        texts = texts_of(body, self._layout, self._depth)
        found = []
        for symbol, text in zip(body, texts, strict=True):
            found.append(symbol if text is None else self.terminal(repr(text), literal(text)))
            if text is not None:
                self._written[symbol].add(found[-1])
        return tuple(found)

    def shared(self, key: Sequence[str | int], name: str, bodies: Callable[[str], Iterable[Body]]) -> str:
        """The one nonterminal of `key`; if new, it is called `name`, and has the `bodies` of what it is called."""
        place = (key, self._depth)
        if place not in self._shared:
            self._shared[place] = found = self.nonterminal(name)
            self.add(found, *bodies(found))
        return self._shared[place]

    def value(self, demand: tuple[str, ...]) -> str:
        """The nonterminal of the values that satisfy the schemas of these names, for inside what is being added."""
        here = (demand, self._depth)
        if here not in self._values:
            self._values[here] = self.nonterminal("_".join(self.place_of(demand).split()))
            if self._depth <= DEEPEST:
                self._pending.append(here)
        return self._values[here]

    def pending(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Demands of which a nonterminal was asked for but has no productions yet, and it; they are to be added."""
        while self._pending:
            demand, depth = self._pending.pop()
            self.place, self._depth = self.place_of(demand), depth + (self._layout == "pretty")
            yield demand, self._values[demand, depth]

    def place_of(self, demand: tuple[str, ...]) -> str:
        """Where the last of these schemas is."""
        return self._places.get(demand[-1], "never") if demand else "any"

    def listing(self, item: str, low: int, high: int | None, name: str) -> str:
        """`low` >= 1 to `high` items with commas between, in productions logarithmic in the counts."""
        if high is None:
            rest = self.shared(("list", item), name, lambda found: [(item,), (item, COMMA, found)])
        else:
            rest = self._up_to(item, high - low + 1, name)
        if low == 1:
            return rest
        found = self.nonterminal(name)
        self.add(found, (self._exactly(item, low - 1, name), COMMA, rest))
        return found

    def _exactly(self, item: str, count: int, name: str) -> str:
        if count == 1:
            return item

        def bodies(_: str) -> Iterable[Body]:
            yield self._exactly(item, half, name), COMMA, self._exactly(item, count - half, name)

        half = count // 2
        return self.shared(("exactly", item, count), name, bodies)

    def _up_to(self, item: str, count: int, name: str) -> str:
        """1 to `count` items; each number of items is derived in one way."""
        if count == 1:
            return item

        def bodies(_: str) -> Iterable[Body]:
            yield (self._up_to(item, half, name),)
            yield self._exactly(item, half, name), COMMA, self._up_to(item, count - half, name)

        half = count // 2
        return self.shared(("up to", item, count), name, bodies)


def choice(names: Iterable[str]) -> str:
    """What to call a terminal that is one of some."""
    first, *others = names
    text = " | ".join([first, *others])
    return text if len(text) <= _NAME_LENGTH else f"{first[:_NAME_LENGTH]} | ..."
