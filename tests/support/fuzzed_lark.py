"""Random grammars in Lark's notation, broken ones among them, against lark's own Earley parser.

Lark's `basic` lexer takes the longest text only where no two terminals begin alike, but for a name and the keywords
that it would match; so the terminals here are such.
"""

from __future__ import annotations

import random
import time
from collections import Counter

from lark import Lark
from lark.exceptions import LarkError, UnexpectedInput

from dllm import DllmError, Grammar
from dllm.grammars.rules import Rules
from dllm.grammars.tables.useful import productive
from tests.references.json_sampler import TextSampler
from tests.support.fuzzing import Hang, in_time

TEXTS = 10
"""Of each grammar."""
SECONDS = 10.0
"""Of CPU time that no grammar may take, answers about its texts included."""
TERMINALS = {
    "NUMBER": "/[0-9]+/",
    "NAME": "/[a-z]+/",
    "WORD": "/[A-C][D-F]*/i",
    "MARK": '"!"~1..3',
    "PAIR": '"<" (DIGIT | "-")+ ">"',
    "SIGN": '"\\u00e9".."\\u00f6"',
    "TEXT": "/'[^'\\n]*'/",
    "BOTH.2": '"~" "~"?',
}
"""Named terminals, no two of which begin alike; `WORD` and `NAME` never stand together."""
LITERALS = ('"+"', '"-"', '"*"', '"("', '")"', '","', '";"', '"=="', '"@"')
KEYWORDS = ('"if"', '"else"', '"in"')
"""Only beside `NAME`, which would match them, or without it."""
BROKEN = ('"', "/", "(", ")", "[", "]", "{", "}", "|", ":", "~", "..", "?", "*", "%ignore", "%import common.WS", "\n")
BROKEN += ("->",)
BROKEN += ("%declare A", "/a*/", "/(?=a)b/", "/\\1/", "~3..1", "~9999", "start", "a", "_b", "!", "\ud800", "\x00")
BROKEN += ("//", "r")
BROKEN += ("%import ..x.y", "%override a: b", "%extend start: a", '"a".."zz"', "{a}", ".5", "-1", '""', '"\\x"', "/[/")
BROKEN += ("/a/q",)
ALPHABET = "abifen019 +-*(),;=@!<>~'ABD\u00e9\u00f0X\n"
Note = Counter[str]


def grammar_text(rng: random.Random) -> str:
    """A legal grammar, of which it may still be that no text is a sentence."""
    names = rng.sample(sorted(set(TERMINALS) - {"WORD"}), rng.randint(1, 4))
    if "NAME" not in names and rng.random() < 0.3:
        names.append("WORD")
    leaves = [name.partition(".")[0] for name in names]
    if "PAIR" in names or "BOTH.2" in names:
        leaves *= 2
    leaves += rng.sample(LITERALS, rng.randint(1, 4))
    if "WORD" not in names:
        leaves += rng.sample(KEYWORDS, rng.randint(0, 2))
    rules = [f"r{index}" for index in range(rng.randint(0, 4))]
    template = rng.random() < 0.3
    lines = []
    for name in ("start", *rules):
        prefix = rng.choice(("", "", "", "?", "!")) if name != "start" else ""
        lines.append(f"{prefix}{name}: {_options(rng, [*leaves, *rules, *rules], template, rng.choice((1, 2, 2, 3)))}")
    if template:
        lines.append(f"t{{x, y}}: {_options(rng, ['x', 'y', 'x', *leaves], False, 2)}")
    lines += [f"{name}: {TERMINALS[name]}" for name in names]
    if "PAIR" in names:
        lines.append("DIGIT: /[0-9]/")
    if rng.random() < 0.6:
        lines.append(rng.choice(('%ignore " "', '%ignore / +/\n%ignore "\\n"', "%import common.WS\n%ignore WS")))
    return "\n".join(lines) + "\n"


def _options(rng: random.Random, leaves: list[str], template: bool, depth: int) -> str:
    options = [_sequence(rng, leaves, template, depth) for _ in range(rng.choice((1, 1, 2, 3)))]
    return " | ".join(dict.fromkeys(options))


def _sequence(rng: random.Random, leaves: list[str], template: bool, depth: int) -> str:
    if rng.random() < 0.06:
        return ""
    return " ".join(_item(rng, leaves, template, depth) for _ in range(rng.choice((1, 1, 2, 2, 3))))


def _item(rng: random.Random, leaves: list[str], template: bool, depth: int) -> str:
    kind = rng.random()
    if depth == 0 or kind < 0.55:
        return rng.choice(leaves)
    if kind < 0.65 and template:
        return f"t{{{rng.choice(leaves)}, {rng.choice(leaves)}}}"
    if kind < 0.75:
        return f"[{_options(rng, leaves, template, depth - 1)}]"
    if kind < 0.85:
        return f"({_options(rng, leaves, template, depth - 1)})"
    count = rng.choice(("*", "+", "?", "~2", "~0..2", "~1..3", "~4"))
    return (
        f"({_options(rng, leaves, template, depth - 1)}){count}" if rng.random() < 0.5 else rng.choice(leaves) + count
    )


def broken(rng: random.Random, text: str) -> str:
    """With something put in, taken out, repeated or moved at one to four places."""
    for _ in range(rng.randint(1, 4)):
        at, kind = rng.randint(0, len(text)), rng.randrange(6)
        if kind < 2:
            text = text[:at] + f" {rng.choice(BROKEN)} " + text[at:]
        elif kind == 2:
            text = text[:at] + text[at + rng.randint(1, 5) :]
        elif kind == 3:
            lines = text.splitlines()
            text = "\n".join([*lines, rng.choice(lines or [""])]) + "\n"
        elif kind == 4:
            other = rng.randint(0, len(text))
            text = text[:at] + text[other : other + rng.randint(1, 20)] + text[at:]
        else:
            deep = rng.choice((30, 300, 3000))
            text = (
                text[:at] + rng.choice(("(", "[", "(" * deep, '["a"] ' * min(deep, 300), '("a"|"b") ' * 30)) + text[at:]
            )
    return text


def check(rng: random.Random, count: int = TEXTS) -> Note:
    """One grammar: a `DllmError`, or what lark accepts.

    Raises:
        AssertionError: other texts, another error, or too much time.
    """
    text = grammar_text(rng)
    whole = rng.random() < 0.7
    if not whole:
        text = broken(rng, text)
    began = time.process_time()
    try:
        grammar = Grammar.from_lark(text)
        grammar.accepts("")
    except DllmError as error:
        spent = time.process_time() - began
        assert spent < SECONDS, f"{text}\ntook {spent:.1f} s"
        assert len(str(error)) < 4000, f"{text}\nan error of {len(str(error))} characters"
        return Note(refused=1)
    asked = texts(rng, grammar.rules, count)
    spent = time.process_time()
    answers = [grammar.accepts(one) for one in asked]
    spent = time.process_time() - spent
    assert spent < SECONDS, f"{text}\ntook {spent:.1f} s to read {asked}"
    return _compared(text, asked, answers) if whole else Note(read=1)


def _compared(text: str, asked: list[str], answers: list[bool]) -> Note:
    """With lark's own answers, as far as it gives any in time."""
    seen = Note(grammars=1)
    try:
        with in_time(5.0):
            parser = Lark(text, parser="earley", lexer="basic", keep_all_tokens=True)
    except (LarkError, Hang) as error:
        return Note({f"lark gives no parser: {type(error).__name__}": 1})
    for one, found in zip(asked, answers, strict=True):
        try:
            with in_time(2.0):
                parser.parse(one)
            wanted = True
        except UnexpectedInput:
            wanted = False
        except Hang:
            seen["lark took too long"] += 1
            continue
        assert found == wanted, f"{text}\n{one!r}: lark says {wanted}"
        seen["sentences" if wanted else "no sentences"] += 1
    return seen


def texts(rng: random.Random, rules: Rules, count: int) -> list[str]:
    """Sentences, sentences that are changed in a place or two, and texts of an alphabet."""
    rules = Rules(rules.start, productive(rules.productions), rules.terminals, rules.ignored)
    sampler, found = TextSampler(rules), []
    for _ in range(count):
        kind = rng.randrange(4)
        text = "".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, 8)))
        if kind:
            text = sampler.text(rng.randrange(1 << 30), 8)
            text = text if rng.random() < 0.5 else "".join(text.split())
        for _ in range(max(0, kind - 1)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(("", rng.choice(ALPHABET))) + text[at + rng.randint(0, 1) :]
        found.append(text[:200])
    return found
