"""Random regular expressions, broken ones among them, and texts that nearly match: against Python's `re`."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from dllm import DllmError, Grammar
from dllm.grammars.frontends.pattern import parse_pattern
from dllm.grammars.regex import Regex
from tests.references.grammar_sampler import draw
from tests.support.fuzzing import Hang, in_time

TEXTS = 12
"""Of each pattern."""
SECONDS = 10.0
"""Of CPU time that no pattern may take, answers about its texts included."""
LONGEST = 24
"""Characters of a text: `re` backtracks, so it would need for ever on long ones."""

PLAIN = ("a", "b", "c", "0", "_", " ", "-", "ab", "[ab]", "[^a]", "[a-c0-2]", "[^-b]", "[a\\-]", ".", "\\.", "\\d")
PLAIN += ("\\w",)
PLAIN += ("\\s", "\\D", "\\W", "\\S", "[\\w-]", "[^\\s\\d]", "\\x61", "\\t", "/", "\\/", '"', "\\\\", "\\(", "[.*+]")
"""What means the same in Python and in ECMA-262, for ASCII text."""
PYTHON = ("é", "日", "😀", "ß", "[é-ü]", "[^😀]", "\\u00e9", "[\\d_é]", "\\101", "\\a", "(?i:aß)", "(?i:[k-s])")
PYTHON += ("(?a:\\w)",)
PYTHON += ("(?s:.)", "(?-i:a)", "(?#said)", "(?x: a  b )", "[]a]", "[^]]", "\\Z", "\\A", "(?:)", "(?i:é)")
PYTHON += ("\\N{BULLET}",)
COUNTS = ("*", "+", "?", "{0}", "{1}", "{2}", "{3,}", "{0,1}", "{1,3}", "{2,5}", "{4,4}", "{0,0}", "{7}")
LARGE = ("{30}", "{1,64}", "{0,100}", "{1000}", "{2,}{3}", "{1001}", "{99999999999}")
FLAGS = ("(?i)", "(?s)", "(?a)", "(?m)", "(?x)", "(?is)", "(?u)", "(?L)")
BROKEN = ("(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "\\", "^", "$", "(?=a)", "(?!b)", "(?<=a)", "(?<!b)", "\\b")
BROKEN += ("(?P<n>a)(?P=n)", "(a)\\1", "a*+", "(?>a)", "(?(1)a|b)", "\\p{L}", "[b-a]", "[[:alpha:]]", "\ud800", "\x00")
BROKEN += ("\\",)
ALPHABET = 'aabbc01_-. \t/"\\(X'
BEYOND = "éÉ日😀ßſKµ\u00a0\u2028\x1c\n\x00²\u0660"
Note = Counter[str]


def pattern(rng: random.Random, depth: int = 3, plain: bool = False) -> str:
    """A legal pattern, but that anchors and counts may not be allowed where they stand.

    Args:
        plain: of what means the same in Python and in ECMA-262.
    """
    kind = rng.random()
    if depth == 0 or kind < 0.25:
        return rng.choice(PLAIN if plain or rng.random() < 0.7 else PYTHON)
    if kind < 0.55:
        return "".join(pattern(rng, depth - 1, plain) for _ in range(rng.randint(2, 4)))
    if kind < 0.7:
        options = [pattern(rng, depth - 1, plain) for _ in range(rng.randint(2, 3))] + [""] * (rng.random() < 0.15)
        opening = rng.choice(("(?:", "(") if plain else ("(?:", "(", f"(?P<n{rng.randrange(10**6)}>"))
        return f"{opening}{'|'.join(options)})"
    count = rng.choice(COUNTS if plain or rng.random() < 0.95 else (*LARGE, "{,2}", "{,}"))
    lazy = "?" if rng.random() < 0.15 else ""
    return f"(?:{pattern(rng, depth - 1, plain)}){count}{lazy}"


def framed(rng: random.Random, found: str) -> str:
    """With flags in front, anchors around it."""
    if rng.random() < 0.2:
        found = rng.choice(("^", "^", "\\A", "^^")) + found
    if rng.random() < 0.2:
        found += rng.choice(("$", "$", "\\Z", "$$"))
    return rng.choice(FLAGS) + found if rng.random() < 0.15 else found


def broken(rng: random.Random, found: str) -> str:
    """With something put in, taken out or repeated at one to three places."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(found))
        kind = rng.randrange(4)
        if kind < 2:
            found = found[:at] + rng.choice(BROKEN) + found[at:]
        elif kind == 2:
            found = found[:at] + found[at + rng.randint(1, 3) :]
        else:
            found = found[:at] + found[max(0, at - 6) :]
    return found if rng.random() < 0.97 else found * rng.choice((50, 500)) if len(found) < 60 else "(" * 3000 + found


def texts(rng: random.Random, tree: Regex, count: int, alphabet: str) -> list[str]:
    """Texts of the pattern, texts that differ from one in one or two places, and texts of an alphabet."""
    found = []
    for _ in range(count):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 8)))
        kind = rng.randrange(5)
        if kind:
            with suppress(IndexError):  # there is no text through a class without characters
                text = draw(rng, tree)[:LONGEST]
        for _ in range(max(0, kind - 2)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(("", rng.choice(alphabet))) + text[at + rng.randint(0, 1) :]
        found.append(text)
    return found


def agrees(grammar: Grammar, found: str, asked: list[tuple[str, str]], judge: Callable[[str], object]) -> Note:
    """Compare `accepts` with a judge; pairs on which `re` is not done in time are left out.

    Args:
        asked: what is given to `accepts`, and what to the judge.
    """
    seen = Note()
    for text, judged in asked:
        try:
            with in_time(0.5):
                wanted = bool(judge(judged))
        except Hang:
            seen["re took too long"] += 1
            continue
        assert grammar.accepts(text) == wanted, f"{found!r} on {text!r}: re says {wanted}"
        seen["matches" if wanted else "matches not"] += 1
    return seen


def check_fullmatch(rng: random.Random, count: int = TEXTS) -> Note:
    """One pattern: a `DllmError`, or the language of `re.fullmatch`.

    Raises:
        AssertionError: another language, another error, or too much time.
    """
    found = framed(rng, pattern(rng))
    if rng.random() < 0.25:
        found = broken(rng, found)
    began = time.process_time()
    try:
        grammar = Grammar.from_regex(found)
        grammar.accepts("")
    except DllmError as error:
        assert len(str(error)) < 2000, f"{found!r}: an error of {len(str(error))} characters"
        _in_time(found, began)
        return Note(refused=1)
    _in_time(found, began)
    asked = texts(rng, parse_pattern(found), count, ALPHABET + BEYOND)
    return agrees(grammar, found, [(text, text) for text in asked if _whole(text)], re.compile(found).fullmatch)


def check_schema(rng: random.Random, count: int = TEXTS) -> Note:
    """One pattern as the `pattern` of a JSON Schema, whose dialect is ECMA-262, on ASCII text without line ends: an
    error, or what `re.search` finds, with `$` for the very end.

    Raises:
        AssertionError: other texts, another error, or too much time.
    """
    found = pattern(rng, 2, plain=True)
    start, end = rng.random() < 0.4, rng.random() < 0.4
    # a group around it: what an anchor is in front of is the whole pattern
    inner = f"(?:{found})" if start or end else found
    began = time.process_time()
    try:
        grammar = Grammar.from_json_schema({"type": "string", "pattern": "^" * start + inner + "$" * end})
        grammar.accepts("")
    except DllmError:
        _in_time(found, began)
        return Note(refused=1)
    _in_time(found, began)
    asked = texts(rng, parse_pattern(found), count, ALPHABET)
    asked = [text for text in asked if text.isascii() and all(char == "\t" or char >= " " for char in text)]
    judge = re.compile("^" * start + inner + "\\Z" * end).search
    return agrees(grammar, found, [(json.dumps(text), text) for text in asked], judge)


def check(rng: random.Random) -> Note:
    """One of the two."""
    return check_schema(rng) if rng.random() < 0.25 else check_fullmatch(rng)


def _in_time(found: str, began: float) -> None:
    spent = time.process_time() - began
    assert spent < SECONDS, f"{found!r:.300} took {spent:.1f} s"


def _whole(text: str) -> bool:
    """Whether it has no half of a surrogate pair, which is no text."""
    return not re.search("[\ud800-\udfff]", text)
