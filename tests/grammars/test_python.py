"""The built-in grammar of Python modules, against `ast.parse`."""

import ast
import random
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

from dllm import LLM, Grammar, GrammarError, SamplingParams
from dllm.grammars.attach import attach
from dllm.grammars.canvas import MASK
from dllm.grammars.frontends.python import FOUR, LEVELS, TYPE_PARAMETERS, rules_for, unit_of
from dllm.grammars.frontends.python_fstrings import f_string
from dllm.grammars.tables.automata import dfa
from dllm.grammars.tables.vocabulary import vocabulary
from tests.grammars.test_builtin import module_fault
from tests.references.grammar_sampler import draw
from tests.support.python_programs import LEFT_OUT, MODULES, NEW, STATEMENTS, WRONG

GRAMMAR = Grammar.builtin("python")


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny")


@pytest.mark.parametrize("text", MODULES + STATEMENTS)
def test_what_people_write_is_accepted(text):
    assert module_fault(text) is None
    assert GRAMMAR.explain(text) == "ok"


@pytest.mark.parametrize("text", WRONG)
def test_what_no_parser_takes_is_refused(text):
    assert module_fault(text) is not None
    assert not GRAMMAR.accepts(text)


@pytest.mark.parametrize("text", LEFT_OUT)
def test_what_is_left_out_is_python(text):
    """It is documented; a text that is accepted by now belongs to the others."""
    assert module_fault(text) is None
    assert not GRAMMAR.accepts(text)


@pytest.mark.parametrize("text", NEW)
def test_what_is_new_is_accepted_where_this_python_does(text):
    assert GRAMMAR.accepts(text) == (module_fault(text) is None) == (sys.version_info >= TYPE_PARAMETERS)


def test_functions_of_the_standard_library():
    """Those of some modules; `tests.slow.python_library` reads all."""
    folder, refused, count = Path(ast.__file__).parent, [], 0
    for name in ("ast", "bisect", "copy", "fractions", "heapq", "json/decoder", "shlex", "textwrap"):
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = text.split("\n")[node.lineno - 1 : node.end_lineno]
                function = textwrap.dedent("\n".join(lines)) + "\n"
                count += 1
                refused += [] if GRAMMAR.accepts(function) else [function]
    assert count > 200
    assert len(refused) <= 0.02 * count, refused


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("", FOUR),
        ("x = 1\n", FOUR),
        ("def f():\n  return 1\n", "  "),
        ("def f(\n        a,\n        b,\n):\n   return a\n", "   "),
        ("class A:  # a comment\n\tx = 1\n", "\t"),
        ("if a:\n        b\nif c:\n    d\n", FOUR),
        ("if a:\n  b\nif c:\n  d\nif e:\n    f\n", "  "),
        ("x = {\n  1:\n      2}\ndef f(): return \\\n   1\nif \\\n a\\\n  :\n    b", FOUR),
        ("if a:\n\n  # a comment\n    b\n", FOUR),
        ("def f():\r\n  return 1\r\n", "  "),
    ],
)
def test_the_unit_is_found_in_a_text(text, unit):
    assert unit_of(text) == unit
    found = GRAMMAR.fitted(text)
    assert found.rules is rules_for(unit) and found is GRAMMAR.fitted(text) and found.fitted("x") is found


def test_the_unit_may_be_said():
    two = Grammar.builtin("python", indent=2)
    assert two == Grammar.builtin("python", indent="  ") != Grammar.builtin("python", indent=4) != GRAMMAR
    assert Grammar.builtin("python") == GRAMMAR and hash(GRAMMAR) == hash(Grammar.builtin("python"))
    assert two.accepts("if a:\n  b\n") and two.accepts("if a:\n    b\n") and not two.accepts("if a:\n   b\n")
    assert Grammar.builtin("python", indent="\t").accepts("if a:\n\tb\n")
    for indent in [0, 9, -1, True, "", "x", " \t", "\t\t", 2.0]:
        with pytest.raises(GrammarError, match="indent="):
            Grammar.builtin("python", indent=indent)
    with pytest.raises(GrammarError, match="'cpp'"):
        Grammar.builtin("cpp", indent=2)


def test_levels():
    def nested(depth):
        return "".join(f"{FOUR * level}if a:\n" for level in range(depth)) + FOUR * depth + "b\n"

    assert GRAMMAR.accepts(nested(LEVELS)) and not GRAMMAR.accepts(nested(LEVELS + 1))
    assert GRAMMAR.accepts(
        "if a:\n            if b:\n                c\n            d\ne\n"
    )  # blocks may be further in
    assert not GRAMMAR.accepts("if a:\n            if b:\n                c\n        d\ne\n")


def test_random_f_strings():
    tree = f_string()
    machine = dfa([tree])
    assert len(machine.table) < 2500  # all tables grow with it
    rng, wrong = random.Random(0), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3000):
            text = draw(rng, tree)
            try:
                ast.parse(text)
            except (SyntaxError, ValueError) as error:
                wrong.append((text, str(error)))
    assert not wrong


def test_messages_show_lexemes_without_the_blanks_behind_them():
    assert "unexpected 'y';" in GRAMMAR.explain("x = 1 y = 2")
    assert GRAMMAR.explain("x = 1 y   = 2").endswith("\nx = 1 y   = 2\n      ^")
    assert GRAMMAR.explain("def f():\nreturn 1").startswith("line 2, column 1: unexpected 'return'")
    assert "expected LINE 0" in GRAMMAR.explain("if a:\n    b\n  c")


@pytest.mark.parametrize(
    "document",
    [
        "def f(a, b):\n    <mask:6>\n",
        "def f(a):\n  if a:\n    <mask:7>\n  return <mask:3>\n",
        "class A:\n\tdef f(self):\n\t\t<mask:5>\n",
        "x = [\n    <mask:4>\n]\n<mask:8>",
        'def f(a):\n    """<mask:5>"""\n<mask:12>    return a\n',
        "try:\n    a\n<mask:6>:\n    b\n",
    ],
)
def test_holes_are_filled(tiny, document):
    out = tiny.infill(document, SamplingParams(grammar=GRAMMAR, temperature=1.0, seed=0))
    assert module_fault(out.text) is None, out.text


def test_small_canvases_by_trying_all_tokens():
    """A few tokens, one mask or two: there is a constraint where some choice parses, and its witness does."""
    tokens = [b"\n", b"    ", b"  ", b"if", b" x", b":", b"x", b"\n    ", b"(", b")", b"else", b"pass", b"#", b"="]
    words, rng = vocabulary(tokens), random.Random(1)
    decided = {True: 0, False: 0}
    fitted = Grammar.builtin("python", swallow=True).fitted("")
    for count in [1, 1, 1, 2] * 24:
        size = rng.randint(3, 7)
        ids = [rng.randrange(len(tokens)) for _ in range(size)]
        for at in rng.sample(range(size), count):
            ids[at] = MASK
        fits = any(GRAMMAR.accepts(b"".join(tokens[t] for t in full).decode()) for full in _filled(ids, len(tokens)))
        try:
            constraint = attach(fitted, words, ids, 0, ends=False, eos=(), advise=False)
        except GrammarError:
            assert not fits, ids
        else:
            full = [constraint.witness(at) if token == MASK else token for at, token in enumerate(ids)]
            text = b"".join(tokens[token] for token in full).decode()
            assert fits and module_fault(text) is None, text
        decided[fits] += 1
    assert min(decided.values()) > 15


def _filled(ids, count):
    at = next((at for at, token in enumerate(ids) if token == MASK), None)
    if at is None:
        yield ids
        return
    for token in range(count):
        yield from _filled([*ids[:at], token, *ids[at + 1 :]], count)
