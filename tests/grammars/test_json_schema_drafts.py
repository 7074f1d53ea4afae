"""JSON Schema by draft: the forms of each, what names schemas, and what is read past and noted."""

import json
from typing import Any

import pytest

from dllm.errors import GrammarError
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.frontends.json_schema.notes import one_edit_away
from dllm.grammars.frontends.json_schema.schema import rules_and_notes, rules_from_schema
from dllm.grammars.grammar import Grammar
from tests.grammars.test_json_schema import validator

URIS = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema",
    "7": "http://json-schema.org/draft-07/schema#",
    "2019": "https://json-schema.org/draft/2019-09/schema",
    "2020": "https://json-schema.org/draft/2020-12/schema",
}
INT, TEXT = {"type": "integer"}, {"type": "string"}
VALUES: tuple[Any, ...] = (
    *(1, 2, 3.5, 1.0, "a", "b", None, True, [], [1], ["a"], [1, "a"], [1, 1], ["a", 1], [1, "a", None], [1, "a", 2]),
    *({}, {"a": 1}, {"a": "x"}, {"b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": "x"}, {"a": {"a": 1}}, {"a": {"a": "x"}}),
    *({"a": {"b": 1}}, [[1]], [["a"]], {"c": 1, "a": 1}, {"ab": 1}, {"ab": "x"}, {"aa": 0}, {"aa": 1, "a": 1}),
)
# a schema, and the drafts in which the values above are judged
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "boolean bounds": ({"minimum": 1, "exclusiveMinimum": True, "maximum": 3.5, "exclusiveMaximum": False}, "4"),
    "bounds": ({"exclusiveMinimum": 1, "exclusiveMaximum": 3.5}, "6 7 2019 2020"),
    "1.0 is an integer since draft 6": (INT, "4 6 7 2019 2020"),
    "an integer of an enum": ({**INT, "enum": [1, 2, "a"]}, "4 6 7 2019 2020"),
    "a list of items": ({"items": [INT, TEXT]}, "4 6 7 2019"),
    "no other items": ({"items": [INT, TEXT], "additionalItems": False}, "4 6 7 2019"),
    "other items": ({"items": [INT], "additionalItems": TEXT}, "4 6 7 2019"),
    "additionalItems alone": ({"additionalItems": False}, "4 6 7 2019"),
    "additionalItems beside one schema": ({"items": INT, "additionalItems": False}, "4 6 7 2019"),
    "prefixItems": ({"prefixItems": [INT, TEXT], "items": False}, "2020"),
    "keys that need keys": ({"dependencies": {"a": ["b"]}}, "4 6 7"),
    "keys that need a schema": ({"dependencies": {"a": {"properties": {"b": INT}, "required": ["b"]}}}, "4 6 7"),
    "keys that forbid": ({"dependencies": {"a": False, "c": True}}, "6 7"),
    "dependentRequired": ({"dependentRequired": {"a": ["b"], "b": ["a"]}}, "2019 2020"),
    "dependentSchemas": ({"dependentSchemas": {"a": {"maxProperties": 1}, "b": {"type": ["object"]}}}, "2019 2020"),
    "const": ({"const": 1}, "6 7 2019 2020"),
    "siblings of a reference": (
        {"allOf": [{"$ref": "#/definitions/i", "maximum": 1}], "definitions": {"i": INT}},
        "4 7",
    ),
    "they count later": ({"allOf": [{"$ref": "#/$defs/i", "maximum": 1}], "$defs": {"i": INT}}, "2019 2020"),
    "id": ({"id": "http://x/y", "items": {"$ref": "z"}, "definitions": {"z": {"id": "z", **INT}}}, "4"),
    "$id": ({"$id": "http://x/y", "items": {"$ref": "z"}, "definitions": {"z": {"$id": "z", **INT}}}, "6 7 2019 2020"),
    "names by id": ({"items": {"$ref": "#z"}, "definitions": {"z": {"id": "#z", **INT}}}, "4"),
    "names by $id": ({"items": {"$ref": "#z"}, "definitions": {"z": {"$id": "#z", **INT}}}, "6 7"),
    "$anchor": ({"items": {"$ref": "#z"}, "$defs": {"z": {"$anchor": "z", **INT}}}, "2019 2020"),
    "a root of its own": (
        {
            "properties": {"a": {"$id": "x:y", "properties": {"a": {"$ref": "#/$defs/z"}}, "$defs": {"z": INT}}},
            "$defs": {"z": TEXT},
        },
        "2019 2020",
    ),
    "one text, two meanings": (
        {
            "properties": {
                "a": {"$id": "x:a", "properties": {"a": {"$ref": "#/$defs/z"}}, "$defs": {"z": INT}},
                "b": {"$id": "x:b", "properties": {"a": {"$ref": "#/$defs/z"}}, "$defs": {"z": TEXT}},
            }
        },
        "2019 2020",
    ),
    "beside $ref $id is none": (
        {
            "properties": {"a": {"$id": "http://x/", "$ref": "#/definitions/z"}},
            "definitions": {"z": INT},
        },
        "7",
    ),
    "$recursiveRef": ({"properties": {"a": {"$recursiveRef": "#"}}, "additionalProperties": False}, "2019"),
    "$recursiveRef to what is called so": (
        {"$recursiveAnchor": True, "properties": {"a": {"$recursiveRef": "#"}}, "additionalProperties": False},
        "2019",
    ),
    "$dynamicRef": ({"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "type": ["array", "integer"]}, "2020"),
    "$dynamicRef to a plain name": ({"items": {"$dynamicRef": "#n"}, "$defs": {"n": {"$anchor": "n", **INT}}}, "2020"),
    "a schema where none is looked for": ({"items": {"$ref": "#/x-own/z"}, "x-own": {"z": INT}}, "4 6 7 2019 2020"),
    "another draft inside": (
        {"properties": {"a": {"$id": "http://x/y", "$schema": URIS["7"], "items": [INT]}}, "items": INT},
        "2019",
    ),
    "another draft inside, without a URI": (
        {"$defs": {"z": {"$schema": URIS["4"], **INT}}, "$ref": "#/$defs/z"},
        "2020",
    ),
    "patternProperties": (
        {"type": "object", "patternProperties": {"^a": INT, "b$": TEXT}, "additionalProperties": False},
        "4 6 7 2019 2020",
    ),
    "patterns beside names": (
        {"properties": {"a": {"maximum": 1}}, "patternProperties": {"^[ab]$": INT}, "additionalProperties": TEXT},
        "4 2020",
    ),
    "patterns on both sides": (
        {
            "allOf": [{"patternProperties": {"^a": INT}}, {"patternProperties": {"a$": {"minimum": 1}}}],
            "required": ["a"],
        },
        "7 2020",
    ),
    "propertyNames": ({"propertyNames": {"pattern": "^[a-c]$", "maxLength": 1, "enum": ["a", "d"]}}, "6 7 2019 2020"),
    "no names": ({"propertyNames": False}, "6 2020"),
    "what asserts nothing": (
        {"if": False, "minContains": 9, "not": False, "unevaluatedItems": True, "x": 1, "readonly": 1, **TEXT},
        "2019 2020",
    ),
    "keywords of later drafts": ({"const": 1, "propertyNames": False, "if": True, "then": False, "contains": INT}, "4"),
}
EMPTY = ("additionalItems alone", "keywords of later drafts")
"""Of these, what asserts nothing."""


@pytest.mark.parametrize(("name", "draft"), [(name, one) for name in CASES for one in CASES[name][1].split()])
def test_each_draft_has_its_own_forms(name, draft):
    schema = {"$schema": URIS[draft], **CASES[name][0]}
    judge, recogniser = validator(schema), Recogniser(rules_from_schema(schema))
    wrong = [value for value in VALUES if recogniser.accepts(json.dumps(value).encode()) != judge.is_valid(value)]
    assert wrong == []
    assert {judge.is_valid(value) for value in VALUES} == {True, False} or name in EMPTY


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"$schema": URIS["4"], "minimum": 1, "exclusiveMinimum": 1},
            "exclusiveMinimum=1, but it must be true or false",
        ),
        ({"minimum": 1, "exclusiveMinimum": True}, "exclusiveMinimum=true, but it must be a number"),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, "leads out of this document, and nothing is fetched"),
        ({"$id": "http://x/y", "$ref": "other"}, r'\$ref="other" leads out of this document'),
        (
            {"$defs": {"a": {"$id": "x"}, "b": {"$id": "x"}}, "$ref": "x"},
            "a and .*b both have that URI",
        ),
        ({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}, "$ref": "#x"}, "both have that name"),
        ({"$id": "http://x/#y"}, "has a fragment; call it by"),
        ({"dependentRequired": {"a": "b"}}, "dependentRequired=.* it must be an object of lists of keys"),
        ({"dependentRequired": {f"k{n}": ["a"] for n in range(20)}}, "over 20000 cases"),
        ({"if": {}, "then": 1}, "#/then: a schema is an object or a boolean"),
        ({"patternProperties": {"(": {}}}, "pattern .* is not a regular expression"),
        ({"patternProperties": {f"{letter}": {} for letter in "abcdefg"}}, "overlap in over 64 ways"),
        (
            {
                "$dynamicAnchor": "n",
                "items": {"$dynamicRef": "#n"},
                "$defs": {"o": {"$id": "o", "$dynamicAnchor": "n"}},
            },
            r'\$dynamicRef="#n" may lead to # or #/\$defs/o',
        ),
    ],
)
def test_what_no_draft_lets_stand(schema, message):
    with pytest.raises(GrammarError, match=message):
        rules_from_schema(schema)


def notes(schema: Any, **options: str) -> tuple[str, ...]:
    return rules_and_notes(schema, **options)[1]


def test_annotations_are_noted_once_and_those_that_look_like_assertions_first():
    schema = {
        "x-own": 1,
        "title": "t",
        "properties": {"a": {"x-own": 2, "maxlength": 3, "type": "string"}, "b": {"contentEncoding": "base64"}},
        "id": "http://x/y",
        "format": "colour",
    }
    found = notes(schema)
    assert found == (
        "warning: 'id' at #: a keyword of another draft than 2020-12: an annotation, which asserts nothing.",
        "warning: 'maxlength' at #/properties/a: a keyword of no draft: an annotation, which asserts nothing. "
        "Did you mean 'maxLength'?",
        "'x-own' at #, #/properties/a: a keyword of no draft: an annotation, which asserts nothing.",
        'format "colour" at #: not a known format: an annotation.',
        "'contentEncoding' at #/properties/b: an annotation, which asserts nothing: what a string encodes is not "
        "looked into",
    )
    grammar = Grammar.from_json_schema(schema)
    assert grammar.notes == found and Grammar.from_json_schema({}).notes == ()
    many = notes({"properties": {f"k{n}": {"x-own": n, "type": "null"} for n in range(9)}})
    assert many[0].startswith("'x-own' at #/properties/k0, #/properties/k1, #/properties/k2 and 6 more places: ")
    long = notes({"x" * 5_000: 1, "properties": {"y" * 5_000: {"x-own": 1, "format": "z" * 5_000}}})
    assert all(len(note) < 500 for note in long)


def test_beside_ref_and_across_drafts_what_does_not_assert_is_a_warning():
    assert notes({"$schema": URIS["7"], "definitions": {"a": {}}, "$ref": "#/definitions/a", "maximum": 1}) == (
        "warning: 'maximum' beside $ref at #: up to draft 7 nothing beside $ref is read",
    )
    assert notes({"$schema": URIS["4"], "const": 1})[0].startswith("warning: 'const' at #: a keyword of another draft")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"items": {"nullable": True}}, r"at #/items: 'nullable' is a keyword of no draft.*unknown='note'"),
        ({"maxlength": 1}, "Did you mean 'maxLength'"),
        ({"format": "colour"}, 'format="colour", but it must be one of'),
    ],
)
def test_what_nobody_knows_is_refused_if_asked_for(schema, message):
    assert notes(schema)
    with pytest.raises(GrammarError, match=message):
        rules_from_schema(schema, unknown="refuse")
    rules_from_schema({"title": "t", "contentEncoding": "base64", "examples": [1]}, unknown="refuse")


def test_formats_are_annotations_if_asked_for():
    schema = {"type": "string", "format": "date"}
    assert not Grammar.from_json_schema(schema).accepts('"x"')
    grammar = Grammar.from_json_schema(schema, formats="note")
    assert grammar.accepts('"x"') and grammar.notes == ("format \"date\" at #: an annotation under formats='note'",)
    with pytest.raises(GrammarError, match="formats='ignore' is unknown; legal: 'assert', 'note'"):
        Grammar.from_json_schema(schema, formats="ignore")


@pytest.mark.parametrize("name", ["maxLengt", "maxLengthh", "maxlength", "mxaLength", "maxLengtx", "MAXLENGTH"])
def test_one_edit_away(name):
    assert one_edit_away(name, ("minItems", "maxLength")) == "maxLength"
    assert one_edit_away(f"x{name}x", ("minItems", "maxLength")) is None
