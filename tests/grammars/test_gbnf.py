"""Grammars in llama.cpp's notation."""

from __future__ import annotations

import json
import re
import time
from itertools import product

import pytest

from dllm import LLM, Grammar, SamplingParams
from dllm.errors import GrammarError

JSON = r"""
# a value
root   ::= ws value ws
value  ::= object | array | string | number | ("true" | "false" | "null")
object ::= "{" ws ( member ("," ws member)* )? "}"   # members
member ::= string ws ":" ws value ws
array  ::= "[" ws (
             value ws ("," ws value ws)*
           )? "]"
string ::= "\"" (
             [^"\\\x7F\x00-\x1F] |
             "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
           )* "\""
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
ws     ::= [ \t\n]*
"""
GAME = r"""
root  ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")+
move  ::= (pawn | piece | "O-O" "-O"?) [+#]?
pawn  ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
piece ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
"""
GAME_PATTERN = (
    r"1\. M M\n([1-9][0-9]?\. M M\n)+"
).replace("M", r"(([a-h]x)?[a-h][1-8](=[NBKQR])?|[NBKQR][a-h]?[1-8]?x?[a-h][1-8]|O-O(-O)?)[+#]?")  # fmt: skip
SUMS = """
root ::= sum
sum ::= sum "+" term | sum "-" term |
  term
term ::= [0-9]+ | "(" sum ")"
"""


@pytest.mark.parametrize(
    "text", ['{"a": [1, -2.5e3, "x\\u00e9\\n"], "b": {}}', " [ ]\n", "null", '"é"', "[true,false]", "0"]
)
def test_json_is_read(text):
    json.loads(text)
    assert Grammar.from_gbnf(JSON).accepts(text), Grammar.from_gbnf(JSON).explain(text)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "01", '"\\x"', '{"a" 1}', "nul", '"a\nb"', "tru e", "1 2"])
def test_what_is_no_json_is_not(text):
    assert not Grammar.from_gbnf(JSON).accepts(text)


@pytest.mark.parametrize(
    ("text", "pattern", "letters"),
    [
        ('root ::= "ab" | [a-c]+ "d"?', "ab|[a-c]+d?", "abcd"),
        ('root ::= ("a" | "b" c)* \nc ::= "c"{1,2}', "(a|bc{1,2})*", "abc"),
        ('root ::= "ab"* "c"{2} | d{1,} | ""\nd ::= [^a-c]', "(ab)*cc|[^a-c]+|", "abcd"),
        ('root ::= "ab"*?', "(ab)*", "ab"),
        ('root ::= "ab" * [c-d] {1 , 2} ("e"\n# f\n+) ?', "(ab)*[cd]{1,2}(e+)?", "abce"),
        ("root ::= . [\\x61\\u0062]", "(?s:.)[ab]", "ab\n"),
        ('root ::= (\n "a" # one\n "b"\n)\n\n# end', "ab", "ab"),
        ('root ::= [a-] "\\\\"? "\\""', '[a-]\\\\?"', 'a-\\"'),
        ('root ::= "é" | [ぁ-ゟ]', "é|[ぁ-ゟ]", "éあxゟ"),
        ('root ::= my_rule-2\r\nmy_rule-2 ::= "" | "a"', "a?", "ab"),
    ],
)
def test_notation(text, pattern, letters):
    grammar = Grammar.from_gbnf(text)
    for length in range(5):
        for chars in product(letters, repeat=length):
            word = "".join(chars)
            assert grammar.accepts(word) == bool(re.fullmatch(pattern, word)), word


def test_a_game():
    grammar = Grammar.from_gbnf(GAME)
    for text in ("1. e4 e5\n2. Nf3 Nc6\n", "1. O-O exd5+\n12. Qxe7# O-O-O\n", "1. e4 e5\n", "1. e9 e5\n2. a1 a1\n", ""):
        assert grammar.accepts(text) == bool(re.fullmatch(GAME_PATTERN, text)), text


def test_left_recursion_and_a_rule_that_goes_on_behind_the_bar():
    grammar = Grammar.from_gbnf(SUMS)
    assert all(map(grammar.accepts, ("1", "1+2-33", "(1+2)-(3)")))
    assert not any(map(grammar.accepts, ("", "1+", "(1", "1 + 2")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no rule 'root'"),
        ('start ::= "a"', "has no rule 'root', which a whole text is; it has start"),
        ("root ::= a", r"line 1, column 10 at 'a': there is no rule 'a'"),
        ('root ::= nme\nname ::= "a"', "no rule 'nme'. Did you mean 'name'"),
        ('root ::= "a\n"', r"line 1, column 10 .*this \" is never closed"),
        ("root ::= [a", r"this \[ is never closed"),
        ('root ::= ("a"', "this bracket is never closed"),
        ('root ::= "a")', r"column 13 at '\)': expected the end of the rule 'root'"),
        ('root ::= "a"\n  "b"', r"line 2, column 3 .*expected the name of a rule"),
        ('root = "a"', "expected ::="),
        ('root ::= "\\q"', "a backslash stands before"),
        ('root ::= "\\uD800"', "no text holds this character"),
        ('root ::= "\\U00110000"', "no text holds this character"),
        ("root ::= [z-a]", "runs backwards"),
        ('root ::= "a"{3,2}', "must count up"),
        ('root ::= "a"{1,100001}', "to at most 100000"),
        ('root ::= "a"{' + "9" * 5000 + "}", "to at most 100000"),
        ('root ::= "a"{,2}', r"a count is \{3\}"),
        ('root ::= "a"\nroot ::= "b"', "line 2, column 1 .*'root' is there twice"),
        ("root ::= <think>", "tokens are not supported"),
        ("root ::= !<[10]>*", "tokens are not supported"),
        ('root ::= "(" root ")"', "no text is a 'root'"),
        ("root ::= []", "no text is a 'root'"),
        ("root ::= " + "(" * 5000 + '"a"' + ")" * 5000, "nested too deeply"),
    ],
)
def test_mistakes(text, said):
    with pytest.raises(GrammarError, match=said) as raised:
        Grammar.from_gbnf(text)
    assert len(str(raised.value)) < 500


def test_what_is_no_text():
    with pytest.raises(GrammarError, match="must be a str, but it is bytes"):
        Grammar.from_gbnf(b"root ::= .")


def test_hostile_grammars_end():
    """Doubling rules, an outline that would grow without end, counts of counts."""
    doubling = "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1} r{i + 1}\n" for i in range(40)) + 'r40 ::= "a" | "b" r0'
    began = time.process_time()
    for text in (doubling, 'root ::= (("a" | "b"){1,1000} "c"?){1,1000}', 'root ::= ("a"? ' * 30 + ")*" * 30):
        try:
            Grammar.from_gbnf(text)
        except GrammarError:
            continue
    assert time.process_time() - began < 10


@pytest.mark.parametrize("text", [JSON, SUMS, 'root ::= "yes" | "no" " "{0,3} "!"'])
def test_answers_are_in_the_grammar(text):
    grammar, llm = Grammar.from_gbnf(text), LLM("tiny")
    for seed in range(3):
        params = SamplingParams(max_new_tokens=12, grammar=grammar, temperature=2.0, scheduler="topk(2)", seed=seed)
        answer = llm.generate("x\n", params)
        assert grammar.accepts(answer.text), answer.text
