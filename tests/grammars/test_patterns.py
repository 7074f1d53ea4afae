"""Regular expressions and choices: the language of `re.fullmatch`, and what is no language."""

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dllm import DllmError
from dllm.errors import GrammarError
from dllm.grammars.frontends.charsets import _CASED_END, ECMA_SPACE
from dllm.grammars.frontends.choices import rules_from_choices, rules_from_regex
from dllm.grammars.frontends.pattern import parse_pattern
from dllm.grammars.regex import MAX_CHAR, SURROGATES, Chars, nullable, ranges_of
from tests.references.grammar_trees import longest, matches


def texts(alphabet, length):
    """All texts over the alphabet of up to that length."""
    for size in range(length + 1):
        for chosen in itertools.product(alphabet, repeat=size):
            yield "".join(chosen)


def code_points(tree):
    assert isinstance(tree, Chars)
    return {chr(code) for low, high in tree.ranges for code in range(low, high + 1)}


EVERY = "".join(chr(code) for code in range(MAX_CHAR + 1) if not SURROGATES[0] <= code <= SURROGATES[1])

SAME = [
    ("", "ab"),
    ("a*?b+?|(?:ab)*", "abc"),
    ("(a|b(?P<n>c))?[^b]{2}", "abc"),
    ("a{2}|a{,1}b{1,}|b{0,2}", "abc"),
    ("^a$|^b?c$", "abc"),
    (r"\Aa\Z|b", "ab"),
    ("(^a|b)(c|a$)", "abc"),
    ("(?:^|a)b", "ab"),
    ("^^a$$", "ab"),
    ("^$", "a"),
    ("(?i)aB", "aAbB"),
    ("(?i:a)b|A(?-i:b)", "aAbB"),
    ("(?s:.)|a.", "a\nb"),
    ("(?x) a  b # c", "ab #"),
    ("(?m)^a$", "a\n"),
    (r"[^\d\s]\w|\D\S", "a1 é"),
    (r"[a-c\d_-]+", "a1-_d"),
    (r"(?a:\w)\w", "aé_"),
    (r"\x41\u00e9\101[\]\\^]", "Aé]\\^"),
    ("a|ab|abc|b", "abc"),
    ("(a*)*b", "ab"),
    ("(?:a?){3}", "ab"),
    ("", "a"),
    ("|a", "ab"),
]


@pytest.mark.parametrize(("pattern", "alphabet"), SAME)
def test_a_pattern_is_the_language_of_fullmatch(pattern, alphabet):
    tree = parse_pattern(pattern)
    for text in texts(alphabet, 4):
        assert matches(tree, text) == bool(re.fullmatch(pattern, text)), text
    assert nullable(tree) == bool(re.fullmatch(pattern, ""))


@pytest.mark.parametrize(
    "pattern",
    [r"\w", r"\W", r"\d", r"\s", r"\S", r"(?a:\w)", r"(?i:[a-k])", r"(?i:[^à-þ])", "(?i:ſ)", "(?i:.)", "[^a]"],
)
def test_a_class_holds_the_same_characters_as_in_re(pattern):
    runs = re.finditer(f"(?:{pattern})+", EVERY)
    assert parse_pattern(pattern).ranges == ranges_of((ord(run[0][0]), ord(run[0][-1])) for run in runs)


def test_ignoring_case_agrees_with_re_for_every_cased_character():
    cased = [char for char in EVERY if char.lower() != char or char.upper() != char]
    pool = "".join(cased)
    assert max(pool) < chr(_CASED_END)
    for char in cased[::7] + list("kKsSſıİµςσΣßẞ"):
        assert code_points(parse_pattern(char, flags=re.IGNORECASE)) & set(pool) == set(re.findall(char, pool, re.I))


def pieces():
    leaf = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", "(?i:a)", "c", r"\n", "(?s:.)"])
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,2}", "{,2}?"])).map(
                "(?:{0[0]}){0[1]}".format
            ),
        ),
        max_leaves=6,
    )


@given(pieces(), st.text("abAB\n", max_size=5))
@example("(?:a|b)*?", "ab")
@settings(max_examples=300, deadline=None)
def test_random_patterns_agree_with_fullmatch(pattern, text):
    assert matches(parse_pattern(pattern), text) == bool(re.fullmatch(pattern, text))


@pytest.mark.parametrize(
    ("pattern", "alphabet"), [("a", "ab\n"), ("^a|b$", "ab"), ("^(a|b)$", "ab"), ("", "a"), ("(^a$|b)", "ab")]
)
def test_a_schema_searches(pattern, alphabet):
    tree = parse_pattern(pattern, ecma=True)
    for text in texts(alphabet, 4):
        assert matches(tree, text) == bool(re.search(pattern.replace("$", r"\Z"), text)), text


def test_the_ecma_dialect():
    digits, words, spaces = (code_points(parse_pattern(p, ecma=True, search=False)) for p in (r"\d", r"\w", r"\s"))
    assert digits == set("0123456789") and "é" not in words and "_" in words and spaces == set(ECMA_SPACE)
    assert set(EVERY) - code_points(parse_pattern(".", ecma=True, search=False)) == set("\n\r\u2028\u2029")
    assert matches(parse_pattern("^[[]$", ecma=True), "[") and matches(parse_pattern(r"^[\]^]\/$", ecma=True), "^/")
    for pattern in [
        r"\a",
        r"\Z",
        "[]a]",
        "[^]]",
        "(?i)a",
        "(?P<n>a)",
        "(?#c)",
        "a{,3}",
        r"\1",
        r"[\07]",
        r"\p{L}",
        r"\cA",
    ]:
        with pytest.raises(GrammarError):
            parse_pattern(pattern, ecma=True)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(a)\1", "back-reference"),
        ("(?P<n>a)(?P=n)", "back-reference"),
        ("(?=a)b", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?!a)b", "negative look-around"),
        ("(?<!a)b", "negative look-around"),
        ("(a)?(?(1)b|c)", "conditional"),
        ("a*+", "possessive"),
        ("(?>a)", "atomic"),
        (r"\ba", "word boundary"),
        (r"a\B", "word boundary"),
        ("a^b", "anchor inside"),
        ("a$b", "anchor inside"),
        ("(a$|b)c", "anchor inside"),
        ("(^a)*", "anchor inside a repetition"),
        ("a{100001}", "100001"),
        ("a{2,500000}", "500000"),
        ("\ud800", "surrogate"),
        ("(", "unterminated"),
        ("a**", "multiple repeat"),
        ("[b-a]", "bad character range"),
        ("(" * 3000 + ")" * 3000, "nested too deeply"),
        (b"a", "must be a str"),
    ],
)
def test_what_is_no_language_is_refused_by_name(pattern, says):
    with pytest.raises(GrammarError, match=re.escape(says)) as caught:
        parse_pattern(pattern, what="the pattern of x")
    assert isinstance(caught.value, DllmError) and "the pattern of x" in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"/\*(.|\n)*?\*/", "/* a */ b */", "/* a */"),
        (r'".*?"', '"a" "b"', '"a"'),
        ("<.+?>", "<>a>b>", "<>a>"),
        ("(a.*?b|c.*?d)", "acbdb", "acb"),
        ("a.*?b.*?c", "abacbc", "abac"),
        ("a*?b", "aab", "aab"),
        ("(?:x??y)", "xy", "xy"),
    ],
)
def test_a_lazy_repetition_in_a_lexeme_stops_at_the_first_end(pattern, text, found):
    end = longest(parse_pattern(pattern, lexeme=True), text)
    assert end is not None and text[:end] == found == re.match(pattern, text)[0]


@pytest.mark.parametrize("pattern", ["a.*?b+", "(a.*?b)*", "a.*?(b|bc)", "^a", r"\Aa", "a$"])
def test_lexemes_have_no_anchors_and_no_open_ends_after_a_lazy_repetition(pattern):
    with pytest.raises(GrammarError):
        parse_pattern(pattern, lexeme=True)


def language(rules, alphabet, length):
    """Texts of a grammar of one lexeme."""
    (start,) = rules.productions.values()
    trees = {terminal.name: terminal.pattern for terminal in rules.terminals}
    assert not any(nullable(tree) for tree in trees.values())
    return {
        text
        for text in texts(alphabet, length)
        if any((not parts and not text) or (parts and matches(trees[parts[0]], text)) for parts in start)
    }


def test_a_regular_expression_as_a_grammar():
    for pattern in ["a|b+", "(ab)*", "", "a?", "(|)", "a{0}b*"]:
        wanted = {text for text in texts("ab", 4) if re.fullmatch(pattern, text)}
        assert language(rules_from_regex(pattern), "ab", 4) == wanted
    for pattern in [r"[^\s\S]", r"a[^\w\W]", "("]:
        with pytest.raises(GrammarError):
            rules_from_regex(pattern)


def test_choices_as_a_grammar():
    assert language(rules_from_choices(["a", "ab", "", "ab"]), "ab", 3) == {"a", "ab", ""}
    assert language(rules_from_choices(x for x in ["b"]), "ab", 3) == {"b"}
    assert language(rules_from_choices([""]), "ab", 3) == {""}
    for wrong in ["yes", [], [1], ["a", None], ["\udc00"]]:
        with pytest.raises(GrammarError):
            rules_from_choices(wrong)
