"""Grammars in Lark's notation: what each notation means, and what is refused by name and place."""

import re

import pytest

from dllm.errors import GrammarError
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.frontends.lark import rules_from_lark
from dllm.grammars.frontends.pattern import parse_pattern
from tests.references.grammar_sampler import SlowScanner
from tests.references.grammar_trees import longest


def accepts(text, *examples, start="start"):
    recogniser = Recogniser(rules_from_lark(text, start=start))
    return [recogniser.accepts(example.encode()) for example in examples]


def test_rules_terminals_and_what_is_ignored():
    rules = rules_from_lark(
        'start: a "if"i\na: B | "+" a\nB.3: "b"+\nunused: "x"\nWS: " "\n%ignore WS\n%ignore /#.*/\n'
    )
    assert rules.start == "start" and dict(rules.productions) == {
        "start": (("a", '"if"i'),),
        "a": (("B",), ('"+"', "a")),
    }
    priorities = {terminal.name: terminal.priority for terminal in rules.terminals}
    assert priorities == {"B": 6, '"+"': 1, '"if"i': 1, "WS": 1, "/#.*/": 0}
    assert rules.ignored == {"WS", "/#.*/"}


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ('start: "a"* "b"+ ["c"]', ["b", "aabbc"], ["", "ac", "bcc"]),
        ('start: "a"~2..3 | "b"~2', ["aa", "aaa", "bb"], ["a", "aaaa", "b"]),
        ('start: pair{"x"}\npair{p}: "(" p "," p ")"', ["(x,x)"], ["(x)", "x"]),
        ('start: sep{A, ","}\nsep{x, y}: x (y x)*\nA: /[a-c]/', ["a", "a,b,c"], ["", "a,", "ab"]),
        ('?start: _b -> c\n!_b: "x" "y"?', ["x", "xy"], ["y"]),
        ('start: A B\nA: /x+/i\nB: "y".."z"', ["Xxz"], ["xx", "xa"]),
        ("%import common.INT\n%import common (WS, CNAME)\n%ignore WS\nstart: INT CNAME", ["1 a", "12x_"], ["a", "1"]),
        ("start:", [""], ["a"]),
        ('start: | start "a"', ["", "aaa"], ["b"]),
        ('start: A\nA: B+ C\nB: /[ab]/\nC: "c"', ["abc"], ["c", "ab"]),
        ('start: "é" | "\\n" | "\\"" | /\\// | "\\\\"', ["é", "\n", '"', "/", "\\"], ["e", "n"]),
    ],
)
def test_what_a_notation_means(text, yes, no):
    assert accepts(text, *yes) == [True] * len(yes)
    assert accepts(text, *no) == [False] * len(no)


def test_another_start():
    assert accepts('a: "x"\nb: a a', "xx", "x", start="b") == [True, False]


def test_a_text_in_quotes_beats_a_regular_expression_of_the_same_priority():
    text = 'start: "if" NAME | NAME NAME NAME\nNAME: /[a-z]+/\n%ignore " "'
    assert accepts(text, "if x", "if if", "ifx x", "a b c", "if a b") == [True, False, False, True, False]


def test_priorities_decide_between_lexemes_of_one_length():
    text = 'start: A | B B\nA{0}: /[ab]+/\nB{1}: "b"+'
    assert accepts(text.format("", ".1"), "bb", "b", "ab") == [False, False, True]
    assert accepts(text.format(".1", ""), "bb", "b", "ab") == [True, True, True]
    assert accepts(text.format("", ""), "bb", "b", "ab") == [True, True, True]


def test_strings_and_comments_of_larks_own_library_end_at_their_first_end():
    text = (
        "%import common (ESCAPED_STRING, C_COMMENT, CPP_COMMENT, WS)\n%ignore C_COMMENT\n%ignore CPP_COMMENT\n"
        '%ignore WS\nstart: "[" ESCAPED_STRING ("," ESCAPED_STRING)* "]"'
    )
    good = [r'["a"]', r'["a", "b"]', r'["\"", "\\"]', '["a" /* x */, /* y */ "b"] // z', r'["\\\\"]', '["é\\n"]']
    assert accepts(text, *good) == [True] * len(good)
    bad = ['["a" "b"]', r'["\"]', '["a\n"]', '["a" /* x ]', '["\\\n"]']
    assert accepts(text, *bad) == [False] * len(bad)


@pytest.mark.parametrize("text", [r'"a\"b" "c"', r'"\\" x"', r'"\\\" x"', '""', r'"\""', '"a\n"', '"', r'"\"'])
def test_escaped_strings_are_what_python_finds(text):
    rules = rules_from_lark("%import common.ESCAPED_STRING\nstart: ESCAPED_STRING")
    end = longest(rules.terminals[0].pattern, text)
    found = re.match(r'".*?(?<!\\)(\\\\)*?"', text)
    assert end == (found.end() if found else None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('start: a\na.2: "x"', ["'a' (line 2, column 1)", "priority 2"]),
        ("start: A\n%declare A B", ["%declare A", "line 2, column 10"]),
        ("start: a\n%declare a", ["%declare a", "rule"]),
        ("start: A\nA: /a*/", ["terminal A (line 2, column 1)", "empty text"]),
        ('start: "a" | /x?/', ["/x?/", "empty text"]),
        ("start: A\nA: /(?=a)b/", ["terminal A (line 2, column 1)", "look-around"]),
        (r"start: A" + "\n" + r"A: /\bb/", ["terminal A", "word boundary"]),
        ("start: A\nA: /^a/m", ["terminal A", "anchor"]),
        (r"start: A" + "\n" + r"A: /(a)\1/", ["back-reference"]),
        ("start: /a.*?b+/", ["lazy"]),
        ("start: (", ["line 1 column"]),
        ('start: "a"\n  b: "c', ["line 2 column 6"]),
        ("start: b", ["'b' used but not defined"]),
        ("start: B", ["'B' used but not defined"]),
        ("%import foo.BAR\nstart: BAR", ["foo.lark", "common"]),
        ('start: " " "a"\n%ignore " "', ["'start'", '" "', "%ignore"]),
        ('begin: "a"', ["'start' is not defined", "begin"]),
        ('start: start "x"', ["no text is a sentence", "'start' (line 1, column 1)"]),
        ('start: a\na: b "x"\nb: a | b b', ["no text is a sentence"]),
        ("start: A\nA: B\nB: A", ["Recursion"]),
        ('A: "x"\nA: "y"\nstart: A', ["defined more than once"]),
        ("start: /a/l", ["not a regular expression"]),
        ("start: /(/", ["not a regular expression"]),
        (5, ["must be a str", "5"]),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name_and_place(text, says):
    with pytest.raises(GrammarError) as caught:
        rules_from_lark(text)
    for part in says:
        assert part in str(caught.value)


def test_a_file_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "mine.lark").write_text('a: "x"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GrammarError, match="import"):
        rules_from_lark("%import .mine.a\nstart: a")


def test_the_two_scanners_of_the_tests_agree_with_each_other():
    rules = rules_from_lark(
        'start: (A | B | C | "-" | "->" | ">")*\nA: /[a-c]+/\nB: "ab"\nC: /1(\\.1)?/\nWS: " "\n%ignore WS'
    )
    slow, recogniser = SlowScanner(rules.terminals), Recogniser(rules)
    names = [terminal.name for terminal in rules.terminals]
    for text in ["ab-> abc1.1", "1.", "->->", "a1 1-1", "", " ", "x"]:
        lexemes = slow.scan(text)
        found = [(one.end, {names[index] for index in one.terminals}) for one in recogniser.lexemes(text.encode())]
        if lexemes is None:
            assert found[-1][1] == set() and not recogniser.accepts(text.encode())
        else:
            wanted, end = [], 0
            for kinds, lexeme in lexemes:
                end += len(lexeme)
                wanted.append((end, set(kinds) - rules.ignored))
            assert found == wanted


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('start: A~4 | ([A] "\\x" R) A~4\nA: "a"\nB: "<" (A { A)\n', "line 3, column 11"),
        ('start: A\nA: "a"\nA: "<" (AA: /b/\n', "line 3, column 11"),
    ],
)
def test_a_fault_of_larks_own_is_an_error_with_its_place(text, place):
    with pytest.raises(GrammarError, match=place):
        rules_from_lark(text)


def test_an_error_does_not_repeat_a_whole_grammar():
    for make in (lambda: rules_from_lark(b"x" * 10_000), lambda: parse_pattern("(" * 10_000)):
        with pytest.raises(GrammarError) as caught:
            make()
        assert len(str(caught.value)) < 500
