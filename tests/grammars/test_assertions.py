r"""Look-around and word boundaries in patterns of JSON Schema, and what ECMA-262 writes otherwise: against `re`."""

import itertools
import json
import random
import re
from collections import Counter

import pytest

from dllm import Grammar, GrammarError
from dllm.grammars.frontends.ecma import in_python
from dllm.grammars.frontends.pattern import parse_pattern
from dllm.grammars.tables.automata import dfa

TEXTS = ["".join(text) for size in range(6) for text in itertools.product("ab1 ", repeat=size)]
PATTERNS = [
    *(r"^(?!foo).*$", r"^(?=.*\d)(?=.*[a-z]).{3,}$", r"a(?=b)b", r"a(?!b).", r"^a(?!b)", r"^(?!.*a)b", r"a(?=$)"),
    *(r"(?<=a)b", r"(?<!a)b", r"^.*(?<!ab)$", r"^(?!ab).*(?<!b)$", r"(?<=^)a", r"(?<=^a)b", r"(?<![a1])b(?!a)"),
    *(r"^(?!a$).*$", r"^(?:(?=a)a|b)c*$", r"(?=a)", r"(?!a)", r"^(?!a|b$)", r"^(?=[ab]*1)(?!.*11)[ab1]+$", r"^(?!$)"),
    *(r"x(?=a)(?!ab)", r"(?<=a)(?=b)", r"^(?=a{2})", r"\bab\b", r"^\ba", r"\ba|b\B", r"\b", r"\B", r"a\b", r"\b1"),
    *(r"a\B.", r".\b.", r"^\b\w+\b$", r"\bab?\b", r"^(?!ab )"),
]
PIECES = [
    "a",
    "b",
    "1",
    " ",
    ".",
    r"\w",
    r"\s",
    "[ab]",
    "[^a]",
    "a*",
    "b?",
    ".*",
    "(?:ab|1)",
    "(?:a|)",
    "[a1]{1,2}",
    r"\w+",
]
LOOKS = ["(?=%s)", "(?!%s)", "(?<=%s)", "(?<!%s)"]


def compared(pattern: str) -> None:
    """In both dialects, on all texts; ECMA-262 finds `\\B` in the empty text."""
    for ecma in (True, False):
        machine = dfa([parse_pattern(pattern, ecma=ecma, search=True)])
        for text in TEXTS:
            if text or "\\B" not in pattern:
                wanted = bool(re.search(pattern, text))
                assert bool(machine.matches(text.encode())) == wanted, (pattern, text, ecma)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_look_around_and_boundaries(pattern):
    compared(pattern)


def random_pattern(rng: random.Random) -> str:
    def look() -> str:
        if rng.random() < 0.4:
            return rng.choice([r"\b", r"\b", r"\B"])
        kind = rng.choice(LOOKS)
        inner = "".join(rng.choice(PIECES[:9]) for _ in range(rng.randint(1, 2)))
        if "<" not in kind:
            inner = rng.choice(["", "", ".*"]) + inner + rng.choice(["", "", "$"])
        return kind % inner

    def sequence() -> str:
        parts = [rng.choice(PIECES) for _ in range(rng.randint(0, 3))]
        for _ in range(rng.choice([0, 1, 1, 2])):
            parts.insert(rng.choice([0, len(parts), rng.randint(0, len(parts))]), look())
        return rng.choice(["", "^"]) + "".join(parts) + rng.choice(["", "$"])

    return "|".join(sequence() for _ in range(rng.choice([1, 1, 1, 2])))


def checked(seeds: range) -> Counter[str]:
    """Random patterns: what became of them."""
    found: Counter[str] = Counter()
    for seed in seeds:
        pattern = random_pattern(random.Random(seed))
        try:
            compared(pattern)
            found["agrees"] += 1
        except GrammarError as error:
            assert re.search("right of a look-ahead|inside look-around|anchor inside", str(error)), error
            found["refused"] += 1
    return found


def test_random_look_around():
    found = checked(range(40))
    assert found["agrees"] > 25, found


@pytest.mark.full
def test_much_random_look_around():
    checked(range(1000, 2500))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?:(?=a).)*", "inside a repetition"),
        (r"(?:a\b)+", "inside a repetition"),
        ("(?=.*a).*(?<=b)c", "right of a look-ahead"),
        ("a(?=b(?!c))", "inside look-around"),
        (r"\p{Script=Greek}", "general categories"),
        (r"\p{Leter}", "Letter"),
        (r"(?<n>a)\k<n>", "bad escape"),
        (r"(a)\1", "not portable"),
    ],
)
def test_what_is_refused(pattern, words):
    with pytest.raises(GrammarError, match=words):
        Grammar.from_json_schema({"pattern": pattern})


def accepted(pattern: str, texts: list[str]) -> list[str]:
    grammar = Grammar.from_json_schema({"type": "string", "pattern": pattern})
    return [text for text in texts if grammar.accepts(json.dumps(text, ensure_ascii=False))]


def test_what_ecma_262_writes_otherwise():
    texts = ["é", "日", "A", "1", "²", "-", "^", "]", "\\", "x", "😀", "\x01", ""]
    assert accepted(r"^\p{L}$", texts) == ["é", "日", "A", "x"]
    assert accepted(r"^[\p{Lu}\d]$", texts) == ["A", "1"]
    assert accepted(r"^[^\P{Letter}x]$", texts) == ["é", "日", "A"]
    assert accepted(r"^\P{L}$", texts) == ["1", "²", "-", "^", "]", "\\", "😀", "\x01"]
    assert accepted(r"^[\p{gc=P}]$", texts) == ["-", "]", "\\"]
    assert accepted(r"^\u{1F600}$", texts) == ["😀"] and accepted(r"^[\cA]$", texts) == ["\x01"]
    assert accepted(r"^(?<year>\d{4})-(?<month>\d\d)$", ["2024-02", "2024-2"]) == ["2024-02"]
    assert accepted(r"^(?<=^)(?<!a)x$", texts) == ["x"]
    for same in (r"\\p{L}", r"[(?<n>]", r"(?<=a)b", "a(?<!b)", r"\u00e9"):
        assert in_python(same, "here") == same


def test_a_pattern_beside_lengths_and_others():
    schema = {"type": "string", "pattern": r"^(?=.*\d)(?!.*  ).*$", "minLength": 3, "maxLength": 300}
    grammar = Grammar.from_json_schema(schema)
    for text in ["ab1", "a1", "abc", "a  1", "1" * 300, "1" * 301, "é" * 299 + "1"]:
        wanted = bool(re.search(schema["pattern"], text)) and 3 <= len(text) <= 300
        assert grammar.accepts(json.dumps(text, ensure_ascii=False)) == wanted, text
    free = Grammar.from_json_schema({"patternProperties": {"^(?!x-)": {"type": "null"}}, "type": "object"})
    assert free.accepts('{"x-a": 1}') and free.accepts('{"a": null}') and not free.accepts('{"a": 1}')
