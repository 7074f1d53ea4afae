"""`Grammar.accepts` against Earley's algorithm and against `re`, and what it costs."""

import json
import random
import re
import time

import pytest

from dllm import Grammar, GrammarError
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.regex import literal
from dllm.grammars.rules import Rules, Terminal
from dllm.grammars.tables.useful import productive
from tests.references.grammar_brute import ALPHABET, letters_of, random_rules
from tests.references.grammar_earley import Earley


def random_pattern(rng, depth=3):
    """With counts inside counts, in an alphabet of four."""
    kind = rng.random()
    if depth == 0 or kind < 0.3:
        return rng.choice(["a", "b", "[ab]", ".", "é", "[^a]", r"\w", " ?"])
    if kind < 0.5:
        return "".join(random_pattern(rng, depth - 1) for _ in range(rng.randint(2, 3)))
    if kind < 0.65:
        return f"(?:{random_pattern(rng, depth - 1)}|{random_pattern(rng, depth - 1)})"
    low = rng.randint(0, 3)
    count = rng.choice(["*", "+", "?", f"{{{low}}}", f"{{{low},}}", f"{{{low},{low + rng.randint(0, 4)}}}"])
    return f"(?:{random_pattern(rng, depth - 1)}){count}"


def check_pattern(rng, texts):
    """One pattern against `re.fullmatch` on so many texts; how many were compared."""
    pattern = random_pattern(rng)
    try:
        grammar = Grammar.from_regex(pattern)
        grammar.accepts("")
    except GrammarError:  # no text, or too large
        return 0
    for _ in range(texts):
        text = "".join(rng.choice("aaabb é\n"[: rng.choice([4, 8])]) for _ in range(rng.randint(0, 14)))
        assert grammar.accepts(text) == bool(re.fullmatch(pattern, text)), (pattern, text)
    return texts


def random_text(rng, known):
    """Mostly of the characters that the terminals know."""
    return "".join(rng.choice(known if rng.random() < 0.95 else ALPHABET) for _ in range(rng.randint(0, 8)))


def check_grammar(rng, texts):
    """One random grammar on so many texts: where a text is refused, too; how many were compared."""
    rules = random_rules(rng)
    kept = productive(rules.productions)
    if rules.start not in kept:
        return 0
    rules = Rules(rules.start, kept, rules.terminals, rules.ignored)
    recogniser, earley = Recogniser(rules), Earley(rules)
    begins = [one for one in ALPHABET if next(iter(recogniser.lexemes(one.encode()))).end]
    known = [*begins, *letters_of(rules)]
    for _ in range(texts):
        data = random_text(rng, known).encode()
        lexemes = list(recogniser.lexemes(data))
        read = [one for one in lexemes if one.terminals]
        fault = earley.fault([{rules.terminals[index].name for index in one.terminals} for one in read])
        failure = recogniser.failure(data)
        if fault is not None and fault < len(read):
            assert failure is not None and failure.start == read[fault].start, (rules, data)
        elif lexemes and lexemes[-1].start == lexemes[-1].end:
            assert failure is not None and (failure.reason, failure.start) == ("lexeme", lexemes[-1].start)
        else:
            assert (failure is None) == (fault is None), (rules, data)
    return texts


def test_patterns_agree_with_fullmatch():
    rng = random.Random(0)
    assert sum(check_pattern(rng, 8) for _ in range(60)) >= 400


def test_random_grammars_agree_with_earley():
    rng = random.Random(1)
    assert sum(check_grammar(rng, 8) for _ in range(120)) >= 500


FIELDS = {f"p{i}": {"type": "string"} if i % 2 else {"type": "array", "items": {"type": "integer"}} for i in range(50)}
RECORDS = {
    "type": "array",
    "items": {"type": "object", "properties": FIELDS, "required": ["p0"], "additionalProperties": False},
}


def seconds(call):
    begin = time.process_time()
    call()
    return time.process_time() - begin


def test_a_long_text_takes_as_long_as_it_is():
    grammar = Grammar.from_json_schema(RECORDS)
    record = {name: "some text" if "items" not in own else [1, 20, 300] for name, own in FIELDS.items()}
    texts = [json.dumps([record] * count) for count in (1, 20, 80)]
    assert grammar.accepts(texts[0])
    short, long = (min(seconds(lambda text=text: grammar.accepts(text)) for _ in range(2)) for text in texts[1:])
    assert len(texts[2]) > 80_000 and long < 8 * short + 0.2
    assert not grammar.accepts(texts[2][:-1] + ",]")


RIGHT = {"S": (("A", "S"), ("A",)), "A": (("a",),)}
LEFT = {"S": (("S", "A"), ("A",)), "A": (("a",),)}
NESTED = {"S": (("a", "S", "b"), ())}


@pytest.mark.parametrize("productions", [RIGHT, LEFT])
def test_either_recursion_is_read(productions):
    grammar = Grammar(Rules("S", productions, (Terminal("a", literal("a")),)))
    assert grammar.accepts("a" * 300) and not grammar.accepts("a" * 300 + "b")


def test_deep_nesting_is_read():
    grammar = Grammar(Rules("S", NESTED, (Terminal("a", literal("a")), Terminal("b", literal("b")))))
    assert grammar.accepts("a" * 5000 + "b" * 5000) and not grammar.accepts("a" * 5000 + "b" * 4999)


def test_a_grammar_without_sentences_accepts_none():
    grammar = Grammar(Rules("S", {"S": (("S",),), "A": ((),)}, (Terminal("a", literal("a")),)))
    assert not grammar.accepts("") and not grammar.accepts("a")
