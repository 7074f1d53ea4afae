"""Fixed text that a grammar does not allow: the line, the column and the caret that an error shows."""

import random
import re

import pytest

from dllm import LLM, Grammar, GrammarError, Hole, SamplingParams
from dllm.grammars.canvas import MASK
from dllm.grammars.explain.caret import BEFORE, SHOWN, pointed
from dllm.grammars.explain.misfit import misfit
from dllm.grammars.tables.vocabulary import vocabulary
from tests.cli.test_mistakes import assert_one_line
from tests.support import cli as cli_support

# fixtures, by the names the tests ask for them
dllm, model_folder = cli_support.dllm, cli_support.model_folder

LARK = """
start: "set" NAME "=" (NUMBER | NAME) ";"
NAME: /[a-zé]+/
NUMBER: /[0-9]+/
%ignore /[ \\t\\r\\n]+/
"""
GRAMMARS = {"json": Grammar.builtin("json"), "cpp": Grammar.builtin("cpp"), "lark": Grammar.from_lark(LARK)}
CPP = "int f() {\n  return 1 +;\n}\n"


@pytest.fixture(scope="module")
def tiny():
    """The embedded model, which must not be asked: the error comes before the first forward."""
    llm = LLM("tiny")

    def never(*_arguments, **_options):
        raise AssertionError("a forward was made")

    llm.model.logits = llm.model.forward = llm.model.start = never
    return llm


def refused(llm, document, grammar):
    """The lines of the error."""
    grammar = GRAMMARS[grammar] if isinstance(grammar, str) else grammar
    with pytest.raises(GrammarError) as caught:
        llm.infill(document, SamplingParams(grammar=grammar))
    said, *drawn = str(caught.value).split("\n")
    return said, drawn


def assert_points(llm, document, grammar, marked, says):
    """The caret is under the first character of `marked`, the last one in `document`; its end if there is none."""
    said, (line, caret) = refused(llm, document, grammar)
    at = document.rindex(marked) if marked else len(document)
    start = document.rfind("\n", 0, at) + 1
    assert f"line {document.count(chr(10), 0, at) + 1}, column {at - start + 1}: {says}" in said, said
    assert line == re.sub(r"[\t\r]", " ", document[start:].split("\n")[0].removesuffix("\r"))
    assert re.fullmatch(rf" {{{at - start}}}\^+", caret), caret


@pytest.mark.parametrize(
    ("grammar", "document", "marked", "says"),
    [
        # in the first token
        ("json", "é: <mask:2>", "é", "no lexeme begins with 'é'; expected "),
        ("cpp", ") int f() { <mask:2> }", ") i", "unexpected ')'; expected "),
        ("lark", "= 1 <mask:2>", "=", "unexpected '='; expected \"set\""),
        # before the first hole
        ("json", '{"a" 1, <mask:2>}', "1", "unexpected '1'; expected \":\""),
        ("cpp", "int f( ) ) { <mask:3> }", ") {", "unexpected ')'; expected "),
        ("lark", "set a = = <mask:2>;", "= <", "unexpected '='; expected NAME, NUMBER"),
        ("json", "[nul}<mask:2>", "}", "unexpected '}'"),
        # between holes
        ("json", '{"a": <mask:1>, é "b": <mask:2>}', "é", "unexpected 'é'; or, if a hole opens"),
        ("cpp", "int f() { return <mask:1>; }\nint g( ) ) { return <mask:2>; }\n", ") {", "unexpected ')'"),
        ("lark", "set <mask:1> = ; <mask:2>", ";", "unexpected ';'"),
        # behind the last hole
        ("json", "[<mask:2>nul}", "}", "unexpected '}'; or, if a hole opens"),
        ("cpp", "int f() {\n  <mask:2>\n  return 1 +;\n}\n", ";", "unexpected ';'"),
        ("lark", "set a = <mask:1>; b", "b", "unexpected 'b'"),
        ("json", "<mask:2>]]x", "x", "unexpected 'x'; or, if a hole opens"),
        # at the end
        ("json", "[<mask:2>, 1", "", "the text breaks off here"),
        ("cpp", "int f() { <mask:1> }\nint g() {\n", "", "the text breaks off here"),
        ("lark", "<mask:1> =\n ", "", "the text breaks off here"),
        # behind a token that may begin here, and in its midst
        ("json", '{"a": 1}}<mask:1>', "}", "unexpected '}'; expected the end of the text"),
        ("json", "[tRue, <mask:1>]", "R", "unexpected 'R'"),
        # characters of several bytes, tabs, Windows line ends
        ("json", '{"é😀é": 1,\r\n\t"ü": 2 3, <mask:2>}\r\n', "3", "unexpected '3'; expected "),
        ("cpp", "// é😀\r\nint f() {\r\n\treturn 1 +;\r\n\t<mask:2>\r\n}\r\n", ";", "unexpected ';'; expected "),
        ("lark", "set é\t= é é<mask:2>", "é<", "unexpected 'é'; expected \";\""),
        ("lark", "set <mask:1>\r\n= 1\r\n\t= é;", "= é", "unexpected '='"),
        # a mark that is text
        ("json", '["<<mask:3>", <mask:2>] é', "é", "unexpected 'é'; or, if a hole opens"),
        ("json", '["<<mask:3>", <mask:2>, <<mask:3>]', "<<", "unexpected '<'; or, if a hole opens"),
    ],
)
def test_the_caret_is_under_the_first_character_at_fault(tiny, grammar, document, marked, says):
    assert_points(tiny, document, grammar, marked, says)


def test_before_a_hole_it_is_said_what_explain_says(tiny):
    said, drawn = refused(tiny, CPP + "<mask:1>", "cpp")
    told, *picture = GRAMMARS["cpp"].explain(CPP).split("\n")
    assert said.endswith(f"its fixed text is not part of any text of the grammar: {told}") and drawn == picture


def test_a_hole_that_may_open_a_string(tiny):
    said, (line, caret) = refused(tiny, '{"a": <mask:1>; 1}\n', "json")
    assert said.endswith(
        "line 1, column 15: unexpected ';'; or, if a hole opens a string, a comment or the like before it, "
        "line 1, column 19: unexpected '\\n'"
    )
    assert line == '{"a": <mask:1>; 1}' and caret == " " * 14 + "^"


def test_a_hole_inside_free_text_goes_on_with_it(tiny):
    assert_points(tiny, '{"a<mask:2>b\\<mask:1>c" 1}', "json", "1", "unexpected '1'")


def test_a_hole_that_breaks_off_in_a_lexeme_opens_no_string(tiny):
    grammar = Grammar.from_lark('start: "a" CODE\nCODE: /[0-9][b-z]+/')
    assert_points(tiny, "<mask:2>bc!", grammar, "!", "unexpected '!'")
    said, _ = refused(tiny, "<mask:2>bc!", grammar)
    assert "if a hole opens" not in said


def test_text_that_fits_only_in_a_comment_is_shown_too(tiny):
    document = "int f() { return <mask:1>; }\nint g( ) ) { return <mask:1>; }"
    said, (line, caret) = refused(tiny, document, Grammar.builtin("cpp", swallow=True))
    assert "one does, but only if a hole opens a string, a comment or the like; else line 2, column 10: " in said
    assert line.startswith("int g( ) )") and caret == " " * 9 + "^"


def test_text_that_fits_only_where_a_hole_swallows_given_text_says_so(tiny):
    document = "int f() { return <mask:1>; }\nint g( ) ) { return <mask:1>; }"
    said, (line, caret) = refused(tiny, document, "cpp")
    assert "swallow=True and other widths of holes might allow one: " in said
    assert "else its fixed text is not part of any text of the grammar: line 2, column 10: " in said
    assert line.startswith("int g( ) )") and caret == " " * 9 + "^"
    said, _ = refused(tiny, "int f() { return 1; <mask:9> ) }\n}", "cpp")
    assert "one does with swallow=True: a hole may then open a string, a comment or the like" in said
    said, _ = refused(tiny, "int f() { return 1; ) <mask:9> }\n}", "cpp")
    assert "swallow" not in said


def test_nothing_is_fixed(tiny):
    said, drawn = refused(tiny, "<mask:2>", "lark")
    assert "the shortest needs" in said and not drawn


def test_holes_of_the_wrong_width_have_no_place(tiny):
    said, drawn = refused(tiny, "set a<mask:1>1;", Grammar.from_lark('start: "set a" "=====" "-----" "1;"'))
    assert "in the hole" in said or "wider" in said, said
    assert not drawn and "column" not in said


def test_a_document_in_parts(tiny):
    fault = tiny.tokenizer.encode(" 1]")
    said, (line, caret) = refused(tiny, ['["é", ', Hole(2), "\n", Hole(1), '"b"', fault], "json")
    assert "line 2, column 13: unexpected '1'" in said and line == '<mask:1>"b" 1]' and caret == " " * 12 + "^"


def test_a_planted_suffix_is_part_of_the_answer(tiny):
    params = SamplingParams(
        max_new_tokens=24, scheduler='prophet(region="so it is:", place=0.2)', grammar=GRAMMARS["lark"]
    )
    said = r"line 1, column \d+: unexpected 'i'\n<mask:\d+> so it is:<mask:\d+>\n +\^$"
    with pytest.raises(GrammarError, match=said):
        tiny.generate("go", params)


def test_through_a_stream_and_a_batch(tiny):
    bad = SamplingParams(grammar=GRAMMARS["json"])
    with pytest.raises(GrammarError, match="column 2"):
        tiny.stream_infill("[é<mask:1>]", bad)
    with pytest.raises(GrammarError, match="column 2"):
        tiny.infill(["<mask:3>", "[é<mask:1>]"], bad)


# --- against enumeration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bytewise", [True, False])
def test_the_place_is_where_no_text_begins_so(seed, bytewise):
    """The texts are few, so each prefix of a canvas can be tried on each of them; gaps are `.*` of a pattern."""
    chance = random.Random(seed)
    texts = {"".join(chance.choices("abé\n", k=chance.randint(1, 6))) for _ in range(9)}
    words = [*"ab\n", *"éx".encode().split(b"*"), "é", "ab", "ba", "a\n", "bé"]
    tokens = [word.encode() if isinstance(word, str) else word for word in words]
    tokens += [bytes([byte]) for byte in sorted({*"abéx\n".encode()})] if bytewise else []
    grammar = Grammar.from_choices(sorted(texts))
    compiled = grammar.compile(vocabulary(tokens))
    met = 0
    while met < 40:
        ids = [chance.choice([MASK, *range(len(tokens))]) for _ in range(chance.randint(1, 6))]
        if begun(texts, tokens, ids, ends=True):
            continue
        met += 1
        expected = slow_place(texts, tokens, ids)
        assert misfit(grammar, compiled, ids).startswith("line {}, column {}: ".format(*expected)), (texts, ids)


def begun(texts, tokens, ids, tail=b"", *, ends=False):
    pattern = b"".join(b".*" if token == MASK else re.escape(tokens[token]) for token in ids) + re.escape(tail)
    return any(re.fullmatch(pattern + (b"" if ends else b".*"), text.encode(), re.DOTALL) for text in texts)


def slow_place(texts, tokens, ids):
    """Line and column, by trying one prefix after the other."""
    at = next((at for at in range(len(ids)) if not begun(texts, tokens, ids[: at + 1])), len(ids))
    found = tokens[ids[at]] if at < len(ids) else b""
    # within a token where each of its bytes is one too
    counts = range(len(found)) if all(bytes([byte]) in tokens for byte in found) else ()
    offset = next((count for count in counts if not begun(texts, tokens, ids[:at], found[: count + 1])), 0)
    # bytes that are no character are shown as such, so that each has its column
    pieces = [f"<mask:{len(one)}>" if one[0] == "-" else one for one in re.findall("-+|[^-]+", marks(ids))]
    text, seen = "", 0
    for piece in pieces:
        width = int(piece[6:-1]) if piece.startswith("<") else len(piece)
        if piece.startswith("<"):
            text += piece
        else:
            run = b"".join(tokens[token] for token in ids[seen : min(seen + width, at)])
            if seen <= at < seen + width:
                return position(text + characters(run + found[:offset]))
            text += run.decode(errors="replace")
        seen += width
    return position(text)


def marks(ids):
    return "".join("-" if token == MASK else "+" for token in ids)


def characters(data):
    """Those that are whole; at the end, what may become one is none yet."""
    text = data.decode(errors="replace")
    return text[:-1] if data and data[-1:] == "é".encode()[:1] else text


def position(text):
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at", "width", "drawn"),
    [
        ("", 0, 0, ["line 1, column 1: no", "", "^"]),
        ("ab", 1, 9, ["line 1, column 2: no", "ab", " ^"]),
        ("ab\n", 2, 1, ["line 1, column 3: no", "ab", "  ^"]),
        ("ab\n", 3, 0, ["line 2, column 1: no", "", "^"]),
        ("a\r\n\tbc\r\nd", 4, 2, ["line 2, column 2: no", " bc", " ^^"]),
        ("a\r\nb", 1, 1, ["line 1, column 2: no", "a", " ^"]),
        ("a\x1b[1m\u2028b\n", 6, 1, ["line 1, column 7: no", "a [1m b", "      ^"]),
    ],
)
def test_drawing(text, at, width, drawn):
    assert pointed(text, at, width, "no").split("\n") == drawn


@pytest.mark.parametrize("at", [0, 50, 59, 60, 99, 100, 300, 398, 399, 400])
@pytest.mark.parametrize("width", [1, 3, 500])
def test_a_long_line_is_cut_around_the_caret(at, width):
    letters = "".join(chr(0x4E00 + index) for index in range(400))
    said, line, caret = pointed(f"\n{letters}\n{letters}", at + 1, width, "no").split("\n")
    assert said == f"line 2, column {at + 1}: no" and line in letters and 0 < len(line) <= SHOWN
    column = len(caret) - len(caret.lstrip())
    assert column <= BEFORE and len(caret) <= SHOWN and set(caret.lstrip()) == {"^"}
    assert line[column : column + 1] == letters[at : at + 1]
    assert len(caret) - column == max(1, min(width, len(line) - column))


def test_explain_names_a_whole_character():
    said, line, caret = GRAMMARS["json"].explain("[1, 😀]").split("\n")
    assert said.startswith("line 1, column 5: no lexeme begins with '😀'; ") and (line, caret) == ("[1, 😀]", "    ^")


# --- the command line -------------------------------------------------------------------------------------------------


def test_the_command_line_keeps_the_lines(dllm, tmp_path):
    file = tmp_path / "wrong.cpp"
    file.write_bytes(b"int f() {\r\n\treturn 1 +;\r\n\t<mask:2>\r\n}\r\n")
    result = dllm("infill", "--grammar", "cpp", str(file), model="tiny")
    said, line, caret = result.stderr.removesuffix("\n").split("\n")
    assert result.exit_code == 1 and result.stdout == ""
    assert said.startswith("dllm: cpp: ") and "line 2, column 12: unexpected ';'; expected " in said
    assert line == " return 1 +;" and caret == " " * 11 + "^"


def test_the_command_line_with_show(dllm):
    result = dllm("infill", "-g", "json", "[<mask:2>, 1", "--show", "--json", model="tiny")
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.endswith("line 1, column 13: the text breaks off here\n[<mask:2>, 1\n            ^\n")


def test_what_has_no_place_stays_one_line(dllm):
    assert_one_line(dllm("infill", "--regex", "[a-z]{40}", "<mask:1>", model="tiny"), "shortest needs", code=1)


# --- stop strings -----------------------------------------------------------------------------------------------------


def test_stop_does_not_go_with_a_grammar_on_the_command_line(dllm):
    for command in (["generate", "a"], ["chat", "a"], ["infill", "<mask:3>"]):
        result = dllm(*command, "--grammar", "json", "--stop", "}", model="tiny")
        assert_one_line(result, "stop=('}',)", "<Grammar json>", "leave stop out")
