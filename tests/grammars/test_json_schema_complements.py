"""JSON Schema keywords that take values away: on all of some small texts, against `jsonschema`; and by hand."""

import random
from typing import Any

import pytest

from dllm.errors import GrammarError
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.frontends.json_schema.schema import rules_from_schema
from tests.grammars.test_json_schema import accepts, validator
from tests.support import negated_schemas

INT, TEXT, OBJECT = {"type": "integer"}, {"type": "string"}, {"type": "object"}
CLOSED = {"additionalProperties": False, "type": "object"}
CASES: dict[str, dict[str, Any]] = {
    "not a type": {"not": {"type": ["string", "object"]}},
    "not whole": {"type": "number", "not": INT},
    "not within bounds": {"not": {"minimum": 1, "exclusiveMaximum": 2.5}},
    "not a multiple": {"type": "integer", "not": {"multipleOf": 5}},
    "a multiple of one, not of the other": {"multipleOf": 2, "not": {"multipleOf": 5}, "type": "number"},
    "not some numbers": {"not": {"enum": [1, 2.5, 10]}, "type": "number"},
    "not some texts": {"not": {"enum": ["a", "", 1, None]}},
    "not a pattern": {"not": {"pattern": "^a"}},
    "not a length": {"not": {"minLength": 1, "maxLength": 1}},
    "not an array": {"not": {"const": [1, "a"]}},
    "not an object": {"not": {"const": {"a": 1, "b": "a"}}},
    "no such items": {"type": "array", "not": {"items": INT}},
    "no such first items": {"type": "array", "not": {"prefixItems": [INT, TEXT], "items": False}},
    "not so many items": {"not": {"minItems": 1, "maxItems": 2}},
    "not required": {"not": {"required": ["a"]}},
    "not both": {"type": "object", "not": {"required": ["a", "b"]}},
    "no such value": {"type": "object", "not": {"properties": {"a": INT, "b": TEXT}}},
    "another key": {"type": "object", "not": {"properties": {"a": True}, "additionalProperties": False}},
    "another key's value": {"type": "object", "not": {"properties": {"a": True}, "additionalProperties": INT}},
    "a key of a pattern": {"type": "object", "not": {"patternProperties": {"^a": INT}}},
    "a name": {"type": "object", "not": {"propertyNames": {"pattern": "^a"}}},
    "not not": {"not": {"not": {"type": "object", "properties": {"a": INT}}}},
    "not any": {"not": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}, TEXT]}},
    "not all": {"not": {"allOf": [{"required": ["a"]}, {"properties": {"b": INT}}]}},
    "not one": {"not": {"oneOf": [INT, {"minimum": 1}]}},
    "inside": {"properties": {"a": {"not": {"properties": {"a": INT}, "required": ["a"]}}}, "type": "object"},
    "recursive": {"type": ["object", "null"], "properties": {"a": {"not": {"$ref": "#"}}}},
    "if": {"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}, "else": {"required": ["ab"]}},
    "if without else": {"if": INT, "then": {"minimum": 2}},
    "if without then": {"if": {"required": ["a"]}, "else": {"maxProperties": 0}},
    "if not": {"if": {"not": {"required": ["a"]}}, "then": {"required": ["b"]}},
    "one of two that overlap": {"oneOf": [INT, {"minimum": 2}]},
    "one key": {"type": "object", "oneOf": [{"required": [key]} for key in negated_schemas.KEYS]},
    "one of an enum and a type": {"oneOf": [{"enum": ["a", 1]}, TEXT]},
    "one of two closed objects": {"oneOf": [{"properties": {key: INT}, **CLOSED} for key in "ab"]},
    "one of two discriminated values": {
        "oneOf": [
            {"properties": {"a": {"enum": [one]}, "b": {"type": kind}}} for one, kind in ((1, "null"), ("a", "string"))
        ],
        "type": "object",
    },
    "one of nested ones": {"oneOf": [{"items": {"oneOf": [INT, {"const": 1}, TEXT]}}, {"minItems": 2}]},
    "contains": {"contains": INT},
    "contains some": {"contains": TEXT, "minContains": 2, "maxContains": 2},
    "contains few": {"contains": {"not": TEXT}, "maxContains": 1, "minContains": 0, "type": "array"},
    "contains behind": {"prefixItems": [TEXT], "contains": {"const": "a"}, "maxItems": 2},
    "contains anything": {"contains": True, "maxContains": 2},
    "contains nothing": {"contains": False, "minContains": 0},
    "contains two": {"allOf": [{"contains": INT}, {"contains": TEXT}], "type": "array"},
    "does not contain": {"not": {"contains": INT}},
    "does not contain so many": {"not": {"contains": INT, "minContains": 1, "maxContains": 2}},
    "unique words": {"uniqueItems": True, "items": {"type": ["boolean", "null"]}, "type": "array"},
    "unique values": {"uniqueItems": True, "items": {"enum": [1, "a", None, 1.0, 2.5]}, "minItems": 1},
    "unique numbers": {"uniqueItems": True, "items": {"type": "integer", "minimum": 0, "maximum": 2}, "maxItems": 2},
    "unique and different": {
        "uniqueItems": True,
        "prefixItems": [{"enum": [1, "a"]}],
        "items": {"enum": [1, None, 2.5]},
    },
    "unique where there is one": {"uniqueItems": True, "maxItems": 1},
    "no other key": {"allOf": [{"properties": {"a": INT}}], "properties": {"b": True}, "unevaluatedProperties": False},
    "no other key than those of the branches": {
        "anyOf": [{"properties": {"a": INT}, "required": ["a"]}, {"properties": {"b": TEXT}, "required": ["b"]}],
        "unevaluatedProperties": {"type": "null"},
        "type": "object",
    },
    "no other key than those of if": {
        "if": {"properties": {"a": {"const": 1}}, "required": ["a"]},
        "then": {"properties": {"b": True}},
        "else": {"patternProperties": {"^a": True}},
        "unevaluatedProperties": False,
    },
    "no other key than those of one": {
        "oneOf": [{"required": ["a"], "properties": {"a": True}}, {"required": ["b"], "properties": {"b": True}}],
        "dependentSchemas": {"a": {"properties": {"ab": INT}}},
        "unevaluatedProperties": False,
    },
    "no other item": {"allOf": [{"prefixItems": [INT]}], "unevaluatedItems": False},
    "no other item than those that count": {
        "contains": INT,
        "prefixItems": [TEXT],
        "unevaluatedItems": {"type": "null"},
    },
    "no item that only objects tell": {
        "dependentSchemas": {"a": {"items": True}},
        "unevaluatedItems": TEXT,
        "type": ["array", "object"],
    },
    "not without others": {"not": {"properties": {"a": INT}, "unevaluatedProperties": False}},
    "equal items": {"not": {"uniqueItems": True, "items": {"type": ["boolean", "null"]}}, "type": "array"},
}


@pytest.mark.parametrize("name", CASES)
def test_all_small_values(name):
    assert negated_schemas.check(CASES[name], validator(CASES[name]))["schemas"] == 1


@pytest.mark.parametrize("seeds", [range(start, start + 15) for start in range(0, 60, 15)], ids=str)
def test_random_ones(seeds):
    for seed in seeds:
        schema = negated_schemas.schema(random.Random(seed))
        negated_schemas.check(schema, validator(schema), negated_schemas.VALUES[seed % 3 :: 3])


def test_what_readers_disagree_about_is_in_neither():
    word = {"type": "string", "pattern": "^\\w$"}  # é is one in Python, and none in ECMA-262
    texts = ['"a"', '"-"', '"é"']
    assert accepts(word, *texts) == [True, False, False]
    assert accepts({"type": "string", "not": word}, *texts) == [False, True, False]
    assert accepts({"oneOf": [word, {"const": "é"}]}, *texts) == [True, False, False]
    assert accepts({"if": word, "then": {"const": "a"}, "else": {"type": "string"}}, *texts) == [True, True, False]
    # Python's $ stands before a last line end too
    assert accepts({"type": "string", "not": {"pattern": "a$"}}, '"a"', '"a\\n"', '"a\\n\\n"') == [False, False, True]
    ends = {"type": "object", "patternProperties": {"a$": {"type": "null"}}}
    assert accepts(ends, '{"a": 1}', '{"a\\n": 1}', '{"a\\n\\n": 1}') == [False, False, True]
    keys = {"type": "object", "patternProperties": {"^\\w$": {"type": "null"}}}
    assert accepts({**OBJECT, "not": keys}, '{"a": 1}', '{"-": 1}', '{"é": 1}', "{}") == [True, False, False, False]
    assert accepts({"not": {**TEXT, "format": "date"}}, '"2024-02-29"', '"a"', "1") == [False, False, True]
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "number", "not": INT}
    assert accepts(draft4, "1", "1.0", "1.5") == [False, False, True]


def test_numbers_that_are_not_whole_or_not_equal_stay_so_after_rounding():
    texts = ["1.0", "0.5", "-0.5", "1.0000000000000001", "9007199254740993.5", "1e-1", "123456789012.25"]
    assert accepts({"type": "number", "not": INT}, *texts) == [False, True, True, False, False, False, True]
    assert accepts({"type": "number", "not": {"const": 1}}, *texts)[:4] == [False, True, True, False]


def test_unique_items_of_many_values_come_in_their_order():
    schema = {"type": "array", "uniqueItems": True, "items": {"enum": list("abcdefghijkl")}, "minItems": 2}
    assert accepts(schema, '["b", "k"]', '["k", "b"]', '["a", "a"]', '["a"]') == [True, False, False, False]
    assert accepts({**schema, "maxItems": 2}, '["k", "b"]', '["b", "c", "d"]') == [True, False]


def test_a_key_that_only_another_name_tells_comes_last():
    schema = {**OBJECT, "not": {"additionalProperties": INT}}
    texts = ['{"a": 1, "b": "x"}', '{"b": "x", "a": 1}', '{"a": "x", "a": 1}', '{"a": 1, "a": "x"}']
    assert accepts(schema, *texts) == [True, False, False, True]


def test_branches_are_told_apart_at_once():
    kinds = [
        {"type": "object", "properties": {"kind": {"enum": [f"k{n}"]}, "value": {**OBJECT, "required": [f"v{n % 7}"]}}}
        for n in range(40)
    ]
    schema = {"type": "object", "required": ["kind", "value"], "allOf": [{"oneOf": kinds}]}
    rules = rules_from_schema(schema)
    assert sum(map(len, rules.productions.values())) < 600
    texts = ['{"kind": "k3", "value": {"v3": 1}}', '{"kind": "k3", "value": {"v4": 1}}', '{"value": {"v3": 1}}']
    recogniser = Recogniser(rules)
    assert [recogniser.accepts(text.encode()) for text in texts] == [True, False, False]


def test_a_chain_of_conditions_stays_small():
    ways = [{"if": {"properties": {"k": {"const": n}}}, "then": {"required": [f"v{n}"]}} for n in range(25)]
    rules = rules_from_schema(
        {"type": "object", "properties": {"k": {"enum": list(range(25))}}, "required": ["k"], "allOf": ways}
    )
    assert sum(map(len, rules.productions.values())) < 1000


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"not": {}}, "no value is valid"),
        ({"not": 1}, "#/not: a schema is an object or a boolean"),
        ({"not": {"$ref": "#"}}, "refers to itself for the same value"),
        ({"type": "array", "contains": INT, "minContains": -1}, "minContains=-1, but it must be a whole number"),
        ({"contains": INT, "minItems": 50_000}, "over 4000 places in the array"),
        ({"uniqueItems": True, "items": TEXT}, "uniqueItems=true is not supported here: no context-free grammar"),
        ({"not": {"uniqueItems": True}}, "uniqueItems=true is not supported here"),
        ({"anyOf": [{"minItems": n} for n in range(9)], "unevaluatedItems": False}, "up to 6 branches"),
        ({"dependencies": {"a": {}}, "unevaluatedProperties": False}, "say it by dependentSchemas"),
        ({"uniqueItems": "yes"}, 'uniqueItems="yes", but it must be true or false'),
        ({"uniqueItems": True, "items": {"enum": [1, 2]}, "contains": INT}, "uniqueItems beside contains"),
        ({"type": "array", "uniqueItems": True, "items": {"enum": list(range(300))}}, "over 200 values"),
        (
            {"not": {"anyOf": [{"required": [f"{a}{n}" for n in range(20)]} for a in "abcd"]}},
            "over 2000 cases, which is not supported",
        ),
    ],
)
def test_what_stays_refused(schema, message):
    with pytest.raises(GrammarError, match=message):
        rules_from_schema(schema)
