"""Lengths of strings that are told by marks: against counting by hand, and canvases against all their completions."""

import itertools
import json
import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dllm import Grammar, GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.frontends.json_schema import counts
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.tables.vocabulary import vocabulary

BOUNDS = [(0, 3), (0, 4), (1, 5), (2, 7), (3, None), (4, 4), (5, 9), (6, 6), (7, None), (8, 13), (0, 12)]


@pytest.fixture
def threes(monkeypatch):
    """A mark behind each three characters."""
    monkeypatch.setattr(counts, "EVERY", 3)
    monkeypatch.setattr(counts, "BY_STATES", 2)


def bounded(low: int, high: int | None, **others: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": low, **({} if high is None else {"maxLength": high}), **others}


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_lengths_in_every_remainder(threes, low, high):
    schemas = [bounded(low, high), bounded(low, high, pattern="^[xé]*$"), bounded(low, high, pattern="^x*😀?$")]
    for schema in schemas:
        grammar, judge = Grammar.from_json_schema(schema), Draft202012Validator(schema)
        assert grammar.rules.tally is not None
        for size in range(16):
            for text in ("x" * size, "é" * size, "x" * (size - 1) + "😀", "xé" * (size // 2), "\t" * size):
                assert grammar.accepts(json.dumps(text, ensure_ascii=False)) == judge.is_valid(text), (schema, text)


def test_beside_other_strings(threes):
    schema = {
        "properties": {
            "a": bounded(0, 4),
            "long name": bounded(5, 8),
            "free": {"type": "string"},
            "one": {"enum": ["x", "xxxxxxxxxxx", "xxxx"]},
            "day": {"type": "string", "format": "date"},
            "short": bounded(1, 2),
        },
        "patternProperties": {"^xxxxx*$": {"type": "null"}},
        "additionalProperties": bounded(0, 5),
    }
    grammar, judge = Grammar.from_json_schema(schema), Draft202012Validator(schema)
    texts = ["", *("x" * size for size in range(1, 12)), "2024-02-29", 'xx"\\/', "\t\t\t\t"]
    for key in ["a", "long name", "free", "one", "day", "short", "x", "xxxx", "xxxxxxxxxx", "y", "yyyyyyyyyyyyyyy"]:
        for text in texts:
            valid = judge.is_valid({key: text}) and (key != "day" or text == "2024-02-29")
            assert grammar.accepts(json.dumps({key: text})) == valid, (key, text)
            assert grammar.accepts(json.dumps({key: text}, ensure_ascii=False)[:-3]) is False
    assert grammar.accepts(r'{"free": "\u00e9\u00e9\u00e9\u00e9\ud83d\ude00"}')
    assert not grammar.accepts('{"xxxx": "a"}') and grammar.accepts('{"xxxx": null}')


TOKENS = ['"', "x", "xxx", '"]', '["', '","', "]", " ", '"x', "é".encode()[:1], "é".encode()[1:]]


@pytest.mark.parametrize(
    "schema",
    [
        bounded(2, 5),
        bounded(4, 4, pattern="^x*$"),
        {"type": "array", "items": bounded(0, 4), "minItems": 1},
        {"type": "array", "prefixItems": [bounded(4, None), {"type": "string"}], "minItems": 1, "items": False},
    ],
)
def test_canvases_against_all_their_completions(threes, schema):
    words = vocabulary([token.encode() if isinstance(token, str) else token for token in TOKENS] + [None])
    raw = [token.encode() if isinstance(token, str) else token for token in TOKENS]
    grammar, end, rng = Grammar.from_json_schema(schema, whitespace="compact"), len(TOKENS), random.Random(str(schema))
    compiled = grammar.compile(words)
    assert compiled.loose is not None

    def text(ids: tuple[int, ...]) -> bool:
        data = b"".join(raw[one] for one in ids)
        try:
            return grammar.accepts(data.decode())
        except UnicodeDecodeError:
            return False

    known = [ids for size in range(1, 6) for ids in itertools.product(range(len(raw)), repeat=size) if text(ids)]
    for _ in range(100):
        length, ends = rng.randint(4, 5), rng.random() < 0.4
        model = rng.choice([ids for ids in known if len(ids) <= length])
        filled = [*model, *[MASK] * (length - len(model))]
        ids = tuple(MASK if rng.random() < 0.6 else rng.randrange(end) if rng.random() < 0.1 else one for one in filled)
        canvas = Canvas(ids, ends)
        fits = [
            one
            for one in known
            if (len(one) == length or (ends and canvas.tail <= len(one) < length))
            and all(given in (MASK, own) for given, own in zip(ids, one, strict=False))
        ]
        try:
            found = GrammarConstraint.start(compiled, canvas, 0, (end,))
        except GrammarError as error:
            assert "no text of the grammar fits" in str(error) and not fits, (ids, fits[:3])
            continue
        assert fits, ids
        for at in range(length):
            if ids[at] != MASK:
                continue
            for token in range(end):
                wanted = any(len(one) > at and one[at] == token for one in fits)
                assert (found.commit({at: token}) is not None) == wanted, (ids, at, TOKENS[token])


def test_large_counts_are_as_cheap_as_small_ones():
    for high in (2_000, 65_536):
        grammar = Grammar.from_json_schema({"type": "array", "items": bounded(1_000, high)})
        sizes = [size for size in (999, 1_000, high, high + 1) if grammar.accepts(f'["{"é" * size}"]')]
        assert sizes == [1_000, high]
        assert len(grammar._recogniser._machine.table) < 1_200 and len(grammar.rules.productions) < 90
    assert "a longer string" in Grammar.from_json_schema(bounded(100, None)).explain('"xxx"')


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        ("^[^x]{3,500}$", ["é" * 3, "é" * 500], ["éé", "é" * 501, "éééxé"]),
        ("^a[^x]{1000}b$", ["a" + "é" * 1000 + "b"], ["a" + "é" * 999 + "b", "é" * 1001 + "b"]),
        ("^([àá]b|cd){400,}$", ["àbcd" * 200, "áb" * 40_000], ["àbcd" * 200 + "à", "áb" * 399]),
        ("^.{0,65536}$", ["", "é" * 65_536], ["é" * 65_537, "a\nb"]),
    ],
)
def test_counts_of_patterns_that_are_lengths(pattern, right, wrong):
    grammar = Grammar.from_json_schema({"type": "string", "pattern": pattern})
    assert grammar.rules.tally is not None and len(grammar._recogniser._machine.table) < 1_700
    for text in right + wrong:
        assert grammar.accepts(json.dumps(text, ensure_ascii=False)) == (text in right), len(text)
    schema = {"type": "string", "pattern": pattern, "maxLength": max(len(right[0]), 100)}
    both = Grammar.from_json_schema(schema)
    assert [text for text in right if both.accepts(json.dumps(text, ensure_ascii=False))] == right[:1]
