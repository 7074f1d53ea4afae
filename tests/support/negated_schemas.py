"""Random schemas of the keywords that take values away (`not`, `if`, `oneOf`, `contains`, `uniqueItems`) and others;
judged on all of some small texts against `jsonschema`.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import permutations, product
from typing import Any

from dllm.errors import GrammarError
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.frontends.json_schema.schema import rules_from_schema
from tests.support import schema_suite

SCALARS: tuple[Any, ...] = (None, True, False, 0, 1, 1.0, 2, 2.5, 10, -1, "", "a", "ab", "b", "ba", "é", "ab\n")
KEYS = ("a", "b", "ab")


def _objects(values: Iterable[Any], most: int) -> Iterator[dict[str, Any]]:
    values = list(values)
    for count in range(most + 1):
        for keys in permutations(KEYS, count):
            yield from (dict(zip(keys, chosen, strict=True)) for chosen in product(values, repeat=count))


VALUES: list[Any] = [
    *SCALARS,
    *(list(items) for count in range(4) for items in product((1, 2.5, "a", None), repeat=count)),
    *([], [True, False], [True, 1], [1, 1.0], [[1], [1]], [1, "a", None, 1], [2.5, 2.5, "a", 1], [{}, {"a": 1}]),
    *_objects((1, 2.5, "a", "ab", None), 2),
    *_objects((1, "a"), 3),
    *({"a": {"a": 1}}, {"a": {"b": 1}}, {"a": [1]}, {"a": []}, {"b": {"a": "a"}}, {"a": {}, "b": {}}, {"c": 1}),
]
REPEATED = [
    "{" + ", ".join(f'"{key}": {json.dumps(value)}' for key, value in zip(keys, values, strict=True)) + "}"
    for keys in (("a", "a"), ("a", "b", "a"), ("c", "c"), ("ab", "a", "ab"))
    for values in product((1, "a", None), repeat=len(keys))
]
"""Texts of objects with repeated keys, of which the last one counts."""


def schema(rng: random.Random, depth: int = 2) -> Any:
    """One that has such keywords, or stands inside one."""
    kind = rng.randrange(16 if depth else 6)
    if kind < 6:
        return _plain(rng, depth)
    inner = depth - 1
    if kind < 8:
        return {"not": schema(rng, inner), **_maybe(rng, inner)}
    if kind < 10:
        found = {"if": schema(rng, inner)}
        found |= {key: schema(rng, inner) for key in ("then", "else") if rng.random() < 0.7}
        return found | _maybe(rng, inner)
    if kind < 12:
        return {"oneOf": [schema(rng, inner) for _ in range(rng.choice((2, 2, 3)))], **_maybe(rng, inner)}
    if kind < 14:
        return {**_array(rng, inner), **_maybe(rng, inner)}
    return {rng.choice(("anyOf", "allOf")): [schema(rng, inner) for _ in range(2)], **_maybe(rng, inner)}


def in_draft(rng: random.Random, found: Any) -> Any:
    """The same, maybe for another draft, in which some of its keywords are annotations."""
    if isinstance(found, dict) and rng.random() < 0.3:
        found = {"$schema": rng.choice(list(schema_suite.OLDER.values())), **found}
    return found


def _maybe(rng: random.Random, depth: int) -> dict[str, Any]:
    return _plain(rng, depth) if rng.random() < 0.4 else {}


def _array(rng: random.Random, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "array"} if rng.random() < 0.7 else {}
    if rng.random() < 0.7:
        found["contains"] = schema(rng, depth)
        found |= {key: rng.randrange(3) for key in ("minContains", "maxContains") if rng.random() < 0.4}
    if rng.random() < 0.3:
        found["uniqueItems"] = True
        found["items"] = rng.choice(
            ({"enum": [1, "a", None, 1.0]}, {"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": 2})
        )
    if rng.random() < 0.3:
        found["prefixItems"] = [schema(rng, depth) for _ in range(rng.choice((1, 2)))]
    if rng.random() < 0.3:
        found["maxItems"] = rng.randrange(3)
    return found


def _plain(rng: random.Random, depth: int) -> dict[str, Any]:
    inner = max(0, depth - 1)
    found: dict[str, Any] = {}
    for _ in range(rng.choice((1, 1, 2, 3))):
        key = rng.choice(list(_PLAIN) + list(_INNER) * (depth > 0))
        if key in _INNER:
            held = _INNER[key]
            names = rng.sample(_HELD_BY[key], rng.choice((1, 1, 2))) if held else ()
            found[key] = {name: schema(rng, inner) for name in names} if held else schema(rng, inner)
        else:
            found[key] = rng.choice(_PLAIN[key])
    return found


_PLAIN: dict[str, tuple[Any, ...]] = {
    "type": ("integer", "number", "string", "array", "object", "null", "boolean", ["integer", "object"]),
    "const": (1, "a", None, True, [1], {"a": 1}, {"a": 1, "b": "a"}, 2.5),
    "enum": ([1, "a"], ["a", "ab", None], [2.5, -1, False], [[1], {}, {"a": "a"}]),
    "minimum": (1, 2.5),
    "exclusiveMaximum": (1, 2.5),
    "multipleOf": (1, 2, 5),
    "minLength": (1, 2),
    "maxLength": (0, 1),
    "pattern": ("a", "^a", "b$", "^[ab]$", "^\\w+$"),
    "minItems": (1, 2),
    "maxItems": (0, 1, 2),
    "required": (["a"], ["b"], ["a", "b"], ["ab"]),
    "additionalProperties": (False,),
    "items": (False,),
    "unevaluatedProperties": (False,),
    "unevaluatedItems": (False,),
    "maxProperties": (0, 1),
    "minProperties": (1,),
}
_INNER = {
    "properties": True,
    "additionalProperties": False,
    "items": False,
    "patternProperties": True,
    "propertyNames": False,
    "dependentSchemas": True,
    "unevaluatedProperties": False,
    "unevaluatedItems": False,
}
_HELD_BY = {"properties": KEYS, "patternProperties": ("^a", "b", "^b$"), "dependentSchemas": KEYS}


def orders(value: Any) -> Iterator[str]:
    """The texts of a value with the keys of the outermost object in all orders."""
    if isinstance(value, dict):
        for items in permutations(value.items()):
            yield json.dumps(dict(items))
    else:
        yield json.dumps(value)


def check(
    found: Any, judge: Any, values: Iterable[Any] = VALUES, *, order: str = "any", complete: bool = True
) -> Counter[str]:
    """That the grammar of a schema accepts what is valid, in one order of keys at least, and nothing else.

    Args:
        judge: of `jsonschema`.
        order: of keys, for the grammar.
        complete: whether all that is valid must be accepted.

    Raises:
        AssertionError: it accepts what is invalid, or rejects what is valid in all orders.
    """
    try:
        recogniser = Recogniser(rules_from_schema(found, property_order=order))
    except GrammarError as error:
        if "no value is valid" not in str(error):
            return Counter({f"refused: {str(error).partition(': ')[2][:50]}": 1})
        recogniser = None
    seen = Counter(schemas=1)
    for value in values:
        valid = judge.is_valid(value)
        texts = list(orders(value))
        accepted = [recogniser is not None and recogniser.accepts(text.encode()) for text in texts]
        assert valid or not any(accepted), f"{found}: accepts {texts[accepted.index(True)]}"
        assert not valid or not complete or any(accepted), f"{found}: rejects {texts[0]}"
        seen["valid" if valid else "invalid"] += 1
    for text in REPEATED:
        accepted_too = recogniser is not None and recogniser.accepts(text.encode())
        assert not accepted_too or judge.is_valid(json.loads(text)), f"{found}: accepts {text}"
    return seen
