"""The productions and terminals of one grammar, as forms add to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.tidy import tidied
from dllm.grammars.regex import Regex, chars, literal, plus
from dllm.grammars.rules import AnyOrder, Body, Members, Rules, Terminal

MAX_PRODUCTIONS = 20_000
_NAME_LENGTH = 60
_PUNCTUATION = "{}[],:"
OPEN, CLOSE, BEGIN, END, COMMA, COLON = (f"'{char}'" for char in _PUNCTUATION)
_WHITE_SPACE = "WHITE_SPACE"


class Productions:
    """Collects the productions and terminals of one grammar. Nonterminals are called by places in the schema.

    Args:
        places: name of a schema -> where it is.
        order: in which keys come: "auto", "any" or "schema".

    Attributes:
        order: as above.
        place: of the schema whose productions are added.
        pending: demands of which a nonterminal was asked for, but which have no productions yet.
    """

    def __init__(self, places: Mapping[str, str], order: str) -> None:
        self.order = order
        self.place = "#"
        self.pending: list[tuple[str, ...]] = []
        self._places = places
        self._bodies: dict[str, list[Body]] = {}
        self._lists: dict[str, AnyOrder] = {}
        self._count = 0
        self._terminals: dict[Regex, Terminal] = {}
        self._names: set[str] = set()
        self._values: dict[tuple[str, ...], str] = {}
        self._shared: dict[Sequence[str | int], str] = {}
        for char in _PUNCTUATION:
            self.terminal(f"'{char}'", literal(char))

    def rules(self, start: str) -> Rules:
        """The grammar of the nonterminal `start`, made small; it has no productions if it has no text."""
        space = Terminal(_WHITE_SPACE, plus(chars(" \t\n\r")))
        terminals = tuple(self._terminals.values())
        productions = {name: tuple(bodies) for name, bodies in self._bodies.items()}
        members = Members(OPEN, CLOSE, COMMA, COLON, self._lists) if self._lists else None
        return tidied(Rules(start, productions, (*terminals, space), frozenset({_WHITE_SPACE}), members=members))

    def _unique(self, name: str) -> str:
        found, count = name, 1
        while found in self._names:
            count += 1
            found = f"{name}_{count}"
        self._names.add(found)
        return found

    def terminal(self, name: str, tree: Regex, keywords: str = "") -> str:
        """The terminal of `tree`, called `name` if it is new; `keywords` ask for it, for errors about its size."""
        if tree not in self._terminals:
            asked = f"{keywords} at {self.place}" if keywords else ""
            self._terminals[tree] = Terminal(self._unique(name), tree, asked=asked)
        return self._terminals[tree].name

    def nonterminal(self, name: str) -> str:
        """A new nonterminal, called `name` or much like it."""
        found = self._unique(name)
        self._bodies[found] = []
        return found

    def add(self, name: str, *bodies: Body) -> None:
        """More productions of a nonterminal.

        Raises:
            GrammarError: there are too many.
        """
        self._bodies[name] += bodies
        self._count += len(bodies)
        if self._count > MAX_PRODUCTIONS:
            raise GrammarError(
                f"JSON schema: it takes over {MAX_PRODUCTIONS} productions; make it smaller, or pass "
                "property_order='schema' if objects have many required keys"
            )

    def any_order(self, required: Sequence[str], others: Sequence[str], name: str) -> str:
        """A new nonterminal of members in any order, called `name` or much like it."""
        found = self._unique(name)
        self._lists[found] = AnyOrder(tuple(required), tuple(others))
        return found

    def shared(self, key: Sequence[str | int], name: str, bodies: Callable[[str], Iterable[Body]]) -> str:
        """The one nonterminal of `key`; if new, it is called `name`, and has the `bodies` of what it is called."""
        if key not in self._shared:
            self._shared[key] = found = self.nonterminal(name)
            self.add(found, *bodies(found))
        return self._shared[key]

    def value(self, demand: tuple[str, ...]) -> str:
        """The nonterminal of the values that satisfy the schemas of these names."""
        if demand not in self._values:
            self._values[demand] = self.nonterminal("_".join(self.place_of(demand).split()))
            self.pending.append(demand)
        return self._values[demand]

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
