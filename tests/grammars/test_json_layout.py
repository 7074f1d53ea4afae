"""White space between the lexemes of JSON, and how integers are written: against `json.dumps`, in both directions."""

import itertools
import json
import random
import re
from typing import Any

import pytest

from dllm import Grammar, GrammarError
from dllm.grammars.frontends.json_schema.schema import rules_from_schema
from tests.references.json_sampler import TextSampler

TREE = {
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name"],
    "additionalProperties": False,
    "type": "object",
}
SCHEMAS: dict[str, Any] = {
    "anything": {},
    "tree": TREE,
    "const": {"enum": [{"a": [], "b": {}, "c": [1, {"d": 2}]}, []]},
    "counts": {"type": "array", "minItems": 2, "maxItems": 5, "items": {"type": ["array", "integer"], "maxItems": 1}},
    "tuple": {"type": "array", "prefixItems": [{"type": "object"}, {"type": "array"}], "minItems": 1},
}
_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def laid_out(text: str, layout: str) -> str:
    """The lexemes of a JSON text with the white space of `json.dumps` between them, by hand."""
    out, depth, tokens = "", 0, _LEXEME.findall(text)
    for before, token in itertools.pairwise(["", *tokens]):
        line = ""
        if token in ("}", "]"):
            depth -= 1
            line = "" if before in ("{", "[") else "\n" + "  " * depth
        elif before in ("{", "[", ","):
            line = "\n" + "  " * depth
        out += (line if layout == "pretty" else " " if before == "," else "") + (" " if before == ":" else "") + token
        depth += token in ("{", "[")
    return out


@pytest.mark.parametrize("layout", ["compact", "pretty"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_white_space_is_that_of_json_dumps_and_any_behind(name, layout):
    schema, rng = SCHEMAS[name], random.Random(name)
    free, held = Grammar.from_json_schema(schema), Grammar.from_json_schema(schema, whitespace=layout)
    sampler = TextSampler(free.rules)
    for seed in range(25):
        text = sampler.text(seed, 12)
        right = laid_out(text, layout)
        assert held.accepts(right) == (layout == "compact" or right.count("\n" + " " * 34) == 0), right
        dumped = json.dumps(json.loads(text), ensure_ascii=False, indent=2 if layout == "pretty" else None)
        assert laid_out(dumped, layout) == dumped and held.accepts(dumped) == free.accepts(dumped), dumped
        for _ in range(8):  # one character of white space more or less
            at = rng.randrange(len(right) + 1)
            changed = right[:at] + rng.choice([" ", "\n", "  "]) + right[at:]
            if rng.random() < 0.5 and right[at : at + 1].isspace():
                changed = right[:at] + right[at + 1 :]
            tidy = changed.rstrip(" \n\t\r") == laid_out(changed, layout)
            assert held.accepts(changed) == (tidy and free.accepts(changed)), changed
    written = TextSampler(held.rules)
    for seed in range(25):
        text = written.text(seed, 12)
        assert text.rstrip() == laid_out(text, layout) and free.accepts(text), text


def test_every_short_text_under_each_layout():
    schema = {"type": "array", "items": {"type": ["array", "null"]}}
    free = Grammar.from_json_schema(schema)
    for layout in ("compact", "pretty"):
        held = Grammar.from_json_schema(schema, whitespace=layout)
        for count in range(1, 6):
            for parts in itertools.product(["[", "]", "null", ",", " ", "\n"], repeat=count):
                text = "".join(parts)
                wanted = free.accepts(text) and text.rstrip() == laid_out(text, layout)
                assert held.accepts(text) == wanted, (text, layout)


def test_pretty_texts_are_nested_sixteen_levels_deep_at_most():
    for schema in (True, TREE):
        held, value = Grammar.from_json_schema(schema, whitespace="pretty"), ["x"]
        for depth in range(1, 20):
            if schema is not TREE:
                assert held.accepts(json.dumps(value, indent=2)) == (depth <= 16)
            value = [value]
        assert len(held.rules.productions) < 400
    endless = {"type": "array", "minItems": 1, "items": {"$ref": "#"}}
    with pytest.raises(GrammarError, match="no value is valid"):
        Grammar.from_json_schema(endless, whitespace="pretty")


def test_plain_integers():
    texts = ["8", "8.0", "8.00", "8e0", "-0", "0", "-0.0", "1.5", "1.50", '{"a": 8}', '{"a": 8.0}']

    def read(schema: Any) -> list[str]:
        free, held = (Grammar.from_json_schema(schema, integers=one) for one in ("any", "plain"))
        found = [text for text in texts if held.accepts(text)]
        assert all(map(free.accepts, found))
        return found

    assert read({"type": "integer"}) == ["8", "-0", "0"]
    assert read({"multipleOf": 4, "type": "number"}) == ["8", "-0", "0"]
    assert read({"enum": [8, 1.5]}) == ["8", "1.5", "1.50"]
    assert read({"const": {"a": 8.0}}) == ['{"a": 8}']
    assert read({"type": "number"}) == texts[:9]
    assert read({"type": ["integer", "null"], "maximum": 3}) == ["-0", "0"]


@pytest.mark.parametrize("option", ["whitespace", "integers"])
def test_unknown_values_are_refused(option):
    with pytest.raises(GrammarError, match=f"{option}='plane' is unknown; legal: 'any'"):
        rules_from_schema({}, **{option: "plane"})
