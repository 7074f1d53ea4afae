"""Random JSON texts of a grammar, random values near a given one, and random schemas."""

import json
import random
from collections.abc import Iterator
from typing import Any

from dllm.grammars.rules import Rules
from dllm.grammars.tables.automata import Dfa, dfa
from dllm.grammars.tables.steps import DEAD

KEYS = ["a", "b", "name", "nam", "é", 'q"\\', ""]
STRINGS = [
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "A-1",
    "name",
    "é",
    "日本",
    "😀😀",
    'q"\\\n',
    "2024-02-29",
    "x" * 17,
    "ab\n",
    "\x1c",
    "\u0660",
]
NUMBERS = [0, 1, -1, 2, 3, 5, 7, 10, 99, 100, 101, -100, 1.0, 0.5, -0.5, 2.5, 2.0, 99.99, 1e15, 12345678901234567890]
PATTERNS = [
    "^a",
    "b$",
    "^[a-z]+$",
    "^[A-Z]-\\d$",
    "a|b",
    "^.{2,3}$",
    "^(ab)*c?$",
    "[^a]",
    "^\\w+$",
    "\\s",
    "\\S\\W",
    "^\\D*$",
]
PATTERNS += ["^$", "[\\s\\S]{3}", "^[^\\d\\s]{1,3}$", "x{2,}$"]


class TextSampler:
    """Texts of a grammar, the same ones for the same seed. Lexemes are walks through automata, escapes and all."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.machines = {terminal.name: _Walk(dfa([terminal.pattern])) for terminal in rules.terminals}
        self.lists = {} if rules.members is None else rules.members.lists
        self.least = dict.fromkeys(self.machines, 1)
        changed = True
        while changed:
            changed = False
            for name, bodies in rules.productions.items():
                sizes = [1 + sum(self.least[s] for s in body) for body in bodies if all(s in self.least for s in body)]
                if sizes and min(sizes) < self.least.get(name, 1 << 30):
                    self.least[name], changed = min(sizes), True
            for name, own in self.lists.items():
                if name not in self.least and all(s in self.least for s in own.required):
                    self.least[name], changed = 2 * sum(self.least[s] for s in own.required), True

    def text(self, seed: int, size: int = 30) -> str:
        """A text of about up to `size` lexemes, with white space between some if it is ignored."""
        rng = random.Random(seed)
        made = b""
        todo = [self.rules.start]
        while todo:
            symbol = todo.pop()
            if symbol in self.machines:
                made += self.machines[symbol].bytes(rng)
                if self.rules.ignored:
                    made += rng.choice([b"", b"", b"", b" ", b"\n", b"\t\r "])
                size -= 1
                continue
            if symbol in self.lists:
                todo += self._members(rng, symbol, short=size <= sum(self.least[s] for s in todo))
                continue
            bodies = list(self.rules.productions[symbol])
            if size <= sum(self.least[s] for s in todo):
                least = min(sum(self.least[s] for s in body) for body in bodies)
                bodies = [body for body in bodies if sum(self.least[s] for s in body) == least]
            todo += reversed(rng.choice(bodies))
        return made.decode()

    def _members(self, rng: random.Random, name: str, short: bool) -> list[str]:
        """The symbols of a list: required members in any order, others between."""
        own = self.lists[name]
        others = [one for one in own.others if one in self.least]
        found = [*own.required, *([] if short or not others else rng.choices(others, k=rng.randint(0, 2)))]
        rng.shuffle(found)
        return [symbol for one in found for symbol in (own.comma, one)][1:]


class _Walk:
    """Random texts of an automaton."""

    def __init__(self, machine: Dfa) -> None:
        self.ways: list[dict[int, list[int]]] = []
        for row in machine.table.tolist():
            ways: dict[int, list[int]] = {}
            for byte, target in enumerate(row):
                if target != DEAD:
                    ways.setdefault(target, []).append(byte)
            self.ways.append(ways)
        self.far = [0 if accepted else 1 << 30 for accepted in machine.accepts]
        changed = True
        while changed:
            changed = False
            for state, ways in enumerate(self.ways):
                near = min((self.far[target] + 1 for target in ways), default=1 << 30)
                if near < self.far[state]:
                    self.far[state], changed = near, True

    def bytes(self, rng: random.Random) -> bytes:
        state, made, patience = 0, bytearray(), rng.choice([0, 3, 10, 40])  # bytes before it heads for the end
        while True:
            if self.far[state] == 0 and (len(made) >= patience or not self.ways[state] or rng.random() < 0.1):
                return bytes(made)
            targets = list(self.ways[state])
            if len(made) >= patience:
                targets = [target for target in targets if self.far[target] < self.far[state]]
            target = rng.choice(targets)
            made.append(rng.choice(self.ways[state][target]))
            state = target


def value(rng: random.Random, depth: int = 2) -> Any:
    """A small JSON value."""
    kind = rng.randrange(8 if depth else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        return rng.choice(NUMBERS)
    if kind in (3, 4):
        return rng.choice(STRINGS)
    if kind == 5:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def near(rng: random.Random, found: Any) -> Any:
    """A value that differs from `found` in one place."""
    if isinstance(found, list) and found and rng.random() < 0.8:
        index, kind = rng.randrange(len(found)), rng.randrange(4)
        changed = [near(rng, found[index])] if kind < 2 else [] if kind == 2 else [found[index], value(rng, 1)]
        return [*found[:index], *changed, *found[index + 1 :]]
    if isinstance(found, dict) and found and rng.random() < 0.8:
        key, kind = rng.choice(list(found)), rng.randrange(5)
        items = dict(found)
        if kind < 2:
            items[key] = near(rng, items[key])
        elif kind == 2:
            del items[key]
        elif kind == 3:
            items[rng.choice(KEYS)] = value(rng, 1)
        else:
            items = {name: items[name] for name in sorted(items, key=lambda _: rng.random())}
        return items
    if isinstance(found, str) and found and rng.random() < 0.6:
        at = rng.randrange(len(found))
        return found[:at] + rng.choice(["", "0", "z", found[at] * 2]) + found[at + 1 :]
    if isinstance(found, int | float) and not isinstance(found, bool) and rng.random() < 0.6:
        return found + rng.choice([1, -1, 0.5, -found])
    return value(rng, 1)


def schema(rng: random.Random, depth: int = 3) -> Any:
    """A random schema of supported keywords (some combinations may still be refused, or accept nothing)."""
    kind = rng.randrange(17)
    if kind == 0:
        return rng.choice([True, True, False, {}])
    if kind == 1:
        return {"const": value(rng, 1)}
    if kind == 2:
        return {"enum": [value(rng, 1) for _ in range(1 + rng.randrange(4))]}
    if kind == 3 and depth:
        return {"anyOf": [schema(rng, depth - 1) for _ in range(1 + rng.randrange(3))], **_typed(rng, 0, 0.3)}
    if kind == 4 and depth:
        return {"allOf": [schema(rng, depth - 1) for _ in range(1 + rng.randrange(3))], **_typed(rng, 0, 0.3)}
    if kind == 5 and depth:
        return {"oneOf": [schema(rng, depth - 1) for _ in range(1 + rng.randrange(3))]}
    if kind == 6:
        return {"$ref": rng.choice(["#", "#/$defs/one", "#/$defs/two"]), **_typed(rng, 0, 0.2)}
    if kind == 7 and depth:
        return {"not": schema(rng, depth - 1), **_typed(rng, depth - 1, 0.5)}
    if kind == 8 and depth:
        ways = {key: schema(rng, depth - 1) for key in ("if", "then", "else") if key == "if" or rng.random() < 0.7}
        return {**ways, **_typed(rng, depth - 1, 0.5)}
    return _typed(rng, depth, 1.0)


def _typed(rng: random.Random, depth: int, share: float) -> dict[str, Any]:
    if rng.random() > share:
        return {}
    types = ["null", "boolean", "integer", "number", "string", "array", "object"]
    found: dict[str, Any] = {}
    if rng.random() < 0.7:
        found["type"] = rng.choice(types) if rng.random() < 0.7 else rng.sample(types, rng.randrange(1, 4))
    for _ in range(rng.randrange(4)):
        found |= _keyword(rng, depth)
    return found


def _keyword(rng: random.Random, depth: int) -> dict[str, Any]:
    inner = max(0, depth - 1)
    if (not depth and rng.random() < 0.7) or rng.random() < 0.5:
        return rng.choice(
            [
                {rng.choice(["minimum", "exclusiveMinimum"]): rng.choice([-1, 0, 1, 0.5, 2.0, 3])},
                {rng.choice(["maximum", "exclusiveMaximum"]): rng.choice([0, 1, 2.5, 5, 99.99, 100])},
                {"multipleOf": rng.choice([1, 2, 5, 10, 4])},
                {"minLength": rng.randrange(4)},
                {"maxLength": rng.choice([0, 1, 2, 3, 17])},
                {"pattern": rng.choice(PATTERNS)},
                {"format": "date"},
            ]
        )
    if rng.random() < 0.4:
        return rng.choice(
            [
                {"items": schema(rng, inner)},
                {"prefixItems": [schema(rng, inner) for _ in range(1 + rng.randrange(2))]},
                {"minItems": rng.randrange(4)},
                {"maxItems": rng.randrange(4)},
                {"contains": schema(rng, inner)},
                {"contains": schema(rng, inner), rng.choice(["minContains", "maxContains"]): rng.randrange(3)},
                {"uniqueItems": True, "items": rng.choice([{"enum": [1, "a", None, 2.5]}, {"type": "boolean"}])},
            ]
        )
    return rng.choice(
        [
            {"properties": {rng.choice(KEYS): schema(rng, inner) for _ in range(rng.randrange(4))}},
            {"properties": {rng.choice(KEYS): schema(rng, inner) for _ in range(rng.randrange(4))}},
            {"required": rng.sample(KEYS, rng.randrange(3))},
            {"additionalProperties": schema(rng, inner)},
            {"minProperties": rng.randrange(2)},
            {"maxProperties": rng.randrange(3)},
        ]
    )


def spellings(found: Any) -> Iterator[bytes]:
    """Texts that mean one value."""
    yield json.dumps(found, separators=(",", ":")).encode()
    yield json.dumps(found, indent=2).encode()
    yield json.dumps(found, ensure_ascii=False).encode()
