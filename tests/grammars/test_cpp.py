"""The grammar `cpp` on C++ by construct, and what it says of lexemes that are outside of it."""

import shutil
import subprocess

import pytest

from dllm import LLM, Grammar, GrammarError, SamplingParams
from tests.support.cpp_snippets import RIGHT, WRONG

CPP = Grammar.builtin("cpp")


@pytest.mark.parametrize("construct", RIGHT)
def test_every_construct_is_accepted(construct):
    for text in RIGHT[construct]:
        assert CPP.explain(text) == "ok", text


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_syntax_is_refused(text):
    assert not CPP.accepts(text)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_compiler_agrees(tmp_path):
    texts = [(text, True) for texts in RIGHT.values() for text in texts] + [(text, False) for text in WRONG]
    for text, right in texts:
        file = tmp_path / "text.cpp"
        file.write_text(text, encoding="utf-8")
        command = ["g++", "-std=c++17", "-w", "-fsyntax-only", str(file)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode == 0) == right, (text, ran.stderr)


@pytest.mark.parametrize(
    ("text", "lexeme"),
    [
        ("int a;\n\n  #frob x\nint b;\n", "#frob x"),
        ("int a;\n#else\nint b;\n", "#else"),
        ("int f() {\n  return 1\n#define A 1\n  ;\n}\n", "#define A 1"),
        ("concept x;\n", "concept"),
        ("int x = 0xg;\n", "0xg"),
    ],
)
def test_a_lexeme_that_cannot_stand_is_pointed_at_itself(text, lexeme):
    at = text.index(lexeme)
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    said, _, caret = CPP.explain(text).split("\n")
    assert said.startswith(f"line {line}, column {column}: unexpected {lexeme!r}; expected ")
    assert caret == " " * (column - 1) + "^" * len(lexeme)


@pytest.mark.parametrize(
    "text", ["concept x;\n<mask:1>", "<mask:1>\nint a;\n#frob x\nint b;\n", "int f() { <mask:1>; co_await x; }"]
)
def test_the_error_of_a_hole_points_at_the_lexeme_too(text):
    lexeme = next(one for one in ("concept", "#frob x", "co_await") if one in text)
    at = text.index(lexeme)
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    with pytest.raises(GrammarError, match=f"line {line}, column {column}: unexpected"):
        LLM("tiny").infill(text, SamplingParams(grammar=CPP))
