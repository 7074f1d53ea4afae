"""The command line's grammars: the options of generate, infill and chat, and `dllm grammar`."""

import json

import pytest

from dllm.cli.grammar_options import GrammarOptions
from dllm.grammars.frontends.builtin import builtin_names
from tests.cli.test_mistakes import assert_one_line
from tests.support import cli as cli_support
from tests.support.cli import LLADA, SHORT

# fixtures, by the names the tests ask for them
dllm, model_folder = cli_support.dllm, cli_support.model_folder

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ANA = r"Ana is 31 and lives in Rome.\nWrite JSON with keys: name, age\n"
CUT = "int evaluate(int n, int m) { if (m == 0) return n; return evaluate<mask:3> n % m); }"
WHOLE = "int evaluate(int n, int m) { if (m == 0) return n; return evaluate(m, n % m); }"


TOOL = {"name": "person", "parameters": SCHEMA}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder to work in, with the files that the tests name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "typo.json").write_text('{"type": "strin"}')
    (tmp_path / "text.json").write_text("{type}")
    (tmp_path / "as.lark").write_text('// Many a.\n// And nothing else.\nstart: "a"+\n')
    (tmp_path / "as.gbnf").write_text('# Many a.\nroot ::= "a"+\n')
    (tmp_path / "typo.lark").write_text('start: "a" b')
    (tmp_path / "cut.cpp").write_text(CUT)
    (tmp_path / "whole.cpp").write_text(WHOLE)
    (tmp_path / "wrong.cpp").write_text("int f() {\n  return 1 +;\n}\n")
    (tmp_path / "aaa").write_text("aaa")
    (tmp_path / "tools.json").write_text(json.dumps([{"type": "function", "function": TOOL}]))
    return tmp_path


# generate, infill and chat


def test_json_of_a_schema(dllm, files):
    arguments = ("generate", "-e", ANA, "-n", "64", "--json")
    free = json.loads(dllm(*arguments, "--cache", "prefix", model="tiny").stdout)
    held = json.loads(dllm(*arguments, "--cache", "prefix", "--json-schema", "schema.json", model="tiny").stdout)
    with pytest.raises(ValueError):
        json.loads(free["text"])
    assert json.loads(held["text"]) == {"name": "Ana", "age": 31}
    assert held["stats"]["witness_tokens"] == 0 < held["stats"]["grammar_seconds"]


def test_the_order_of_properties(dllm, files):
    asked = ("generate", "-e", r"Name: Ana, Age: 31\nWrite JSON with keys: age, name\n", "--json-schema", "schema.json")
    assert list(json.loads(dllm(*asked, model="tiny").stdout)) == ["age", "name"]
    held = dllm(*asked, "--property-order", "schema", "--seed", "0", model="tiny").stdout
    assert list(json.loads(held)) == ["name", "age"]


def test_a_call_of_a_tool(dllm, files):
    asked = ("generate", "-e", ANA, "-n", "64", "--tools", "tools.json", "--tool-choice", "person")
    assert json.loads(dllm(*asked, model="tiny").stdout)["name"] == "person"
    for choice, code in (("auto", 0), ("required", 1)):
        said = dllm("grammar", "check", "aaa", "--tools", "tools.json", "--tool-choice", choice, model=None)
        assert said.exit_code == code


def test_the_documents_file_is_the_document(dllm, files):
    ways = (["infill", CUT], ["infill", "cut.cpp"], ["infill", "--file", "cut.cpp"])
    for way in ways:
        assert dllm(*way, "--grammar", "cpp", model="tiny").stdout == WHOLE + "\n"
    assert dllm("infill", "--grammar", "cpp", "cut.cpp", model="tiny").stdout == WHOLE + "\n"
    assert dllm("infill", CUT, model="tiny").stdout != WHOLE + "\n"


def test_a_hole_that_may_swallow_given_text(dllm):
    asked = ("infill", "int f() { return <mask:3> 1 2; }", "--grammar", "cpp")
    refused = dllm(*asked, model="tiny")
    assert refused.exit_code == 1 and "one does with swallow=True" in refused.stderr
    assert dllm(*asked, "--swallow", model="tiny").exit_code == 0
    alone = dllm("infill", "a<mask:1>", "--swallow", model="tiny")
    assert alone.exit_code == 2 and "--swallow is read with --grammar" in alone.stderr


def test_a_file_whose_name_looks_like_a_document(dllm, files):
    (files / "a <mask:1>").write_text("b <mask:2>")
    assert len(json.loads(dllm("infill", "a <mask:1>", "--json", model="tiny").stdout)["holes"][0]) > 0
    assert dllm("infill", "a <mask:1>", model="tiny").stdout.startswith("a ")
    assert dllm("infill", "--file", "a <mask:1>", model="tiny").stdout.startswith("b ")


def test_one_of_the_choices(dllm):
    result = dllm("chat", "hello", "--choice", "yes", "--choice", "no", "--stats", model="tiny")
    assert result.stdout in ("yes\n", "no\n") and "witness_tokens=" in result.stderr


def test_choices_are_unescaped_as_prompts_are(dllm):
    result = dllm("generate", "-e", "hello", "--choice", r"a\nb", model="tiny")
    assert result.stdout == "a\nb\n"


def test_a_pattern_and_a_file_of_rules(dllm, files):
    assert dllm("generate", "hello", "--regex", "[0-9]{3}", model="tiny").stdout.strip().isdigit()
    assert set(dllm("generate", "hello", "-g", "as.lark", "-n", "8", model="tiny").stdout.strip()) == {"a"}


def test_every_step_is_shown(dllm, files):
    result = dllm("generate", "-e", ANA, "-n", "64", "--json-schema", "schema.json", "--show", model="tiny")
    assert result.stderr.count("step ") == len(result.stderr.splitlines()) > 1
    assert json.loads(result.stdout) == {"name": "Ana", "age": 31}


# mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-g", "json", "--regex", "a"], ["--grammar and --regex", "one of them"]),
        (["--json-schema", "schema.json", "--choice", "a"], ["--json-schema and --choice"]),
        (["--property-order", "schema"], ["--property-order", "--json-schema"]),
        (["--unknown-keywords", "refuse"], ["--unknown-keywords", "--json-schema"]),
        (["--json-schema", "schema.json", "--unknown-keywords", "drop"], ["'drop'", "refuse"]),
        (["--whitespace", "pretty"], ["--whitespace", "--json-schema"]),
        (["--json-schema", "schema.json", "--whitespace", "some"], ["'some'", "compact"]),
        (["--json-schema", "schema.json", "--integers", "some"], ["'some'", "plain"]),
        (["--json-schema", "schema.json", "--tools", "tools.json"], ["--json-schema and --tools"]),
        (["--tool-choice", "person"], ["--tool-choice", "--tools"]),
        (
            ["--tools", "tools.json", "--tool-choice", "persn"],
            ["--tools tools.json", "'persn'", "mean 'person'"],
        ),
        (["--tools", "text.json"], ["--tools text.json", "not JSON"]),
        (["--tools", "schema.json"], ["--tools schema.json", "write [tool]"]),
        (["-g", "cp"], ["'cp'", "cpp", "smiles"]),
        (["-g", "no.lark"], ["--grammar no.lark", "No such file"]),
        (["-g", "./json"], ["--grammar json", "No such file"]),
        (["-g", "typo.lark"], ["--grammar typo.lark", "'b'"]),
        (["--json-schema", "no.json"], ["--json-schema no.json", "No such file"]),
        (["--json-schema", "typo.json"], ["--json-schema typo.json", "'string'"]),
        (["--json-schema", "text.json"], ["text.json", "not JSON"]),
        (["--json-schema", "schema.json", "--property-order", "given"], ["'given'", "schema"]),
        (["--regex", "("], ["--regex", "'('"]),
        (["--regex", r"(a)\1"], ["--regex", "back-reference"]),
    ],
)
def test_a_grammar_that_cannot_be_read_is_bad_usage(dllm, files, arguments, words):
    for command in (["generate", "a"], ["infill", "<mask:1>"], ["chat", "a"], ["grammar", "check", "aaa"]):
        model = None if command[0] == "grammar" else "tiny"
        assert_one_line(dllm(*command, *arguments, model=model), *words)


def test_a_canvas_without_room_is_failed_work(dllm, files):
    assert_one_line(
        dllm("generate", "a", "--json-schema", "schema.json", "-n", "4", model="tiny"), "JSON schema", "tokens", code=1
    )
    assert_one_line(dllm("infill", "int f() { <mask:1> }}}", "-g", "cpp", model="tiny"), "cpp", "1 more token", code=1)


def test_a_grammar_needs_a_tokenizer(dllm):
    assert_one_line(
        dllm("generate", "--prompt-ids", "1", *SHORT, "-g", "json", model=LLADA), "grammar", "--tokenizer FOLDER"
    )


def test_neither_document_nor_file(dllm, files):
    for text in ("no hole", "cut.cp", "a" * 300, "a\0b", "."):
        assert_one_line(dllm("infill", text, model="tiny"), "no hole <mask:N>", "no file")


# dllm grammar


def test_check(dllm, files):
    right = dllm("grammar", "check", "whole.cpp", "--grammar", "cpp", model=None)
    assert (right.exit_code, right.stdout, right.stderr) == (0, "ok\n", "")
    wrong = dllm("grammar", "check", "wrong.cpp", "--grammar", "cpp", model=None)
    said, line, caret = wrong.stdout.splitlines()
    assert wrong.exit_code == 1 and wrong.stderr == ""
    assert said.startswith("line 2, column 13: unexpected ';'; expected ")
    assert line == "  return 1 +;" and caret == " " * 12 + "^"


def test_check_of_every_kind_of_grammar(dllm, files):
    def check(text, *arguments):
        return dllm("grammar", "check", "-", *arguments, input=text, model=None).exit_code

    assert check("aaa", "-g", "as.lark") == 0 and check("aaa\n", "-g", "as.lark") == 1
    assert check("aaa", "-g", "as.gbnf") == 0 and check("aaa\n", "-g", "as.gbnf") == 1
    assert check("a", "--choice", "a", "--choice", "b") == 0 and check("ab", "--choice", "a", "--choice", "b") == 1
    assert check("12", "--regex", "[0-9]+") == 0 and check("", "--regex", "[0-9]+") == 1
    assert check('{"age": 1, "name": ""}', "--json-schema", "schema.json") == 0
    assert check('{"age": 1, "name": ""}', "--json-schema", "schema.json", "--property-order", "schema") == 1
    assert check('{"name": "", "age":  1}', "--json-schema", "schema.json", "--whitespace", "compact") == 1
    assert check('{"name": "", "age": 1.0}', "--json-schema", "schema.json", "--integers", "plain") == 1


def test_check_as_json(dllm, files):
    found = [dllm("grammar", "check", "-", "-g", "json", "--json", input=text, model=None) for text in ("[1]", "[1")]
    assert [one.exit_code for one in found] == [0, 1]
    right, wrong = (json.loads(one.stdout) for one in found)
    assert right == {"grammar": "json", "accepted": True, "explanation": "ok"}
    assert not wrong["accepted"] and wrong["explanation"].startswith("line 1, column 3: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "aaa"], ["--grammar", "--choice"]),
        (["check", "-g", "json"], ["'file'", "dllm grammar check --help"]),
        (["check", "nothing", "-g", "json"], ["FILE nothing", "No such file"]),
        (["explain", "json", "-g", "cpp"], ["json and an option", "one of them"]),
        (["explain", "jsn"], ["'jsn'", "json"]),
        (["chek"], ["chek", "check"]),
    ],
)
def test_mistakes_of_dllm_grammar(dllm, files, arguments, words):
    assert_one_line(dllm("grammar", *arguments, model=None), *words)


def test_explain_lists_the_built_in_grammars(dllm):
    lines = dllm("grammar", "explain", model=None).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(builtin_names())
    found = json.loads(dllm("grammar", "explain", "--json", model=None).stdout)["grammars"]
    assert tuple(found) == builtin_names() and all(found.values())


def test_explain(dllm, files):
    text = dllm("grammar", "explain", "json", model=None).stdout
    assert all(
        word in text for word in ("RFC 8259", "Not checked", "5 rules", "10 terminals", "ignored    WS", "NUMBER")
    )
    assert '  member: STRING ":" value\n' in text
    assert dllm("grammar", "explain", "-g", "json", model=None).stdout == text
    found = json.loads(dllm("grammar", "explain", "as.lark", "--json", model=None).stdout)
    assert found["about"] == "Many a.\nAnd nothing else." and list(found["terminals"]) == ['"a"']
    assert json.loads(dllm("grammar", "explain", "as.gbnf", "--json", model=None).stdout)["about"] == "Many a."
    assert found["start"] == "start" and found["ignored"] == [] and found["rules"]["start"]


@pytest.mark.parametrize("options", [("--json-schema", "schema.json"), ("--regex", "a?"), ("--choice", "")])
def test_explain_of_other_grammars(dllm, files, options):
    result = dllm("grammar", "explain", *options, model=None)
    assert result.exit_code == 0 and "rules" in result.stdout and "ignored" in result.stdout


def test_help(dllm):
    assert all(word in dllm("grammar", model=None).stdout for word in ("check", "explain"))
    for command in ("generate", "infill", "chat"):
        text = dllm(command, "--help", model=None).stdout
        assert all(option in text for option in ("--grammar", "--json-schema", "--property-order", "--choice"))


def test_no_option_is_no_grammar():
    assert GrammarOptions().load() is None
