"""JSON Schemas changed the way people, tools and attackers would, against `jsonschema`.

A schema is drawn (`tests.references.json_sampler`), or taken from a suite, and changed in a few places; now and then it
is one of an older draft, with the forms of that.
"""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from dllm import DllmError, Grammar
from dllm.grammars.frontends.json_schema.keywords import KEYWORDS
from tests.grammars.test_json_schema import validator
from tests.references import json_sampler
from tests.references.json_sampler import TextSampler, spellings
from tests.support import schema_suite
from tests.support.fuzzing import Hang, in_time
from tests.support.schema_cases import SCHEMAS

TEXTS = 4
"""That the grammar writes, of each schema; and twice as many values near them, and as many from nowhere."""
SECONDS = 20.0
"""Of CPU time that no schema may take, answers about its texts included."""
LARGEST = 3_000
"""Productions and terminals of a grammar whose texts are sampled, which is done in plain Python."""
NARROW = '"(const|enum|pattern|format|discriminator|required|minProperties|maxProperties|maxLength|minLength|depend.*)"'
"""Keywords under which valid texts are rejected for the reasons that docs/json-schema.md lists."""
SUITE = [group["schema"] for groups in schema_suite.SUITE.values() for group in groups]
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 4, 8, 9, 16, 256, 257, 1 << 20, 1 << 64, 10**400, 0.5, -0.0, 1e-300, 1.5),
    *("", "a", "^a", "(", "(?=a)", "^(a{1,100}){1,100}$", "(a|b)*a(a|b){20}", "\\p{L}", "x" * 5_000, "\x1b[2J", "\x00"),
    *("\ud800", "é\u202e", "#", "#/", "#/$defs/one", "#/$defs/nothing", "#/properties/a", "http://x/y", "date", "uri"),
    *("string", "integer", "object", "array", ["string", "null"], ["string", "string"], [], {}, [[]], [None], [{}, {}]),
    *({"type": "string"}, {"$ref": "#"}, {"": ""}, ["a", "a"], ["a", "b", "c"], {"a": True}, {"not": {}}, 1e300),
    *({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, {"minItems": 50}, {"maxLength": 200}, {"enum": list(range(300))}),
)
FOREIGN = ("nullable", "$id", "$schema", "$anchor", "$dynamicRef", "dependencies")
FOREIGN += ("definitions", "unevaluatedProperties", "x-own", "maxlength", "$comment", "", "\x1b[2J")
FOREIGN += ("dependentRequired", "dependentSchemas", "id", "additionalItems", "$recursiveRef", "$recursiveAnchor")
FOREIGN += ("$dynamicAnchor", "contentEncoding", "readonly", "example", "propertyNames", "patternProperties")
DRAFTS = (*schema_suite.OLDER.values(), "https://json-schema.org/draft/2020-12/schema")
Note = Counter[str]
UNREAD = (SchemaError, re.error, RecursionError, ValueError, OverflowError)
"""What `jsonschema` raises at schemas that it does not know how to read."""


def schema(rng: random.Random) -> Any:
    """One that is meant well."""
    kind = rng.random()
    if kind < 0.2:
        return copy.deepcopy(rng.choice(SUITE))
    if kind < 0.4:
        return copy.deepcopy(rng.choice(list(SCHEMAS.values())))
    found = json_sampler.schema(rng)
    if isinstance(found, dict):
        found["$defs"] = {"one": json_sampler.schema(rng, 1), "two": json_sampler.schema(rng, 1)}
    return found


def mutated(rng: random.Random, found: Any) -> Any:
    """Changed in one place; the original is changed too."""
    places = _places(found)
    if not places:
        return {rng.choice(list(KEYWORDS)): rng.choice(HOSTILE)}
    node, key = rng.choice(places)
    kind = rng.randrange(10)
    if kind < 2:
        node[key] = copy.deepcopy(rng.choice(HOSTILE))
    elif kind < 4:
        other, there = rng.choice(places)
        node[key] = copy.deepcopy(other[there])
    elif kind == 4:
        del node[key]
    elif kind == 5 and isinstance(node, dict):
        node[rng.choice((*KEYWORDS, *FOREIGN))] = node.pop(key)
    elif kind == 6 and isinstance(node, dict):
        node[rng.choice((*KEYWORDS, *FOREIGN))] = copy.deepcopy(rng.choice(HOSTILE))
    elif kind == 7:
        node[key] = json_sampler.schema(rng, 2)
    elif kind == 8:
        node[key] = wrapped(rng, node[key])
    else:
        found = wrapped(rng, found)
    return found


def wrapped(rng: random.Random, inner: Any) -> Any:
    """Inside another schema, or many."""
    times = rng.choice((1, 1, 1, 2, 5, 40, 300)) if rng.random() < 0.2 else 1
    for _ in range(times):
        key = rng.choice(("items", "anyOf", "allOf", "oneOf", "properties", "prefixItems", "additionalProperties"))
        value: Any = inner
        if key in ("anyOf", "allOf", "oneOf", "prefixItems"):
            value = [inner] if times > 5 else [inner, json_sampler.schema(rng, 1)]
        elif key == "properties":
            value = {rng.choice(json_sampler.KEYS): inner}
        inner = {key: value}
        if rng.random() < 0.3:
            inner["minItems"] = rng.choice((1, 2, 50))
    return inner


def in_forms_of(rng: random.Random, found: Any, draft: str) -> Any:
    """What means about the same in a draft, as people would have written it there, with ids here and there."""
    if isinstance(found, list):
        return [in_forms_of(rng, one, draft) for one in found]
    if not isinstance(found, dict):
        return found
    made = {key: in_forms_of(rng, value, draft) for key, value in found.items()}
    if draft != DRAFTS[-1] and isinstance(made.get("prefixItems"), list):
        if "items" in made:
            made["additionalItems"] = made.pop("items")
        made["items"] = made.pop("prefixItems")
    if draft == DRAFTS[0]:
        for bound in ("minimum", "maximum"):
            exclusive = f"exclusive{bound.capitalize()}"
            if exclusive in made:
                made[bound], made[exclusive] = made[exclusive], rng.random() < 0.7
        if "const" in made:
            made["enum"] = [made.pop("const")]
    if rng.random() < 0.08:
        made["patternProperties"] = {
            rng.choice(json_sampler.PATTERNS): json_sampler.schema(rng, 2) for _ in range(rng.choice((1, 1, 2)))
        }
    if rng.random() < 0.04 and draft != DRAFTS[0]:
        made["propertyNames"] = rng.choice(({"maxLength": 2}, {"pattern": rng.choice(json_sampler.PATTERNS)}, True))
    if rng.random() < 0.05:
        name = rng.choice(("http://x/y", "z", "#name", "urn:x:y"))
        made["id" if draft == DRAFTS[0] else "$anchor" if name[0] == "#" and "20" in draft else "$id"] = name.strip("#")
    if rng.random() < 0.05:
        key, other = rng.choice(json_sampler.KEYS), rng.choice(json_sampler.KEYS)
        if "20" in draft:
            made["dependentRequired"] = {key: [other]}
            made["dependentSchemas"] = {other: json_sampler.schema(rng, 2)}
        else:
            made["dependencies"] = {key: [other], other: json_sampler.schema(rng, 2)}
    return made


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Container and key of every value inside."""
    found, level = [], [tree] if isinstance(tree, dict | list) else []
    while level and len(found) < 2_000:
        inner = []
        for node in level:
            keys = list(node)[:50] if isinstance(node, dict) else range(min(50, len(node)))
            found += [(node, key) for key in keys]
            inner += [node[key] for key in keys if isinstance(node[key], dict | list)]
        level = inner
    return found


def check(rng: random.Random, count: int = TEXTS) -> Note:
    """One schema: a `DllmError`, or a grammar whose texts are valid and which accepts what is valid.

    Raises:
        AssertionError: an invalid text, a valid one that is rejected for no reason, another error, too much time.
    """
    found = schema(rng)
    if isinstance(found, dict) and rng.random() < 0.5:
        found["$schema"] = rng.choice(DRAFTS)
        if rng.random() < 0.7:
            found = in_forms_of(rng, found, found["$schema"])
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        with suppress(RecursionError):  # of copies: it is nested deeply already
            found = mutated(rng, found)
    told = _told(found)
    order = rng.choice(("any", "any", "schema"))
    began = time.process_time()
    try:
        grammar = Grammar.from_json_schema(found, property_order=order)
        grammar.accepts("")
    except DllmError as error:
        spent = time.process_time() - began
        assert spent < SECONDS, f"{told} took {spent:.1f} s to be refused: {error}"
        assert len(str(error)) < 4000, f"{told}: an error of {len(str(error))} characters"
        return Note(refused=1)
    spent = time.process_time() - began
    assert spent < SECONDS, f"{told} took {spent:.1f} s"
    try:
        judge = validator(found)
    except UNREAD as error:
        return Note({f"jsonschema refuses it: {type(error).__name__}": 1})
    complete = order == "any" and not re.search(NARROW, json.dumps(found))
    values = _values(rng, grammar, count)
    return Note(schemas=1) + judged(grammar, judge, values, told, complete=complete)


def judged(grammar: Grammar, judge: Any, values: list[tuple[bool, Any]], told: str, *, complete: bool) -> Note:
    """What the grammar says of all spellings of some values, against what the judge says of the values.

    Args:
        values: whether each must be valid, and it.
        told: the schema, for the errors.
        complete: whether all that is valid must be accepted.

    Raises:
        AssertionError: they differ, or it takes too long.
    """
    seen = Note({"valid by construction": sum(certain for certain, _ in values)})
    for certain, value in values:
        try:
            with in_time(5.0):
                valid = judge.is_valid(value)
        except (Hang, re.error, RecursionError, OverflowError, Unresolvable) as error:
            seen[f"jsonschema cannot tell: {type(error).__name__}"] += 1
            continue
        assert valid or not certain, f"{told}: wrote {value!r}"
        for text in map(bytes.decode, spellings(value)):
            if re.search("Infinity|NaN", text):
                continue  # not JSON, though Python writes it
            began = time.process_time()
            accepted = grammar.accepts(text)
            spent = time.process_time() - began
            assert spent < SECONDS, f"{told}: took {spent:.1f} s to read {text!r:.200}"
            assert valid or not accepted, f"{told}: accepts {text!r}"
            if complete and not re.search(r"\\u|[0-9][eE]|[0-9]{16}", text):
                assert accepted == valid, f"{told}: rejects {text!r}"
            seen["valid" if valid else "invalid"] += 1
    return seen


def _told(found: Any) -> str:
    try:
        return repr(found)[:3000]
    except RecursionError:
        return "a schema that is nested deeply"


def _values(rng: random.Random, grammar: Grammar, count: int) -> list[tuple[bool, Any]]:
    """Values of texts that the grammar writes (True), and others."""
    rules = grammar.rules
    found = [(False, json_sampler.value(rng)) for _ in range(2 * count)]
    size = sum(map(len, rules.productions.values())) + len(rules.terminals)
    if size > LARGEST:
        return found
    try:
        with in_time(10.0):
            sampler = TextSampler(rules)
            texts = [sampler.text(rng.randrange(1 << 30), 12) for _ in range(count)]
    except Hang:  # the sampler is plain Python
        return found
    for text in texts:
        assert grammar.accepts(text), f"rejects what it writes: {text!r}"
        value = json.loads(text)
        found.append((True, value))
        for _ in range(2):
            with suppress(OverflowError):  # half more than a number that no double holds
                found.append((False, json_sampler.near(rng, value)))
    return found
