"""Schemas of many kinds, as people write them, for `tests/grammars/test_json_schema.py`."""

from typing import Any

ORDER: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Order",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "customer": {"type": "string", "minLength": 1, "maxLength": 12},
        "email": {"type": "string", "format": "email"},
        "created": {"type": "string", "format": "date-time"},
        "status": {"enum": ["new", "paid", "shipped", "cancelled"]},
        "items": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
                    "quantity": {"type": "integer", "minimum": 1, "maximum": 100},
                    "price": {"type": "number", "minimum": 0},
                },
                "required": ["sku", "quantity", "price"],
                "additionalProperties": False,
            },
        },
        "total": {"type": "number", "exclusiveMinimum": 0},
        "express": {"type": "boolean", "default": False},
        "note": {"type": ["string", "null"]},
    },
    "required": ["id", "customer", "email", "created", "status", "items", "total", "express", "note"],
    "additionalProperties": False,
}

TREE: dict[str, Any] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
            "additionalProperties": False,
        }
    },
}

EXPRESSION: dict[str, Any] = {
    "oneOf": [
        {"type": "number"},
        {
            "type": "object",
            "properties": {"op": {"const": "neg"}, "of": {"$ref": "#"}},
            "required": ["op", "of"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"op": {"enum": ["add", "mul"]}, "left": {"$ref": "#"}, "right": {"$ref": "#"}},
            "required": ["op", "left", "right"],
            "additionalProperties": False,
        },
    ]
}


def required(count: int) -> dict[str, Any]:
    """An object with so many required keys."""
    keys = [f"key{index}" for index in range(count)]
    return {"type": "object", "properties": {key: {"type": "null"} for key in keys}, "required": keys}


SCHEMAS: dict[str, Any] = {
    "anything": True,
    "anything too": {},
    "order": ORDER,
    "tree": TREE,
    "expression": EXPRESSION,
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "string": {"type": "string"},
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "array": {"type": "array"},
    "object": {"type": "object"},
    "some types": {"type": ["integer", "string", "null"]},
    "without a type": {"minLength": 3, "minimum": 5, "maxItems": 1},
    "age": {"type": "integer", "minimum": 0, "maximum": 150},
    "below zero": {"type": "integer", "exclusiveMaximum": 0, "minimum": -12345},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "between": {"type": "number", "exclusiveMinimum": -1.5, "exclusiveMaximum": 99.99},
    "cents": {"type": "integer", "multipleOf": 25, "minimum": 100, "maximum": 1000},
    "short": {"type": "string", "maxLength": 3},
    "bounded": {"type": "string", "minLength": 5, "maxLength": 9},
    "not empty": {"type": "string", "minLength": 1},
    "pattern": {"type": "string", "pattern": "^(foo|ba[rz])-\\d+$"},
    "pattern inside": {"type": "string", "pattern": "[^a-z]x?"},
    "pattern and length": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4},
    "two patterns": {"allOf": [{"type": "string", "pattern": "a"}, {"pattern": "b$"}]},
    "words and not": {"type": "string", "pattern": "^\\w+\\W\\s\\S\\D.$"},
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
    "time": {"type": "string", "format": "time"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "email": {"type": "string", "format": "email"},
    "enum": {"enum": ["é", 'q"\\', 1, 2.5, 1e30, None, True, [1, {"x": []}], {"k": "v", "l": [0]}]},
    "const": {"const": {"a": [1, "two", None], "b": {}}},
    "tuple": {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 2},
    "tuple and more": {"type": "array", "prefixItems": [{"const": 1}], "items": {"type": "null"}, "maxItems": 4},
    "many items": {"type": "array", "items": {"const": 0}, "minItems": 3, "maxItems": 17},
    "list of lists": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}, "maxItems": 2}},
    "open": {"type": "object", "properties": {"name": {"type": "string"}, "näme": {"type": "null"}}},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
    "small map": {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 3},
    "forbidden key": {"type": "object", "properties": {"x": False}, "additionalProperties": {"type": "null"}},
    "five keys": required(5) | {"additionalProperties": False},
    "required unnamed": {"type": "object", "required": ["a", "b"], "additionalProperties": {"type": "integer"}},
    "nested": {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"b": {"type": "object", "required": ["c"]}}}},
        "required": ["a"],
        "additionalProperties": False,
    },
    "merged": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"a": {"minimum": 3}, "b": {"type": "string"}}},
        ],
        "properties": {"c": {"type": "null"}},
        "additionalProperties": {"type": ["boolean", "integer", "string"]},
    },
    "any of": {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 2}, {"type": "array", "maxItems": 1}]},
    "any of objects": {
        "type": "object",
        "properties": {"kind": {"type": "string"}},
        "anyOf": [{"required": ["kind", "x"]}, {"properties": {"y": {"type": "null"}}, "required": ["y"]}],
    },
    "one of": {
        "type": "object",
        "properties": {"kind": {"type": "string"}},
        "required": ["kind"],
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["x"]},
            {"properties": {"kind": {"enum": ["b", "c"]}}},
        ],
    },
    "part of it impossible": {
        "anyOf": [False, {"type": "integer"}, {"type": "string", "minLength": 3, "maxLength": 2}]
    },
    "anchor": {"type": "array", "items": {"$ref": "#item"}, "$defs": {"i": {"$anchor": "item", "type": "boolean"}}},
    "pointer": {"items": {"$ref": "#/$defs/a~1b%25"}, "$defs": {"a/b%": {"type": "null"}}, "type": "array"},
    "linked list": {
        "type": ["object", "null"],
        "properties": {"next": {"$ref": "#"}, "value": {"type": "string"}},
        "required": ["next"],
        "additionalProperties": False,
    },
    "mutual": {
        "$defs": {
            "even": {"type": "array", "items": {"$ref": "#/$defs/odd"}, "maxItems": 2},
            "odd": {"type": "object", "additionalProperties": {"$ref": "#/$defs/even"}},
        },
        "$ref": "#/$defs/even",
    },
    "discriminator": {
        "discriminator": {"propertyName": "pet"},
        "oneOf": [
            {"type": "object", "properties": {"pet": {"const": "cat"}, "lives": {"type": "integer"}}},
            {"type": "object", "properties": {"pet": {"const": "dog"}, "good": {"const": True}}},
        ],
    },
}
