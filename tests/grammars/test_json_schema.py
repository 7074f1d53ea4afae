"""JSON Schema as a grammar: against `jsonschema` in both directions, against the official suite, and by hand."""

import json
import random
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import validator_for

from dllm import LLM
from dllm.errors import GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.frontends.json_schema.keywords import KEYWORDS
from dllm.grammars.frontends.json_schema.schema import rules_from_schema
from dllm.grammars.grammar import Grammar
from dllm.grammars.rules import Rules
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.tables.automata import dfa
from tests.references import json_sampler
from tests.references.json_sampler import TextSampler, spellings
from tests.support import schema_suite
from tests.support.schema_cases import ORDER, SCHEMAS, required

MARK = json.loads(schema_suite.RATCHET.read_text())
# schemas under which some valid values are rejected however they are spelled (order of keys, formats, dialects)
NARROW = {"enum", "const", "words and not", "date-time", "time", "email", "order", "discriminator"}


def validator(schema: Any) -> Any:
    """The judge of the draft that the schema names."""
    judge = validator_for(schema, default=Draft202012Validator)
    judge.check_schema(schema)
    checker = FormatChecker(["date", "uuid", "ipv4", "email"])
    checker.checks("date-time", ValueError)(_is_date_time)
    checker.checks("time", ValueError)(lambda text: _is_date_time(f"2024-02-29T{text}") if is_text(text) else True)
    return judge(schema, format_checker=checker)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_date_time(value: Any) -> bool:
    if not is_text(value):
        return True
    shape = re.fullmatch(r"[0-9-]{10}T([0-9:]{8})(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})", value.upper())
    return bool(shape and datetime.fromisoformat(f"{value[:10]}T{shape[1]}{shape[3]}"))


def accepts(schema: Any, *texts: str, **options: Any) -> list[bool]:
    recogniser = Recogniser(rules_from_schema(schema, **options))
    return [recogniser.accepts(text.encode()) for text in texts]


def size(rules: Rules) -> int:
    return sum(map(len, rules.productions.values()))


@pytest.mark.parametrize("name", schema_suite.SUITE)
def test_official_suite(name):
    found, mark = schema_suite.counts(name), MARK[name]
    assert found["wrongly_accepted"] == schema_suite.ANNOTATED.get(name, 0)
    assert "UNLISTED" not in found["rejected"], (
        "a valid value is rejected for a reason that docs/json-schema.md does not list"
    )
    assert not schema_suite.worse(found, mark), "see `python -m tests.support.schema_suite`"
    assert found == mark, "better than before: record it with `python -m tests.support.schema_suite --write`"


@pytest.mark.parametrize("order", ["any", "schema"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_what_the_grammar_writes_is_valid_and_what_is_valid_it_reads(name, order):
    schema = SCHEMAS[name]
    rules, judge, rng = rules_from_schema(schema, property_order=order), validator(schema), random.Random(name)
    sampler, recogniser = TextSampler(rules), Recogniser(rules)
    values = [json_sampler.value(rng) for _ in range(10)]
    for seed in range(12):
        text = sampler.text(seed, 40 if name == "order" else 20)
        values.append(json.loads(text))
        assert judge.is_valid(values[-1]), text
        assert recogniser.accepts(text.encode()), text
        values += [json_sampler.near(rng, values[-1]) for _ in range(3)]
    judged(recogniser, judge, values, complete=name not in NARROW and order == "any")


def judged(recogniser: Recogniser, judge: Draft202012Validator, values: Iterable[Any], complete: bool) -> None:
    """Nothing invalid is accepted; if `complete`, nothing valid is rejected but for its numbers and escapes."""
    for value in values:
        valid = judge.is_valid(value)
        for text in spellings(value):
            if re.search(rb"Infinity|NaN", text):
                continue  # not JSON, though Python writes it
            found = recogniser.accepts(text)
            assert valid or not found, text
            if complete and not re.search(rb"\\u|[0-9][eE]|[0-9]{16}", text):
                assert found == valid, text


def test_random_schemas():
    tried = 0
    for seed in range(160):
        rng = random.Random(seed)
        schema = json_sampler.schema(rng)
        if isinstance(schema, dict):
            schema["$defs"] = {"one": json_sampler.schema(rng, 1), "two": json_sampler.schema(rng, 1)}
        try:
            rules = rules_from_schema(schema)
        except GrammarError as error:
            assert re.search("no value is valid|over 15 digits|without end|leads back|two keys|unique", str(error)), (
                error
            )
            continue
        judge, sampler, values = validator(schema), TextSampler(rules), [json_sampler.value(rng) for _ in range(10)]
        for _ in range(4):
            text = sampler.text(rng.randrange(1 << 30), 12)
            values.append(json.loads(text))
            assert judge.is_valid(values[-1]), (text, schema)
            values += [json_sampler.near(rng, values[-1]) for _ in range(2)]
        told = json.dumps(schema)
        complete = not re.search(r'"(const|enum|pattern)"', told)
        judged(Recogniser(rules), judge, values, complete)
        tried += 1
    assert tried > 120


def test_numbers_next_to_their_bounds():
    rng = random.Random(0)
    for _ in range(150):
        low, high = sorted(
            rng.choice([rng.randint(-200, 200), round(rng.uniform(-9, 9), rng.randrange(6))]) for _ in "ab"
        )
        schema = {"type": rng.choice(["integer", "number"])}
        schema[rng.choice(["minimum", "exclusiveMinimum"])] = low
        schema[rng.choice(["maximum", "exclusiveMaximum"])] = high
        try:
            rules = rules_from_schema(schema)
        except GrammarError:
            continue
        machine = dfa([next(one.pattern for one in rules.terminals if one.name in ("INTEGER", "NUMBER"))])
        judge = validator(schema)
        for bound in (low, high):
            for places in (0, 1, 2, 6, 13, 16, 30, 400):
                for unit in (-1, 0, 1):
                    whole, _, fraction = f"{bound:.30f}".rstrip("0").partition(".")
                    digits = int(whole + fraction.ljust(places, "0")) + unit * 10 ** max(0, len(fraction) - places)
                    size = max(places, len(fraction))
                    text = f"{abs(digits):0{size + 1}}"
                    text = "-" * (digits < 0) + (f"{text[:-size]}.{text[-size:]}" if size else text)
                    valid = judge.is_valid(json.loads(text))
                    found = bool(machine.matches(text.encode()))
                    assert valid or not found, (schema, text)
                    assert found or not valid or size > 12, (schema, text)


def test_spellings_of_strings():
    texts = [
        '"é"',
        '"\\u00e9"',
        '"\\u00E9"',
        '"e\\u0301"',
        '"\\u0065"',
        '"\\ud83d\\ude00"',
        '"\\ud83d"',
        '"\\/"',
        '"\t"',
    ]
    assert accepts({"type": "string"}, *texts) == [True, True, True, True, False, True, False, True, False]
    assert accepts({"const": "é"}, *texts) == [True, True, True] + [False] * 6
    assert accepts({"minLength": 2, "type": "string"}, *texts) == [False] * 3 + [True] + [False] * 5
    assert accepts({"maxLength": 5, "type": "string"}, *texts)[:2] == [True, False]


def test_a_free_key_differs_from_named_ones_however_it_is_spelled():
    schema = {"properties": {"é": {"type": "integer"}, "a\n": {"type": "integer"}}, "type": "object"}
    good = ['{"é": 1}', '{"\\u00e9": 1}', '{"a\\n": 1}', '{"a\\u000A": 1}', '{"e": "x"}', '{"a": "x"}', '{"éa": "x"}']
    bad = ['{"é": "x"}', '{"\\u00e9": "x"}', '{"a\\n": "x"}', '{"a\\u000a": "x"}', '{"\\u0065": "x"}']
    assert accepts(schema, *good, *bad) == [True] * len(good) + [False] * len(bad)


def test_repeated_keys():
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "null"}}, "required": ["a"]}
    texts = ['{"a": 1, "a": 2}', '{"b": null, "a": 1, "b": null}', '{"c": 1, "a": 1, "c": 2}', '{"a": "x", "a": 1}']
    assert accepts(schema, *texts) == [False, True, True, False]
    assert accepts({"minProperties": 1, "type": "object"}, "{}", '{"a": 1, "a": 2}') == [False, True]
    assert accepts({"maxProperties": 1, "type": "object"}, "{}", '{"a": 1}', '{"a": 1, "b": 2}') == [True, True, False]


def test_white_space_goes_between_lexemes_only():
    texts = [
        '\n{ "a"\t:\r[ 1 ,2 ] } ',
        '{"a":[1,2]}',
        '{"a":[1 2]}',
        '{"a":1 2}',
        '{"a": tr ue}',
        "",
        " ",
        "{}{}",
        "\ufeff{}",
    ]
    assert accepts({"type": "object"}, *texts) == [True, True] + [False] * 7


def test_order_of_keys():
    schema = {"type": "object", "properties": {"a": True, "b": True, "c": True}, "required": ["c", "a"]}
    texts = [
        '{"a":1,"b":2,"c":3}',
        '{"a":1,"c":3,"d":4}',
        '{"c":3,"a":1}',
        '{"a":1,"c":3,"b":2}',
        '{"a":1}',
        '{"d":4,"a":1,"c":3}',
    ]
    assert accepts(schema, *texts) == [True, True, True, True, False, True]
    assert accepts(schema, *texts, property_order="schema") == [True, True, False, False, False, False]


def test_many_required_keys_come_in_any_order_and_none_is_left_out_or_comes_twice():
    rules = rules_from_schema(required(40))
    assert size(rules) < 100
    keys = [f'"key{index}": null' for index in range(40)]
    random.Random(0).shuffle(keys)
    recogniser = Recogniser(rules)
    for found in (keys, sorted(keys), ['"x": 1', *keys[:7], '"x": 2', *keys[7:]]):
        assert recogniser.accepts(f"{{{','.join(found)}}}".encode())
    for found in (keys[1:], [*keys[1:], keys[5]], [keys[3], *keys]):
        assert not recogniser.accepts(f"{{{','.join(found)}}}".encode())
    assert accepts(required(40), f"{{{','.join(keys)}}}", property_order="schema") == [False]


LONG = {
    "properties": {
        "a": {"type": "string", "maxLength": 2000},
        "b": {"items": {"type": "integer"}},
        "c": {"properties": {"x": {"type": "null"}, "y": {"type": "string"}}, "required": ["x", "y"], "type": "object"},
    },
    "required": ["a", "b", "c"],
    "type": "object",
}


@pytest.mark.parametrize(("whitespace", "indent"), [("any", 3), ("compact", None), ("pretty", 2)])
def test_any_order_goes_with_long_strings_and_every_white_space(whitespace, indent):
    grammar = Grammar.from_json_schema(LONG, whitespace=whitespace)
    value = {"c": {"y": "z" * 70, "x": None}, "a": "k" * 2000, "b": [1, 2]}
    sorted_value = dict(sorted(value.items()))
    for valid in (value, sorted_value, {**value, "d": {}}):
        assert grammar.accepts(json.dumps(valid, indent=indent))
    for invalid in ({**value, "a": "k" * 2001}, {"a": "", "b": []}, {**value, "c": {"x": None}}):
        assert not grammar.accepts(json.dumps(invalid, indent=indent))
    assert grammar.explain(json.dumps({"a": "", "b": []}, indent=indent)).startswith("line ")


@pytest.mark.parametrize("whitespace", ["any", "pretty"])
def test_what_is_committed_in_any_order_is_valid_in_the_end(whitespace):
    """Random tokens, with a bound that is in the way."""
    schema = {**LONG, "properties": {**LONG["properties"], "a": {"type": "string", "maxLength": 70, "minLength": 66}}}
    llm, grammar = LLM("tiny"), Grammar.from_json_schema(schema, whitespace=whitespace)
    compiled, rng = grammar.compile(llm.vocabulary), random.Random(whitespace)
    held = GrammarConstraint.start(compiled, Canvas((MASK,) * 150, True), 0, [0])
    while MASK in held.canvas.ids:
        at = rng.choice([at for at, token in enumerate(held.canvas.ids) if token == MASK][:12])
        options = held.allowed(torch.tensor([at]))[0].nonzero().flatten().tolist()
        after = held.commit({at: rng.choice(options)})
        held = after or held.commit({at: held.witness(at)})
    text = b"".join(llm.vocabulary.tokens[token] or b"" for token in held.canvas.ids).decode()
    validator(schema).validate(json.loads(text))
    assert grammar.accepts(text)


def test_over_64_keys_come_in_the_order_of_the_schema_unless_any_is_asked_for():
    for count, order, notes in ((64, "auto", 0), (65, "auto", 1), (65, "any", 0)):
        grammar = Grammar.from_json_schema(required(count), property_order=order)
        assert len(grammar.notes) == notes
        text = ",".join(f'"key{index}": null' for index in reversed(range(count)))
        assert grammar.accepts(f"{{{text}}}") != bool(notes)


def test_each_object_has_an_order_of_its_own():
    schema = {"type": "array", "items": required(3) | {"additionalProperties": {"$ref": "#/items"}}}
    texts = [
        '[{"key2":null,"key0":null,"key1":null},{"key1":null,"key0":null,"key2":null}]',
        '[{"key2":null,"key0":null,"x":{"key1":null,"key0":null,"key2":null},"key1":null}]',
        '[{"key2":null,"key0":null,"x":{"key1":null,"key0":null,"key1":null},"key1":null}]',
        '[{"key2":null,"key0":null,"x":{"key1":null,"key0":null,"key2":null}}]',
    ]
    assert accepts(schema, *texts) == [True, True, False, False]


def test_grammars_are_small():
    order = rules_from_schema(ORDER, property_order="schema")
    assert size(order) < 10 and len(order.terminals) <= 32
    assert size(rules_from_schema({})) <= 12
    assert size(rules_from_schema({"type": "array", "items": {}, "minItems": 100, "maxItems": 256})) < 50


def test_text_and_pydantic_models_are_schemas_too():
    pydantic = pytest.importorskip("pydantic")

    class Address(pydantic.BaseModel):
        street: str
        zip: str = pydantic.Field(pattern=r"^\d{5}$")

    class Person(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid")
        name: str = pydantic.Field(min_length=1)
        age: int = pydantic.Field(ge=0, lt=150)
        home: Address | None = None
        friends: list["Person"] = pydantic.Field(default_factory=list)
        tags: dict[str, float] = pydantic.Field(default_factory=dict)

    rules = rules_from_schema(Person)
    assert rules == rules_from_schema(json.dumps(Person.model_json_schema()))
    sampler = TextSampler(rules)
    for seed in range(30):
        Person.model_validate_json(sampler.text(seed, 60))
    with pytest.raises(GrammarError, match="pydantic model class, but this is Address"):
        rules_from_schema(Address(street="x", zip="12345"))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {"a/b": {"not": 1}}}, r"at #/properties/a~1b/not: a schema is an object or a boolean"),
        ({"uniqueItems": True}, "uniqueItems=true is not supported"),
        ({"multipleOf": 11}, "multipleOf=11 is not supported; it may be a divisor of 1000"),
        ({"multipleOf": 1e-10}, r"multipleOf=1e-10"),
        ({"minLength": 1000001}, "minLength=1000001 is not supported; counts go up to 1000000"),
        ({"maxProperties": 257}, "maxProperties=257 is not supported; counts go up to 256"),
        ({"maxItems": -1}, "maxItems=-1, but it must be a whole number"),
        ({"maxItems": True}, "maxItems=true"),
        ({"minimum": "3"}, 'minimum="3", but it must be a number'),
        ({"type": "number", "minimum": 0.1234567890123456}, "over 15 digits"),
        ({"type": "int"}, 'type="int", but it must be one of .*Did you mean'),
        ({"type": []}, r"type=\[\]"),
        ({"items": [{}, {}]}, "prefixItems"),
        ({"required": "a"}, 'required="a", but it must be a list of keys'),
        ({"pattern": "((?=a).)*"}, r"at #: pattern '\(\(\?=a\)\.\)\*' has an anchor inside a repetition \(or look"),
        ({"pattern": "("}, "not a regular expression"),
        ({"anyOf": []}, r"anyOf=\[\]"),
        ({"$ref": "other.json"}, "leads out of this document"),
        ({"$ref": "#/$defs/nod", "$defs": {"node": {}}}, "Did you mean 'node'"),
        ({"$ref": "#nod", "$defs": {"node": {"$anchor": "node"}}}, "Did you mean 'node'"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "refers to itself for the same value"),
        ({"items": {"$id": 3, "type": "null"}}, r"\$id=3, but it must be a str"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, r"\$schema='http.*draft-03.*names no draft"),
        ({"minProperties": 2, "required": ["a"]}, "minProperties=2 and maxProperties=None are not supported here"),
        (False, "no value is valid"),
        (
            {"items": {"allOf": [{"minItems": 2, "type": "array"}, {"maxItems": 1}]}, "minItems": 1, "type": "array"},
            "#/items",
        ),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "no value is valid"),
        ({"type": "string", "pattern": "^a$", "minLength": 2}, "no value is valid"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "no value is valid"),
        ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, "no value is valid"),
        ({"allOf": [{"type": "null"}, {"type": "string"}]}, "no value is valid"),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.00000000000001}, "no value is valid"),
        ({"const": "\ud800"}, "lone surrogate"),
        ({"format": ["date"]}, r'format=\["date"\]'),
        ('{"minimum": 1e400}', "holds what JSON does not have"),
        ({"allOf": [{"anyOf": [{"const": k * n} for n in range(150)]} for k in (1, 2)]}, "over 20000 cases"),
        ({"default": float("nan")}, "holds what JSON does not have"),
        ("{'type': 'null'}", "is a str but not JSON"),
        ('{"minimum": NaN}', "NaN is no JSON number"),
        (7, "but this is int 7"),
        ("7", "a schema is an object or a boolean, but here is 7"),
    ],
)
def test_mistakes_and_what_is_not_supported(schema, message):
    with pytest.raises(GrammarError, match=message):
        rules_from_schema(schema)


def test_the_documentation_names_every_keyword():
    page = (Path(__file__).parents[2] / "docs" / "json-schema.md").read_text()
    section = page[: page.index("## Types of Python")]
    assert [name for name in KEYWORDS if not re.search(rf"`{re.escape(name)}\b", section)] == []


def test_property_order_has_three_values():
    with pytest.raises(
        GrammarError, match=r"property_order='shema' is unknown; legal: 'auto', 'any', 'schema'. Did you mean"
    ):
        rules_from_schema({}, property_order="shema")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "x" * 5_000},
        {"$ref": {"x": "y" * 5_000}},
        {"$ref": "#" + "x" * 5_000},
        {"$ref": "#/" + "x" * 5_000},
        {"$ref": "#/prefixItems/" + "1" * 5_000, "prefixItems": [True]},
        {"$ref": "#/prefixItems/\u0660", "prefixItems": [True]},  # a digit, but none of a pointer's
        {"$schema": "x" * 5_000},
        {"$defs": {"a": {"$id": "x" * 5_000, "$ref": "y"}}, "$ref": "#/$defs/a"},
        {"type": "object", "properties": {"x" * 5_000: {"minimum": "a"}}},
        {"type": "object", "properties": {"x" * 5_000: {"anyOf": []}}},
        {"type": "string", "pattern": "(" * 5_000},
        ["x" * 5_000],
    ],
)
def test_an_error_does_not_repeat_what_is_long(schema):
    with pytest.raises(GrammarError) as caught:
        rules_from_schema(schema)
    assert len(str(caught.value)) < 1_000
