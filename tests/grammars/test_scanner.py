"""The scanner, the vocabulary and their product against slow readings that share no code with them."""

import random

import numpy as np
import pytest

from dllm.errors import GrammarError
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.frontends.lark import rules_from_lark
from dllm.grammars.grammar import Grammar
from dllm.grammars.regex import EMPTY, NOTHING, alt, chars, literal, plus, repeat, seq
from dllm.grammars.rules import Rules, Terminal
from dllm.grammars.tables.automata import _Edges, dfa
from dllm.grammars.tables.cfg import cfg
from dllm.grammars.tables.scanner import Scanner, scanner
from dllm.grammars.tables.steps import DEAD
from dllm.grammars.tables.token_table import TokenTable
from dllm.grammars.tables.vocabulary import UNUSABLE, vocabulary
from tests.references.grammar_brute import ALPHABET, TOKENS, SlowGrammar, letters_of, random_rules

CODE = rules_from_lark(
    'start: (NAME | "if" | "int" | NUMBER | OP | "(" | ")" | STRING)*\nNAME: /[a-z_]+/\n'
    'NUMBER: /[0-9]+(\\.[0-9]+)?(e[+-]?[0-9]+)?/\nOP: ">" | ">>" | ">>=" | ".." | "/" | "+" | "++" | "-" | "->" | "."\n'
    'STRING: /"([^"\\\\]|\\\\.)*"/\nCOMMENT: /\\/\\*([^*]|\\*+[^*\\/])*\\*+\\//\n'
    "WS: /[ \\n]+/\n%ignore WS\n%ignore COMMENT"
)

WORDS = Grammar.from_regex(r"\w{2,4}|[a-f]x[^b-d]?|é+").rules


def whole(rules: Rules) -> Scanner:
    """The scanner of a grammar that uses all of its terminals."""
    return scanner(rules, range(len(rules.terminals)))


def names(rules: Rules, found: Scanner, data: bytes) -> tuple[frozenset[str], ...] | None:
    """What the scanner reads, as `SlowLexer.lexemes` says it."""
    emission = found.scan(data)
    if isinstance(emission, int):
        return None
    return tuple(frozenset(rules.terminals[index].name for index in found.labels[label]) for label in emission)


def texts(rng: random.Random, rules: Rules, count: int) -> list[str]:
    """Random texts, mostly of characters that the terminals know."""
    known = letters_of(rules)
    pools = [known if rng.random() < 0.9 else ALPHABET for _ in range(count)]
    return ["".join(rng.choice(pool) for _ in range(rng.randint(0, 8))) for pool in pools]


@pytest.mark.parametrize("first", [0, 100, 200, 300])
def test_random_terminals_are_scanned_by_maximal_munch(first):
    read = refused = 0
    for seed in range(first, first + 60):
        rng = random.Random(seed)
        rules = random_rules(rng)
        slow, fast, recogniser = SlowGrammar(rules), whole(rules), Recogniser(rules)
        for text in texts(rng, rules, 30):
            wanted = slow.lexer.lexemes(text)
            assert names(rules, fast, text.encode()) == wanted, (seed, text)
            assert recogniser.accepts(text.encode()) == slow.accepts(text.encode()), (seed, text)
            read, refused = read + (wanted is not None), refused + (wanted is None)
    assert min(read, refused) > 200


def test_code_is_scanned_as_the_recogniser_splits_it():
    rng, fast, slow = random.Random(5), whole(CODE), Recogniser(CODE)
    read = 0
    for _ in range(3000):
        data = bytes(rng.choice(b'abfint_01.e+>=/* ")\\-\n\xc3\xa9') for _ in range(rng.randint(1, 12)))
        lexemes = list(slow.lexemes(data))
        if lexemes[-1].end == lexemes[-1].start:
            assert isinstance(fast.scan(data), int), data
            continue
        wanted = tuple(one.terminals for one in lexemes if one.terminals)
        assert tuple(fast.labels[label] for label in fast.scan(data)) == wanted, data
        read += 1
    assert read > 300


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("iff", ["NAME"]),
        ("if f", ['"if"', "NAME"]),
        ("if", ['"if"']),
        (">>=", ["OP"]),
        (">> =", None),
        (">>>=", None),  # `>>` is the longest; what is left, `>=`, is nothing
        ("1.5", ["NUMBER"]),
        ("1..5", ["NUMBER", "OP", "NUMBER"]),
        ("1.", ["NUMBER", "OP"]),
        ("1e", ["NUMBER", "NAME"]),
        ("1e-", ["NUMBER", "NAME", "OP"]),
        ("1e-3", ["NUMBER"]),
        ("/* ) */", []),
        ("/* )", None),
        ("/ *", None),
        ("//", ["OP", "OP"]),
        ('"a\\""', ["STRING"]),
        ('"a\\"', None),
        ('"\\\\"a', ["STRING", "NAME"]),
        ("a--b", ["NAME", "OP", "OP", "NAME"]),
        ("a->b", ["NAME", "OP", "NAME"]),
        ("", []),
        (" \n", []),
    ],
)
def test_lexemes_by_hand(text, wanted):
    found = names(CODE, whole(CODE), text.encode())
    assert found == (None if wanted is None else tuple(frozenset({name}) for name in wanted))


@pytest.mark.parametrize(
    "data", [b"\xc3", b"\xa9", b"\xc3(", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xff"]
)
def test_invalid_utf8_has_no_lexemes(data):
    """Halves, overlong forms, surrogates, beyond U+10FFFF."""
    rules = rules_from_lark('start: STRING\nSTRING: /"[^"]*"/')
    found = whole(rules)
    assert found.scan(b'"x"') == (0,) and found.scan('"é日😀\ufffd\ufeff"'.encode()) == (0,)
    assert isinstance(found.scan(b'"' + data + b'"'), int)
    assert isinstance(found.scan(b'"a' + data), int)


def test_characters_that_begin_alike_are_told_apart_before_a_lexeme_is_given_up():
    """`é` opens what may go on without end; `è` shares its first byte, and does not."""
    terminals = (
        Terminal("A", literal("a")),
        Terminal("OPEN", seq(literal("aé"), repeat(literal("b")), literal("c"))),
        Terminal("E", plus(chars("è"))),
    )
    rules = Rules("S", {"S": (("A", "E"), ("OPEN",))}, terminals)
    for text, good in [("aè", True), ("aéc", True), ("aébbc", True), ("aé", False), ("aéb", False), ("aéè", False)]:
        assert Recogniser(rules).accepts(text.encode()) == SlowGrammar(rules).accepts(text.encode()) == good, text
        assert isinstance(whole(rules).scan(text.encode()), int) != good, text


def test_where_a_text_goes_wrong_is_the_byte_after_which_nothing_helps():
    """No text begins like what was read up to and with the byte named; some does without it."""
    rules = rules_from_lark('start: ("ab" | "cd" | /x+y/)*')
    found = whole(rules)
    for data, at in [(b"aab", 1), (b"abcx", 3), (b"abxx", 4), (b"abe", 2), (b"", None), (b"abxyxy", None)]:
        answer = found.scan(data)
        assert (answer if isinstance(answer, int) else None) == at, data


def test_priorities_decide_between_lexemes_of_one_length_only():
    rules = Rules(
        "S",
        {"S": (("LOW",), ("HIGH",), ("ALSO",))},
        (Terminal("LOW", plus(chars("ab")), 0), Terminal("HIGH", literal("ab"), 1), Terminal("ALSO", literal("ab"), 1)),
    )
    found = whole(rules)
    assert names(rules, found, b"ab") == (frozenset({"HIGH", "ALSO"}),)
    assert names(rules, found, b"aba") == (frozenset({"LOW"}),)


def test_a_lexeme_that_no_sentence_uses_is_dead_and_still_the_longest():
    """`abc` is no lexeme of any sentence; but where it stands, `ab` `c` is not read."""
    terminals = (Terminal("AB", literal("ab")), Terminal("C", literal("c")), Terminal("ABC", literal("abc")))
    rules = Rules("S", {"S": (("AB", "C"),)}, terminals)
    found = scanner(rules, cfg(rules).symbol_of)
    assert isinstance(found.scan(b"abc"), int)
    assert not Recogniser(rules).accepts(b"abc")
    assert not isinstance(found.scan(b"cab"), int)


def test_an_ignored_lexeme_of_highest_priority_wins():
    terminals = (Terminal("A", literal("a")), Terminal("GONE", literal("a"), 1), Terminal("B", literal("b")))
    rules = Rules("S", {"S": (("B",), ("A", "B"))}, terminals, frozenset({"GONE"}))
    assert names(rules, whole(rules), b"aba") == (frozenset({"B"}),)


@pytest.mark.parametrize(
    ("pattern", "says"), [(repeat(literal("a")), "empty text"), (EMPTY, "empty text"), (NOTHING, "no text at all")]
)
def test_a_terminal_without_lexemes_is_refused(pattern, says):
    terminals = (Terminal("GOOD", literal("g")), Terminal("BAD", pattern))
    with pytest.raises(GrammarError, match=f"BAD.*{says}"):
        whole(Rules("S", {"S": (("BAD",), ("GOOD",))}, terminals))


def test_too_many_states_are_an_error():
    tree = seq(repeat(chars("ab")), literal("a"), repeat(chars("ab"), 16, 16))
    with pytest.raises(GrammarError, match="20000"):
        whole(Rules("S", {"S": (("T",),)}, (Terminal("T", tree),)))


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_the_trie_spells_every_token():
    tokens = [*TOKENS, None, b"abab", None]
    found = vocabulary(tokens)
    assert len(found) == len(tokens) and (found.parent[1:] < np.arange(1, len(found.parent))).all()
    for token, node in zip(tokens, found.node.tolist(), strict=True):
        spelled = b""
        while node > 0:
            spelled, node = bytes([found.byte[node]]) + spelled, int(found.parent[node])
        assert (spelled if node == 0 else None) == token
    assert [index for index, node in enumerate(found.node) if node == UNUSABLE] == [len(TOKENS), len(TOKENS) + 2]


def test_vocabularies_are_told_apart_by_their_digest():
    lists = [[b"a", b"b"], [b"b", b"a"], [b"ab"], [b"a", None, b"b"], [b"", b"ab"], [b"ab", b""], [None, b"ab"], []]
    assert len({vocabulary(one).digest for one in lists}) == len(lists)
    assert vocabulary(lists[0]).digest == vocabulary(list(lists[0])).digest


@pytest.mark.parametrize("seed", range(12))
def test_a_token_steps_as_its_bytes_do(seed):
    rng = random.Random(seed)
    rules = CODE if seed == 0 else random_rules(rng)
    found = whole(rules)
    tokens = [None, *TOKENS, *(bytes(rng.choices(b'ab01. /*"\xc3\xa9', k=rng.randint(1, 6))) for _ in range(40)), None]
    table = TokenTable.make(found, vocabulary(tokens))
    alive = 0
    for state in range(len(found.next)):
        for index, token in enumerate(tokens):
            labels: list[int] = []
            after = state if token is not None else DEAD
            for byte in token or b"":
                labels += found.emissions[found.emits[after, byte]]
                after = int(found.next[after, byte])
                if after == DEAD:
                    break
            wanted = ((), DEAD) if after == DEAD else (tuple(labels), after)
            assert table.step(state, index) == wanted, (state, token)
            alive += after != DEAD
    assert alive > 5


def test_tokens_of_one_group_act_alike_and_ids_without_text_act_nowhere():
    tokens = [b"1", b"2", b"a", b"b", b"a", None, b"1a", b"2b", b"\xff"]
    table = TokenTable.make(whole(CODE), vocabulary(tokens))
    assert table.group_of[0] == table.group_of[1] and table.group_of[2] == table.group_of[4]
    assert table.group_of[6] == table.group_of[7]
    assert len({int(table.group_of[index]) for index in (0, 2, 5, 6)}) == 4
    for index in (5, 8):
        assert (table.class_of[:, table.group_of[index]] == DEAD).all()


@pytest.mark.parametrize("pattern", ["(ab|abc|ba{2,70})*", "[^x]{0,200}", r'"([^"\\\\]|\\\\.)*"|"abc"|"abba"'])
def test_groups_are_the_tokens_that_do_the_same(pattern):
    words = vocabulary([*(bytes([one]) for one in b'abcx"\\'), *TOKENS, b"abab", b"", b"ab", None, b"\xff", b'"abba"x'])
    table = TokenTable.make(whole(Grammar.from_regex(pattern).rules), words)
    columns = np.unique(table.class_of, axis=1)
    assert table.class_of.shape == columns.shape
    for state in range(len(table.scanner.next)):
        for index, token in enumerate(words.tokens):
            emitted, after = table.step(state, index)
            assert after == DEAD if token is None else (emitted, after) == stepped(table.scanner, state, token)


def stepped(found: Scanner, state: int, token: bytes) -> tuple[tuple[int, ...], int]:
    """One token, byte by byte."""
    emitted: tuple[int, ...] = ()
    for byte in token:
        emitted += found.emissions[found.emits[state, byte]]
        state = int(found.next[state, byte])
        if state == DEAD:
            return (), DEAD
    return emitted, state


@pytest.mark.parametrize("seed", range(6))
def test_edges_in_rows_lead_where_edges_one_by_one_do(seed, monkeypatch):
    rules = CODE if seed == 0 else random_rules(random.Random(seed))
    trees = [terminal.pattern for terminal in rules.terminals] + [one.pattern for one in WORDS.terminals]
    one = dfa(trees)
    monkeypatch.setattr(_Edges, "FEW", -1)
    other = dfa(trees)
    assert (one.table == other.table).all() and one.accepts == other.accepts


def test_the_same_grammar_gives_the_same_tables_each_time():
    one, other = whole(CODE), whole(CODE)
    assert (one.next == other.next).all() and (one.emits == other.emits).all() and one.labels == other.labels
    assert Grammar(CODE) == Grammar(CODE) and Grammar(CODE).digest != Grammar.from_regex("a").digest
    swapped = Rules(CODE.start, CODE.productions, (alt_terminal(), *CODE.terminals[1:]), CODE.ignored)
    assert Grammar(swapped) != Grammar(CODE)


def alt_terminal() -> Terminal:
    return Terminal(CODE.terminals[0].name, alt(CODE.terminals[0].pattern, literal("~")), CODE.terminals[0].priority)
