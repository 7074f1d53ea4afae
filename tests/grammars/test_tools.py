"""Calls of tools: which texts are calls, which are free text, and how a reader tells."""

import inspect
import json
import random
from itertools import product

import pytest

from dllm import LLM, Grammar, GrammarError, SamplingParams
from dllm.grammars.canvas import Canvas
from dllm.grammars.frontends.tools import call_in, calls_in, rules_from_tools, with_free_text
from dllm.grammars.search.constraint import GrammarConstraint
from tests.references.json_sampler import TextSampler
from tests.support.byte_bpe import SPECIAL, train
from tests.support.fakes import MixDenoiser

WEATHER = {
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/text"}, "name": {"type": "string"}},
        "required": ["city", "name"],
        "additionalProperties": False,
        "$defs": {"text": {"type": "string", "maxLength": 9}},
    },
    "strict": True,
}
ADD = {
    "name": "add",
    "parameters": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "properties": {"a": {"$ref": "#/$defs/text"}, "b": {"minimum": 0, "exclusiveMinimum": True}},
        "required": ["a"],
        "$defs": {"text": {"type": "integer"}},
        "x-order": 1,
    },
}
NODE = {
    "name": "node",
    "parameters": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/node",
        "definitions": {"node": {"type": "object", "properties": {"next": {"$ref": "#/definitions/node"}}}},
    },
}
STOP = {"type": "function", "function": {"name": "stop"}}
TOOLS = [{"type": "function", "function": WEATHER}, ADD, NODE, STOP]
CALLS = {
    '{"name": "weather", "arguments": {"city": "Rome", "name": "x"}}': True,
    '\n{"name":"weather","arguments":{"name":"\\"}{","city":""}} ': True,
    '{"name": "weather", "arguments": {"city": "Rome"}}': False,
    '{"name": "weather", "arguments": {"city": "Rome", "name": "x", "name": "y"}}': False,
    '{"name": "weather", "arguments": {"city": 1, "name": "x"}}': False,
    '{"arguments": {"city": "Rome", "name": "x"}, "name": "weather"}': False,
    '{"name": "add", "arguments": {"b": 0.5, "a": 1}}': True,
    '{"name": "add", "arguments": {"b": 0, "a": 1}}': False,
    '{"name": "add", "arguments": {"a": "1"}}': False,
    '{"name": "add", "arguments": [1]}': False,
    '{"name": "node", "arguments": {"next": {"next": {}}}}': True,
    '{"name": "node", "arguments": {"next": {"next": 1}}}': False,
    '{"name": "node", "arguments": 1}': False,
    '{"name": "stop", "arguments": {}}': True,
    '{"name": "stop", "arguments": {"now": 1}}': False,
    '{"name": "stop"}': False,
    '{"name": "go", "arguments": {}}': False,
    '{"name": "stop", "arguments": {}} done': False,
    "{": False,
    " {x": False,
}
FREE = [
    "",
    " ",
    "Hi",
    "true",
    "12",
    "12abc",
    '"',
    '"\\',
    'He said "a\nb"',
    '"a" "b": "c"',
    "} x",
    "é日本😀",
    "don't",
    "1e",
]
FREE += [
    'Use\n{"name": "stop", "arguments": {}}',
    "\xa0{",
    "\x0b{",
    "-",
    ": ,",
    "null}",
    '"open {',
    'x }}: "name": {"city":',
]


def test_calls_are_those_of_the_tools_each_read_by_its_own_schema():
    for choice in ("auto", "required"):
        grammar = Grammar.from_tools(TOOLS, choice=choice)
        for text, valid in CALLS.items():
            assert grammar.accepts(text) == valid, text
            assert not valid or grammar.parser(text) == json.loads(text)
    assert grammar.notes == (
        "'x-order' at tool 'add', #: a keyword of no draft: an annotation, which asserts nothing.",
    )


def test_free_text_is_what_does_not_begin_like_a_call():
    grammar, only = Grammar.from_tools(TOOLS), Grammar.from_tools(TOOLS, choice="required")
    for text in FREE:
        assert grammar.accepts(text) and not only.accepts(text), text
        assert grammar.parser(text) is None


def test_one_tool_may_be_asked_for():
    grammar = Grammar.from_tools(TOOLS, choice="stop")
    assert [text for text in (*CALLS, *FREE) if grammar.accepts(text)] == ['{"name": "stop", "arguments": {}}']


def test_parallel_calls_are_a_list():
    grammar = Grammar.from_tools(TOOLS, parallel=True)
    for text, valid in CALLS.items():
        assert grammar.accepts(f"[{text}]") == valid, text
        assert not grammar.accepts(text)
    for text in FREE:
        assert grammar.accepts(text) and grammar.parser(text) is None
    both = '[{"name": "stop", "arguments": {}}, {"name": "add", "arguments": {"a": 1}}]'
    assert grammar.accepts(both) and grammar.parser(both) == json.loads(both)
    assert not grammar.accepts("[]") and not grammar.accepts("[x") and grammar.accepts(f"x {both}")
    assert not Grammar.from_tools(TOOLS, choice="add", parallel=True).accepts(both)


@pytest.mark.parametrize(("opening", "read"), [("{", call_in), ("[{", calls_in)])
def test_free_text_is_exact_on_all_short_texts(opening, read):
    rules = rules_from_tools([STOP], choice="required")[0]
    grammar, call = Grammar(with_free_text(rules, opening)), Grammar(rules)
    for length in range(5):
        for text in map("".join, product('{}[,:" \\a1', repeat=length)):
            free = text.lstrip(" \t\n\r")[:1] not in tuple(opening)
            assert grammar.accepts(text) == (free or call.accepts(text)), text
            assert not free or read(text) is None


def test_texts_drawn_from_a_grammar_are_calls_or_free():
    grammar, counted = Grammar.from_tools(TOOLS), [0, 0]
    sampler = TextSampler(grammar.rules)
    for seed in range(60):
        text = sampler.text(seed, 30)
        if '"' in text and not text.lstrip(" \t\n\r").startswith("{"):
            continue  # lexemes of free text side by side may be read as others
        assert grammar.accepts(text), text
        call = grammar.parser(text)
        counted[call is None] += 1
        assert call is None or (list(call) == ["name", "arguments"] and isinstance(call["arguments"], dict))
    assert min(counted) > 0


def test_arguments_have_the_order_that_is_asked_for_and_the_call_its_own():
    texts = [
        '{"name": "weather", "arguments": {"name": "x", "city": "Rome"}}',
        '{"arguments": {"city": "Rome", "name": "x"}, "name": "weather"}',
    ]
    for order, expected in (("auto", [True, False]), ("any", [True, False]), ("schema", [False, False])):
        grammar = Grammar.from_tools([WEATHER], property_order=order)
        assert [grammar.accepts(text) for text in texts] == expected


def test_classes_and_functions_are_tools():
    pydantic = pytest.importorskip("pydantic")

    class Move(pydantic.BaseModel):
        """Moves."""

        x: int

    def turn(degrees: float, left: bool = True) -> None:
        """Turns."""

    grammar = Grammar.from_tools([Move, turn], choice="required")
    assert grammar.accepts('{"name": "Move", "arguments": {"x": 1}}')
    assert grammar.accepts('{"name": "turn", "arguments": {"degrees": 4.5, "left": false}}')
    assert not grammar.accepts('{"name": "turn", "arguments": {"left": false}}')


@pytest.mark.parametrize(
    ("tools", "options", "message"),
    [
        ([], {}, "tools is empty"),
        (WEATHER, {}, r"must be a list of tools: write \[tool\]"),
        (3, {}, "must be a list of tools"),
        ("[", {}, "tools is a str but not JSON"),
        ([WEATHER, STOP, WEATHER], {}, r"tools\[0\] and tools\[2\] both have the name 'weather'"),
        ([STOP, {"parameters": {}}], {}, r"tools\[1\]: name=None must be"),
        ([{"type": "function", "function": {"name": ""}}], {}, r"tools\[0\]\['function'\]: name=''"),
        ([{"type": "web_search", "name": "x"}], {}, "type='web_search' must be 'function'"),
        ([{"name": "x", "paramters": {}}], {}, "'paramters' is unknown; legal: .* Did you mean 'parameters'"),
        ([{"name": "x", "inputSchema": {}}], {}, "'inputSchema' is unknown.* A tool's schema is its 'parameters'"),
        ([{"function": {"name": "x"}, "strict": True}], {}, "'strict' is unknown; legal: type, function"),
        ([3], {}, r"tools\[0\]=3 is no tool"),
        ([{"name": "x", "parameters": 3}], {}, "tool 'x': its parameters: a JSON schema is"),
        ([{"name": "x", "parameters": False}], {}, "tool 'x': parameters=False must be an object"),
        ([{"name": "x", "parameters": {"type": "string"}}], {}, "tool 'x': its parameters have type='string'"),
        (
            [STOP, {"name": "x", "parameters": {"properties": {"a": {"type": "strin"}}}}],
            {},
            "tool 'x': its parameters: .*#/properties/a.*Did you mean 'string'",
        ),
        ([{"name": "x", "parameters": {"$ref": "#/$defs/y"}}, WEATHER], {}, "tool 'x': its parameters: .*no '.defs'"),
        (
            [{"name": "x", "parameters": {"maxProperties": -1}}],
            {"choice": "x"},
            "tool 'x': its parameters: .* maxP",
        ),
        ([WEATHER], {"choice": "wether"}, r"choice='wether' must be .* \['weather'\]\. Did you mean 'weather'"),
        ([STOP, {"name": "x", "parameters": {"minProperties": 2, "maxProperties": 1}}], {}, "'x': .*no value is valid"),
        ([STOP, {"name": "x", "parameters": {"$schema": "draft3"}}], {}, "tool 'x': its parameters: .*names no draft"),
        ([WEATHER], {"choice": "none"}, "without any call there is no need for a grammar"),
        ([WEATHER], {"choice": {"name": "weather"}}, "must be 'auto', 'required' or the name"),
        ([WEATHER], {"parallel": 2}, "parallel=2 must be True"),
        ([WEATHER], {"unknown": "drop"}, "unknown='drop' is unknown"),
    ],
)
def test_mistakes_name_the_tool_and_the_fix(tools, options, message):
    with pytest.raises(GrammarError, match=message):
        Grammar.from_tools(tools, **options)


def test_the_options_are_those_of_schemas():
    ours = inspect.signature(Grammar.from_tools).parameters
    theirs = inspect.signature(Grammar.from_json_schema).parameters
    assert {name for name in theirs if name != "schema"} <= {*ours}


def test_whatever_a_model_says_it_is_a_call_or_free():
    model = MixDenoiser(620, seed=0, scale=2.0, eos=(SPECIAL["<|endoftext|>"],))
    model.mask_token_id = SPECIAL["<|mask|>"]
    llm, rng = LLM(model, tokenizer=train()), random.Random(0)
    for choice, parallel in (("auto", False), ("required", True)):
        grammar = Grammar.from_tools([STOP, ADD, WEATHER], choice=choice, parallel=parallel)
        params = SamplingParams(max_new_tokens=40, grammar=grammar, seed=rng.randrange(99), temperature=1.0)
        out = llm.generate("go", params)
        assert grammar.accepts(out.text)
        assert (out.parsed is None) == (out.text.lstrip(" \t\n\r")[:1] not in ("{", "["))
        assert choice == "auto" or out.parsed is not None
    document = '{"name": "<mask:1>", "arguments": {"a": <mask:2>}}'
    free = LLM("tiny").infill(document, SamplingParams(grammar=Grammar.from_tools([ADD, STOP]), seed=0))
    assert free.parsed["name"] == "add" and isinstance(free.parsed["arguments"]["a"], int)


@pytest.mark.parametrize("parallel", [False, True])
def test_long_strings_are_counted_in_calls_and_open_ones_are_free_text(parallel):
    parameters = {"type": "object", "properties": {"t": {"type": "string", "maxLength": 66}}}
    tool = {"name": "f", "parameters": parameters}
    vocabulary = LLM("tiny").vocabulary
    grammar = Grammar.from_tools([tool], parallel=parallel)
    compiled = grammar.compile(vocabulary)
    one = {token: index for index, token in reversed(list(enumerate(vocabulary.tokens))) if token}
    opening, closing = (
        ('[{"name":"f","arguments":{"t":"', '"}}]') if parallel else ('{"name":"f","arguments":{"t":"', '"}}')
    )
    texts = {f"{opening}{'x' * count}{closing}": count <= 66 for count in (64, 66, 67)}
    texts |= {f"{opening}{'x' * 65}": False, f'"{"x" * 64}': True, f'"{"é" * 65}" "{{': True, f'"{"a" * 64}\\': True}
    for text, belongs in texts.items():
        assert grammar.accepts(text) == belongs
        canvas = Canvas(tuple(one[bytes([byte])] for byte in text.encode()))
        if belongs:
            GrammarConstraint.start(compiled, canvas, 0, [0])
        else:
            with pytest.raises(GrammarError):
                GrammarConstraint.start(compiled, canvas, 0, [0])
