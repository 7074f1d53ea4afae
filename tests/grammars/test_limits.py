"""What would explode is cheap where it can be, and else refused before it is made."""

import time

import pytest

from dllm import Grammar, GrammarError
from dllm.grammars.attach import attach
from dllm.grammars.canvas import MASK
from dllm.grammars.regex import Chars, Repeat, flattened
from dllm.grammars.tables import token_table
from dllm.grammars.tables.limits import limit, limited
from dllm.grammars.tables.token_table import TokenTable
from dllm.grammars.tables.vocabulary import vocabulary

BYTES = vocabulary([bytes([one]) for one in range(256)] + [b"aa", b"aba", "é€".encode(), b"ab "])


def in_time(call):
    """What it gives; it takes a second of this processor at most (six, since others use it too)."""
    begin = time.process_time()
    found = call()
    assert time.process_time() - begin < 6
    return found


CHEAP = [
    (r"(a{1,40}){1,40}", "a" * 1600, "a" * 1601),
    (r"^(a{1,100}){1,60}$", "a" * 6000, "a" * 6001),
    (r".{300}", "é" * 300, "é" * 299),
    (r"\w{5}", "aé1_x", "aé1_"),
    (r"[a-z]{1,1000}", "q" * 1000, "q" * 1001),
    (r"([a-z0-9]{1,20} ?){1,30}", "ab cd" * 20, "ab  cd"),
    (r"(a|b)*a(a|b){9}", "b" + "a" * 10, "b" * 11),
    (r"(a{2,3}){2,3}", "a" * 9, "a" * 10),
    (r"(a{3}){0,5}", "a" * 6, "a" * 7),
    (r"^(\w{1,20} ?){1,30}$", "aé1_ " * 30, "aé1_ " * 31),
    (r"[a-z]{1,2000}", "q" * 2000, "q" * 2001),
    (r"\w{500}", "é" * 500, "é" * 499),
    (r"(.{1,80}\n){0,100}", "aé\n" * 100, "\n"),
    (r"((\w{1,20} ?){1,30}-){1,30}", "ab c-" * 30, "ab c-" * 31),
    (r"(((a{1,9}b?){1,90}c?){1,90}d?){1,90}", "aabcd" * 90, "d"),
    (r"(\w{900}|\d{900}){2}", "1" * 1800, "1" * 1799),
]


@pytest.mark.parametrize(("pattern", "text", "other"), CHEAP)
def test_counts_are_cheap(pattern, text, other):
    grammar = Grammar.from_regex(pattern)
    compiled = in_time(lambda: grammar.compile(BYTES))
    assert in_time(lambda: grammar.accepts(text)) and not in_time(lambda: grammar.accepts(other))
    assert isinstance(compiled.scanner.scan(text.encode()), tuple)


EXPLODING = [
    r"(a|b)*a(a|b){16}",
    r"(a|b)*a(a|b){400}",
    r"(.|\n)*a(.|\n){40}",
    r".*a.{20}",
]


@pytest.mark.parametrize("pattern", EXPLODING)
def test_what_explodes_is_refused(pattern):
    grammar = Grammar.from_regex(pattern)
    for call in (lambda: grammar.compile(BYTES), lambda: grammar.accepts("a")):
        with pytest.raises(GrammarError, match=r"^regex .*: terminal TEXT is too large.*DLLM_GRAMMAR_LIMIT"):
            in_time(call)


def test_the_terminal_is_named():
    grammar = Grammar.from_lark("start: (WORD | ODD)*\nWORD: /[a-z]+/\nODD: /[01]*1[01]{30}/\n")
    with pytest.raises(GrammarError, match="lark grammar: terminal ODD is too large"):
        in_time(lambda: grammar.compile(BYTES))


STATES = r"^(a|b)*a(a|b){16}$"
ASKED = [
    ({"type": "string", "pattern": STATES}, "pattern", "a"),
    ({"type": "string", "pattern": "^[^x]{3000}y?[^x]{3000}$", "maxLength": 50_000}, "pattern and maxLength", "a"),
    ({"enum": ["x" * 30_000]}, "enum", "a"),
    ({"items": {"type": "string", "pattern": STATES}, "type": "array"}, "pattern", "a/items"),
    ({"allOf": [{"type": "string"}, {"pattern": r"^([^x]{300}y?){300}$"}]}, "pattern", "a"),
]


@pytest.mark.parametrize(("schema", "keywords", "place"), ASKED)
def test_the_keyword_and_its_place_are_named(schema, keywords, place):
    with pytest.raises(GrammarError, match=r"JSON schema.*too large: it needs .*states.*DLLM_GRAMMAR_LIMIT") as caught:
        document = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
        in_time(lambda: Grammar.from_json_schema(document).compile(BYTES))
    assert f"{keywords} at #/properties/{place} is" in str(caught.value) or (
        f"at #/properties/{place}: {keywords} is" in str(caught.value)
    )


def test_counts_in_schemas_are_cheap():
    for schema, text in (
        ({"type": "string", "maxLength": 1000}, "é" * 1000),
        ({"type": "string", "pattern": "^.{300}$"}, "é" * 300),
        ({"type": "string", "pattern": r"^(\w{1,20} ?){1,30}$"}, "abcd " * 30),
        ({"type": "string", "pattern": "^[a-z]{1,2000}$"}, "q" * 2000),
    ):
        grammar = Grammar.from_json_schema(schema)
        assert in_time(lambda grammar=grammar: grammar.compile(BYTES))
        assert grammar.accepts(f'"{text}"') and not grammar.accepts(f'"{text * 21}"')
    listed = Grammar.from_json_schema({"type": "array", "minItems": 999, "maxItems": 1000, "items": {"type": "null"}})
    for count in (998, 999, 1000, 1001):
        assert listed.accepts(f"[{', '.join(['null'] * count)}]") == (count in (999, 1000))


def test_many_terminals_are_too_large_together():
    text = "start: " + " | ".join(f"A{i}" for i in range(60)) + "\n"
    grammar = Grammar.from_lark(
        text + "".join(f"A{i}: /[ab]*{'ab'[i % 2]}c{{{i}}}[ab]{{{i % 7}}}d/\n" for i in range(60))
    )
    with pytest.raises(GrammarError, match="too large"):
        in_time(lambda: grammar.compile(BYTES, limit=500))


def test_the_limit_can_be_raised_and_lowered(monkeypatch):
    pattern = r"(a|b)*a(a|b){6}"
    with pytest.raises(GrammarError, match="limit is 50 scanner states"):
        Grammar.from_regex(pattern).compile(BYTES, limit=50)
    monkeypatch.setenv("DLLM_GRAMMAR_LIMIT", "40")
    with pytest.raises(GrammarError, match="limit is 40 scanner states"):
        Grammar.from_regex(pattern).compile(BYTES)
    assert Grammar.from_regex(pattern).compile(BYTES, limit=5000)
    for wrong in ("", "x", "-1", "1.5", "\u0663"):
        monkeypatch.setenv("DLLM_GRAMMAR_LIMIT", wrong)
        if wrong:
            with pytest.raises(GrammarError, match="DLLM_GRAMMAR_LIMIT must be a whole number"):
                limit()
        else:
            assert limit() == 20_000


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "10", True])
def test_a_limit_is_a_whole_number(wrong):
    with pytest.raises(GrammarError, match="limit must be a whole number"), limited(wrong):
        pass


def counts(tree):
    """Lengths of up to 60 that a repetition of one character has."""
    if isinstance(tree, Chars):
        return {1}
    body, found, here = counts(tree.body), set(), {0}
    for count in range(61):
        if count >= tree.low and (tree.high is None or count <= tree.high):
            found |= here
        here = {a + b for a in here for b in body if a + b <= 60}
    return found


def test_repetitions_of_repetitions_are_the_same_texts():
    one = Chars(((97, 97),))
    bounds = [(low, high) for low in range(4) for high in (None, *range(low, 5))]
    for inner in bounds:
        for outer in bounds:
            tree = Repeat(Repeat(one, *inner), *outer)
            assert counts(flattened(tree)) == counts(tree), tree


N = 40
LARK = [
    ("start: " + " ".join(f'["a{i};"]' for i in range(N)), "a0;a2;a39;", "a2;a0;"),
    ("start: " + " ".join(f'"a{i};"?' for i in range(N)), "", "a2;a0;"),
    ("start: " + '("a"|"b"|"c") ' * 12, "abc" * 4, "abc" * 4 + "a"),
    ('start: ("a"|"b")~20 "c"', "ab" * 10 + "c", "ab" * 9 + "c"),
    ('start: ((("a"|"b")~1..9)~1..9)~1..9 "c"', "abc", "c"),
    ('start: a{"x","y"}\na{p,q}: ' + "[p] (p|q) " * 10, "y" * 10, "y" * 9),
]


@pytest.mark.parametrize(("text", "right", "wrong"), LARK)
def test_groups_of_lark_are_not_multiplied_out(text, right, wrong):
    grammar = in_time(lambda: Grammar.from_lark(text))
    assert grammar.accepts(right) and not grammar.accepts(wrong)
    assert sum(map(len, grammar.rules.productions.values())) < 500


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('start: a{"x"}\na{p}: p | a{b{p}}\nb{q}: q q', "template 'a'"),
        (
            'start: t0{"x"}\n'
            + "\n".join(f"t{i}{{p}}: t{i + 1}{{u{{p,p}}}}" for i in range(30))
            + "\nt30{p}: p\nu{p,q}: p q",
            "template 'u'",
        ),
        ("start: " + "(" * 2000 + '"a"' + ")" * 2000, "nested too deeply"),
        ("start: A\nA: " + "(" * 2000 + '"a"' + ")" * 2000, "nested too deeply"),
        ('start: "a"~1..' + "9" * 5000, "count of over"),
    ],
)
def test_what_lark_cannot_end_is_refused(text, match):
    with pytest.raises(GrammarError, match=match):
        in_time(lambda: Grammar.from_lark(text))


def pairs_of_pairs(depth):
    """Objects of two that each hold two, and so on."""
    inner = {f"d{i}": {"type": "object", "required": ["a", "b"], "properties": {}} for i in range(depth)}
    for i, one in enumerate(inner.values()):
        one["properties"] = {key: {"$ref": f"#/$defs/d{i + 1}"} for key in "ab"}
    return {"$ref": "#/$defs/d0", "$defs": {**inner, f"d{depth}": {"type": "integer"}}}


def arrays(least, depth):
    return {"type": "array", "minItems": least, "items": arrays(least, depth - 1)} if depth else {"type": "integer"}


@pytest.mark.parametrize("schema", [pairs_of_pairs(14), arrays(50, 3)])
def test_a_canvas_that_is_far_too_short_is_refused_at_once(schema):
    grammar = in_time(lambda: Grammar.from_json_schema(schema))
    with pytest.raises(GrammarError, match=r"the shortest one takes \d+ bytes, and 128 tokens hold"):
        in_time(lambda: attach(grammar, BYTES, [MASK] * 128, 0, ends=True, eos=[0]))


@pytest.mark.parametrize("schema", [pairs_of_pairs(25), arrays(200, 4)])
def test_a_text_that_nobody_could_write_is_refused(schema):
    with pytest.raises(GrammarError, match=r"JSON schema: the shortest text is too large: it needs .* bytes"):
        in_time(lambda: Grammar.from_json_schema(schema).compile(BYTES))


def test_the_shortest_text_is_counted_in_bytes():
    rules = [
        ("start: A B? | C C\nA: /é{2,3}/\nB: /b+/\nC: /c{3}/", 4),
        ('start: "a" start "b" | "xyz"', 3),
        ("start: A*\nA: /aa/", 0),
    ]
    for text, least in rules:
        assert Grammar.from_lark(text).compile(BYTES).shortest == least


WALKED = [
    Grammar.from_json_schema({"type": "string", "maxLength": 90}),
    Grammar.from_json_schema({"type": "string", "minLength": 60, "maxLength": 90}),
    Grammar.from_json_schema({"type": "object", "properties": {"a": {"type": "string", "maxLength": 80}}}),
    Grammar.from_lark('start: (A ",")+ A\nA: /[ab]{2,90}x?/\n'),
    Grammar.from_lark("start: A+\nA: /(ab?c){3,70}x/\n"),
    Grammar.from_lark('start: A | "(" A ")"\nA: /"[^"]{1,60}"/\n'),
]


@pytest.mark.parametrize("grammar", WALKED, ids=range(len(WALKED)))
def test_states_alike_are_walked_once(grammar, monkeypatch):
    """What is copied from a state to those that do the same is what a walk finds."""
    words = vocabulary(
        [bytes([one]) for one in range(256)] + [b"aa", b"abac", "é€".encode(), b'a"', b'",', b'", "', b"c"]
    )
    found = TokenTable.make(grammar.compile(words).scanner, words)
    monkeypatch.setattr(token_table, "SHIFTS", 0)
    wanted = TokenTable.make(found.scanner, words)
    for state in range(len(found.at) - 1):
        for token in range(len(words)):
            assert found.step(state, token) == wanted.step(state, token)
    assert (found.group_of == wanted.group_of).all() and (found.first == wanted.first).all()


def rules_in_a_row(count):
    return "\n".join(["start: r0", *(f'r{at}: "a" r{at + 1} | "b"' for at in range(count)), f'r{count}: "z"'])


@pytest.mark.parametrize(
    "make", [lambda: Grammar.from_regex("a?" * 6000), lambda: Grammar.from_lark(rules_in_a_row(2000))]
)
def test_long_grammars_take_time_that_grows_with_them(make):
    """Ten seconds and more where which symbols derive a text is found out by going through all rules again."""
    grammar = in_time(make)
    in_time(lambda: grammar.compile(BYTES))


@pytest.mark.parametrize("length", [3, 501, 1203])
def test_halves_of_long_rules_are_the_rule(length):
    grammar = Grammar.from_lark("start: " + " ".join(f'"{"abc"[at % 3]}"' for at in range(length)))
    row = attach(grammar, BYTES, [MASK] * length, 0, ends=False, eos=(), advise=False)
    assert bytes(row.witness(at) for at in range(length)).decode() == ("abc" * length)[:length]
