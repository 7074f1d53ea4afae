"""From the forms of a JSON Schema to productions over lexemes of JSON."""

from __future__ import annotations

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.demands import Keywords
from dllm.grammars.frontends.json_schema.forms import (
    ArrayForm,
    Form,
    NumberForm,
    ObjectForm,
    StringForm,
    Wanted,
    WordForm,
)
from dllm.grammars.frontends.json_schema.lexemes import lexeme
from dllm.grammars.frontends.json_schema.spelling import any_but, as_json, quoted_text
from dllm.grammars.frontends.json_schema.tidy import tidied
from dllm.grammars.regex import Regex, chars, literal, plus
from dllm.grammars.rules import Rules, Terminal

MAX_UNORDERED = 8
"""So many required keys may come in any order: it takes a nonterminal for each set of those still missing."""
MAX_PRODUCTIONS = 20_000
_WHITE_SPACE = "WHITE_SPACE"
_OPEN, _CLOSE, _BEGIN, _END, _COMMA, _COLON = (f"'{char}'" for char in "{}[],:")

Body = tuple[str, ...]


class Productions:
    """Collects the productions and terminals of one grammar.

    Args:
        keywords: reads the schemas.
        ordered: keys come in the order of the schema.
    """

    def __init__(self, keywords: Keywords, ordered: bool) -> None:
        self.keywords = keywords
        self.ordered = ordered
        self.bodies: dict[str, list[Body]] = {}
        self._count = 0
        self._terminals: dict[Regex, str] = {}
        self._names: set[str] = set()
        self._symbols: dict[object, str] = {}
        self._queue: list[Wanted] = []
        for char in "{}[],:":
            self._terminal(f"'{char}'", literal(char))

    def rules(self, wanted: Wanted) -> Rules:
        """The grammar of the values that satisfy `wanted`; it has no productions where there are none."""
        start = self._value(wanted)
        while self._queue:
            one = self._queue.pop()
            name = self._value(one)
            for form in self.keywords.checked_forms(one):
                if self.keywords.possible_form(form):
                    self._add(name, *self._of_form(form, name))
        space = Terminal(_WHITE_SPACE, plus(chars(" \t\n\r")))
        terminals = tuple(Terminal(name, tree) for tree, name in self._terminals.items())
        productions = {name: tuple(bodies) for name, bodies in self.bodies.items()}
        return tidied(Rules(start, productions, (*terminals, space), frozenset({_WHITE_SPACE})))

    def _of_form(self, form: Form, name: str) -> list[Body]:
        match form:
            case WordForm() | NumberForm() | StringForm():
                return [(self._terminal(*lexeme(form, name)),)]
            case ArrayForm():
                return self._array(form, name)
            case ObjectForm():
                return self._object(form, name)

    # names

    def _unique(self, name: str) -> str:
        found, count = name, 1
        while found in self._names:
            count += 1
            found = f"{name}_{count}"
        self._names.add(found)
        return found

    def _terminal(self, name: str, tree: Regex) -> str:
        """The terminal of `tree`, called `name` if it is new."""
        if tree not in self._terminals:
            self._terminals[tree] = self._unique(name)
        return self._terminals[tree]

    def _nonterminal(self, name: str) -> str:
        found = self._unique(name)
        self.bodies[found] = []
        return found

    def _add(self, name: str, *bodies: Body) -> None:
        self.bodies[name] += bodies
        self._count += len(bodies)
        if self._count > MAX_PRODUCTIONS:
            raise GrammarError(
                f"JSON schema: it takes over {MAX_PRODUCTIONS} productions; make it smaller, or pass "
                "property_order='schema' if objects have many required keys"
            )

    def _value(self, wanted: Wanted) -> str:
        """The nonterminal of the values that satisfy `wanted`."""
        if wanted not in self._symbols:
            place = self.keywords.places.get(wanted[-1], "never") if wanted else "any"
            self._symbols[wanted] = self._nonterminal("_".join(place.split()))
            self._queue.append(wanted)
        return self._symbols[wanted]

    # arrays

    def _array(self, form: ArrayForm, name: str) -> list[Body]:
        known = len(form.prefix)
        if form.high is not None:
            known = min(known, form.high)
        bodies: list[Body] = [(_BEGIN, _END)] if form.low == 0 else []
        # whatever is behind the items up to here; the items that must be there are written out in one body
        rest: str | None = None
        if form.high is None or form.high > known:
            high = None if form.high is None else form.high - known
            rest = self._listing(self._value(form.rest), max(form.low - known, 1), high, f"{name}:items")
        for index in range(known - 1, -1, -1):
            item = self._value(form.prefix[index])
            after = self._nonterminal(f"{name}:items")
            if form.low <= index + 1:
                self._add(after, (item,))
            if rest is not None:
                self._add(after, (item, _COMMA, rest))
            rest = after
        return bodies if rest is None else [*bodies, (_BEGIN, rest, _END)]

    def _listing(self, item: str, low: int, high: int | None, name: str) -> str:
        """`low` >= 1 to `high` items with commas between, in productions logarithmic in the counts."""
        if high is None:
            if ("list", item) not in self._symbols:
                self._symbols["list", item] = found = self._nonterminal(name)
                self._add(found, (item,), (item, _COMMA, found))
            rest = self._symbols["list", item]
        else:
            rest = self._up_to(item, high - low + 1, name)
        if low == 1:
            return rest
        found = self._nonterminal(name)
        self._add(found, (self._exactly(item, low - 1, name), _COMMA, rest))
        return found

    def _exactly(self, item: str, count: int, name: str) -> str:
        if count == 1:
            return item
        if ("exactly", item, count) not in self._symbols:
            self._symbols["exactly", item, count] = found = self._nonterminal(name)
            half = count // 2
            self._add(found, (self._exactly(item, half, name), _COMMA, self._exactly(item, count - half, name)))
        return self._symbols["exactly", item, count]

    def _up_to(self, item: str, count: int, name: str) -> str:
        """1 to `count` items; each number of items is derived in one way."""
        if count == 1:
            return item
        if ("up to", item, count) not in self._symbols:
            self._symbols["up to", item, count] = found = self._nonterminal(name)
            half = count // 2
            self._add(found, (self._up_to(item, half, name),))
            self._add(found, (self._exactly(item, half, name), _COMMA, self._up_to(item, count - half, name)))
        return self._symbols["up to", item, count]

    # objects

    def _object(self, form: ObjectForm, name: str) -> list[Body]:
        """Its bodies. Optional keys may come again and again: the last counts, and each alone is valid."""
        possible = self.keywords.possible
        optional = [key for key, wanted in form.named if key not in form.required and possible(wanted)]
        free = possible(form.free)
        if form.high == len(form.required):
            optional, free = [], False
        most = None if free else len(form.required) + len(optional)
        least = max(len(form.required), 1)
        if most is not None and form.low > most:
            return []
        if form.low > least or (form.high is not None and form.required and (most is None or form.high < most)):
            raise GrammarError(
                f"JSON schema at {name}: minProperties={form.low} and maxProperties={form.high} are not supported "
                f"here, where {len(form.required)} keys are required and others may come: a grammar cannot tell "
                "repeated keys apart; remove them, or require the keys by name"
            )
        pairs = {key: self._pair(self._terminal(as_json(key), quoted_text(key)), form.of(key)) for key, _ in form.named}
        others = self._pair(self._terminal("KEY" if form.named else "STRING", any_but([*pairs])), form.free)
        bodies: list[Body] = [] if form.required or form.low else [(_OPEN, _CLOSE)]
        if form.high is not None and not form.required and (most is None or form.high < most):
            extra = self._either([pairs[key] for key in optional] + [others] * free, name)
            return [*bodies, (_OPEN, self._listing(extra, 1, form.high, name), _CLOSE)] if form.high else bodies
        if self.ordered or form.fixed:
            kept = [(pairs[key], key in form.required) for key in pairs if key in form.required or key in optional]
            members = self._in_order(kept, others if free else None, name)
        else:
            extra = self._either([pairs[key] for key in optional] + [others] * free, name)
            members = self._any_order(form, pairs, extra, name)
        return [*bodies, (_OPEN, members, _CLOSE)]

    def _pair(self, key: str, wanted: Wanted) -> str:
        value = self._value(wanted)
        if ("pair", key, value) not in self._symbols:
            self._symbols["pair", key, value] = found = self._nonterminal(f"{value}:pair")
            self._add(found, (key, _COLON, value))
        return self._symbols["pair", key, value]

    def _either(self, symbols: list[str], name: str) -> str:
        found = self._nonterminal(f"{name}:extra")
        self._add(found, *((symbol,) for symbol in symbols))
        return found

    def _in_order(self, pairs: list[tuple[str, bool]], others: str | None, name: str) -> str:
        """At least one member: `pairs` one after the other, those that are not required perhaps left out."""
        rest: str | None = None if others is None else self._listing(others, 1, None, f"{name}:more")
        may_end = True  # whether nothing need come behind
        for pair, needed in reversed(pairs):
            here = self._nonterminal(f"{name}:members")
            if may_end:
                self._add(here, (pair,))
            if rest is not None:
                self._add(here, (pair, _COMMA, rest))
                if not needed:
                    self._add(here, (rest,))
            rest, may_end = here, may_end and not needed
        return rest or self._nonterminal(f"{name}:members")

    def _any_order(self, form: ObjectForm, pairs: dict[str, str], extra: str, name: str) -> str:
        """At least one member: each required one once, `extra` any number of times between."""
        if len(form.required) > MAX_UNORDERED:
            raise GrammarError(
                f"JSON schema at {name}: {len(form.required)} required keys in any order, but at most {MAX_UNORDERED} "
                "are supported; pass property_order='schema', under which they come in the order of the schema"
            )
        names: dict[frozenset[str], str] = {}
        queue: list[frozenset[str]] = []

        def missing(keys: frozenset[str]) -> str:
            if keys not in names:
                names[keys] = self._nonterminal(f"{name}:members")
                queue.append(keys)
            return names[keys]

        start = missing(frozenset(form.required))
        for keys in queue:  # grows
            here = names[keys]
            for key in form.required:
                if key in keys:
                    self._add(here, (pairs[key], _COMMA, missing(keys - {key})))
                    if len(keys) == 1:
                        self._add(here, (pairs[key],))
            self._add(here, (extra, _COMMA, here))
            if not keys:
                self._add(here, (extra,))
        return start
