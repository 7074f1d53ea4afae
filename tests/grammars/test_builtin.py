"""The built-in grammars against those who know the languages: Python, SQLite, a C++ parser and compiler, texts."""

import ast
import itertools
import json
import random
import re
import shutil
import sqlite3
import subprocess
import warnings
from dataclasses import replace
from functools import cache

import pytest

from dllm.errors import GrammarError
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.frontends.builtin import builtin_names, builtin_rules, builtin_text
from dllm.grammars.frontends.smiles import rules_like
from tests.references import smiles
from tests.references.grammar_sampler import Sampler
from tests.support import grammar_programs, grammar_texts

WORDS = {"IDENT": ["a", "b", "foo", "x1", "std", "vector", "Node"], "NAME": ["a", "b", "t"], "CAPTURE": ["a", "b"]}
RULES = {name: builtin_rules(name) for name in builtin_names()}


BEYOND = {"thrown", "instantiation", "unnamed", "decltype_member", "dependent", "called_operator", "selected_operator"}
BEYOND |= {"member_pointer"}
"""Rules of `cpp` whose sentences are C++, but are unknown to tree-sitter."""


def cpp_rules():
    """Of `cpp`, those that tree-sitter can judge."""
    rules = RULES["cpp"]
    kept = {
        head: tuple(body for body in bodies if not BEYOND & set(body))
        for head, bodies in rules.productions.items()
        if head not in BEYOND
    }
    return replace(rules, productions=kept)


def cpp_fault(text):
    """What tree-sitter says, or None if g++ knows better: it says of nothing before it that a name is not declared."""
    tree_sitter = pytest.importorskip("tree_sitter")
    language = tree_sitter.Language(pytest.importorskip("tree_sitter_cpp").language())
    root = tree_sitter.Parser(language).parse(cpp_plainly(text).encode()).root_node
    return str(root) if root.has_error and cpp_refused(text) else None


@cache
def recogniser_of(name):
    return Recogniser(RULES[name])


def cpp_plainly(text):
    """A text without what tree-sitter trips over: comments and splices, and spaces within `operator []` or `] ]`."""
    pieces = []
    for lexeme in recogniser_of("cpp").lexemes(text.encode()) if "\\" in text or "/" in text else ():
        piece = text.encode()[lexeme.start : lexeme.end].decode()
        if piece.lstrip().startswith("#"):
            piece = re.sub(r"/\*.*?\*/|//.*", " ", piece)
        pieces.append(piece if lexeme.terminals else "\n" if "\n" in piece else " ")
    plain = "".join(pieces) or text
    plain = re.sub(r"(operator|new|delete)\s*([\[(])\s*([\])])", r"\1\2\3", re.sub(r"\]\s*\]", "]]", plain))
    return re.sub(r"[ \t\r]+\n", "\n", plain) + "\n"


def cpp_refused(text):
    """Whether g++, if it is here, finds fault with the syntax first."""
    if shutil.which("g++") is None:
        return True
    command = ["g++", "-std=c++17", "-w", "-fsyntax-only", "-fmax-errors=1", "-x", "c++", "-"]
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=False).stderr
    return re.search(r"error: (expected|stray|missing|unterminated|two )", said) is not None


def python_fault(text):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text.strip(" \t"), mode="eval")
    except SyntaxError as error:
        return str(error)
    return None


def module_fault(text):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError) as error:
        return str(error)
    return None


def json_fault(text):
    def no_constant(name):
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=no_constant)
    except ValueError as error:
        return str(error)
    return None


def sql_fault(text):
    """Only what the parser says: sqlite looks for tables and columns once it has read the whole statement."""
    try:
        sqlite3.connect(":memory:").execute("EXPLAIN " + text)
    except sqlite3.Error as error:
        return str(error) if re.search("syntax error|unrecognized token|incomplete input", str(error)) else None
    return None


def smiles_fault(text):
    """What the graph of a molecule says; but for what the grammar is known to let pass."""
    found = smiles.fault(text)
    known = found == smiles.TWICE or smiles.reuses_a_digit(text)
    return None if known else found


JUDGES = {
    "json": (json_fault, 300, 40),
    "arithmetic": (python_fault, 300, 30),
    "python_expr": (python_fault, 250, 60),
    "python": (module_fault, 250, 60),
    "sql_select": (sql_fault, 200, 60),
    "smiles": (smiles_fault, 300, 40),
    "cpp": (cpp_fault, 300, 60),
    "cpp_closed": (cpp_fault, 150, 60),
}


@cache
def sampler_of(name):
    return Sampler(cpp_rules() if name == "cpp" else RULES[name], WORDS)


def sentences(name, count, size):
    sampler = sampler_of(name)
    drawn = (sampler.sentence(seed, size if seed % 2 else size // 3) for seed in itertools.count())
    return list(itertools.islice((text for text in drawn if text is not None), count))


def test_the_names_and_a_wrong_one():
    assert builtin_names() == tuple(sorted(JUDGES))
    with pytest.raises(GrammarError, match="'cpp'"):
        builtin_text("cp")
    with pytest.raises(GrammarError):
        builtin_text(None)


@pytest.mark.parametrize("name", JUDGES)
def test_random_sentences_please_who_knows_the_language(name):
    judge, count, size = JUDGES[name]
    for text in sentences(name, count, size):
        assert judge(text) is None, text


@pytest.mark.parametrize("name", JUDGES)
def test_random_sentences_are_accepted(name):
    recogniser = recogniser_of(name)
    for text in sentences(name, 60, 30):
        assert recogniser.accepts(text.encode()), text


@pytest.mark.parametrize("name", [name for name in JUDGES if name != "cpp_closed"])
def test_what_is_accepted_after_small_changes_pleases_them_too(name):
    """Sentences and real texts with lexemes lost, doubled, swapped and damaged: some still are sentences."""
    judge, recogniser, sampler = JUDGES[name][0], recogniser_of(name), sampler_of(name)
    accepted = 0
    for seed, text in enumerate(sentences(name, 150, 15)):
        rng = random.Random(seed)
        pieces = [piece for _, piece in sampler.scanner.scan(text)]
        for _ in range(rng.choice([1, 1, 2])):
            if not pieces:
                break
            at = rng.randrange(len(pieces))
            piece, spot = pieces[at], rng.randrange(len(pieces[at]) + 1)
            junk = rng.choice("\"'\\/*{}()[]<>=.,;:0e x\n\té-+&")
            pieces[at] = rng.choice(
                ["", piece * 2, piece[:spot] + piece[spot + 1 :], piece[:spot] + junk + piece[spot:]]
            )
        changed = "".join(pieces)
        if name == "json":
            assert recogniser.accepts(changed.encode()) == (judge(changed) is None), changed
        elif recogniser.accepts(changed.encode()):
            assert judge(changed) is None, changed
            accepted += 1
    assert name == "json" or accepted > 20


def recogniser_for(name, text):
    """Molecules bring the digits of their rings."""
    return Recogniser(rules_like(text)) if name == "smiles" else recogniser_of(name)


@pytest.mark.parametrize("name", ["json", "sql_select", "python_expr", "arithmetic", "smiles", "cpp"])
def test_texts_that_people_write(name):
    good, bad = {
        "json": (grammar_texts.JSON, grammar_texts.NOT_JSON),
        "sql_select": (grammar_texts.SQL, grammar_texts.NOT_SQL),
        "python_expr": (grammar_texts.PYTHON, grammar_texts.NOT_PYTHON),
        "arithmetic": (grammar_texts.ARITHMETIC, grammar_texts.NOT_ARITHMETIC),
        "smiles": (list(grammar_texts.SMILES.values()), grammar_texts.NOT_SMILES),
        "cpp": (grammar_programs.CPP, grammar_programs.NOT_CPP),
    }[name]
    for text in good:
        assert recogniser_for(name, text).failure(text.encode()) is None, text
        assert JUDGES[name][0](text) is None, text
    for text in bad:
        assert not recogniser_for(name, text).accepts(text.encode()), text


def test_long_json_is_read_whole():
    document = {
        "rows": [{"id": n, "name": f"n{n}\u00e9", "ok": n % 2 == 0, "x": n / 7, "none": None} for n in range(40)]
    }
    recogniser = recogniser_of("json")
    for text in [json.dumps(document), json.dumps(document, indent=1, ensure_ascii=False)]:
        assert recogniser.accepts(text.encode()) and not recogniser.accepts(text[:-1].encode())


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.parametrize("texts", ["closed", "people's"])
def test_programs_compile(texts, tmp_path):
    programs = sentences("cpp_closed", 150, 90) if texts == "closed" else grammar_programs.CPP
    files = []
    for number, text in enumerate(programs):
        files.append(tmp_path / f"{number}.cpp")
        files[-1].write_text(text, encoding="utf-8")
    ran = subprocess.run(
        ["g++", "-std=c++17", "-w", "-fsyntax-only", *map(str, files)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]


def test_templates_close_with_one_lexeme_or_two():
    recogniser = recogniser_of("cpp")
    for inner in [
        "A<B<C>>",
        "A<B<C> >",
        "A<B<C<D>>>",
        "A<B<C<D<E>>>>",
        "A<int, B<C>>",
        "A<const std::B<C, D<E>>>",
        "A<B<C>, D>",
    ]:
        assert recogniser.accepts(f"{inner} x;".encode()), inner
        assert cpp_fault(f"{inner} x;") is None, inner
    for inner in ["A<B>>", "A<B<C>", "A<B<C>>>", "A<<B>>"]:
        assert not recogniser.accepts(f"{inner} x;".encode()), inner
    for text in [b"int x = a >> b;", b"int x = a - -b, y = a-- - --b;", b"int x = a < b, y = c > (d);"]:
        assert recogniser.accepts(text)


def test_the_closed_programs_know_their_names_only():
    recogniser = recogniser_of("cpp_closed")
    head = "static int a, b, c, d, i, j, k, n, x, y, v[9];\n"
    assert recogniser.accepts(
        (head + "int main() { for (int i = 0; i < n; i++) { if (i) break; } return a; }").encode()
    )
    for body in ["break;", "return z;", "returna;", "a = 1234567890;", "int a;", "1 = a;", "5++;", "f(a);", "a = 01;"]:
        assert not recogniser.accepts((head + "int main() { " + body + " }").encode()), body
    assert not recogniser.accepts(b"int main() { }")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cpp", "{}int x; // {}\n"),
        ("cpp", "/* {} */ int x;"),
        ("cpp", 'char* x = "{}";'),
        ("cpp", "#define X a{}\n"),
        ("cpp", "#pragma x // {}\n"),
        ("sql_select", "SELECT 1 -- {}\n"),
        ("sql_select", "SELECT '{}' /* {} */"),
        ("python_expr", "'{}'"),
        ("json", '"{}"'),
    ],
)
def test_control_characters_stand_nowhere(name, text):
    recogniser = recogniser_of(name)
    assert recogniser.accepts(text.replace("{}", " ").encode())
    for code in [*range(9), 11, 12, *range(14, 32)]:
        assert not recogniser.accepts(text.replace("{}", chr(code)).encode()), code
