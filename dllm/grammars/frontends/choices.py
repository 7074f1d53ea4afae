"""Grammars of a regular expression, or of a list of texts: of one lexeme, if it takes few states of a scanner."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from dllm.errors import GrammarError
from dllm.grammars.frontends.by_character import rules_by_character
from dllm.grammars.frontends.pattern import parse_pattern
from dllm.grammars.regex import EMPTY, Alt, Chars, Minus, Regex, Repeat, Seq, alt, literal, nullable
from dllm.grammars.rules import Rules, Terminal
from dllm.grammars.tables.automata import deterministic, size
from dllm.grammars.tables.limits import limited

_TEXT = "TEXT"
LARGE = 2_000
"""States of an automaton, deterministic or not, from which on a pattern becomes rules over characters."""


def rules_from_regex(pattern: str) -> Rules:
    """A grammar of the texts that all of `pattern` matches, as `re.fullmatch` does.

    Raises:
        GrammarError: see `parse_pattern`; or no text matches.
    """
    tree = parse_pattern(pattern, what="the regular expression")
    if not _possible(tree):
        raise GrammarError(
            f"no text matches the regular expression {pattern!r:.200}; it has a class without characters"
        )
    try:
        return (rules_by_character(tree) if _large(tree) else None) or one_lexeme(tree)
    except RecursionError:
        raise GrammarError(f"the regular expression {pattern!r:.60} is nested too deeply; flatten its groups") from None


def _large(tree: Regex) -> bool:
    """Whether a pattern takes many states. Not where it takes more than the limit only because they double."""
    if size(tree) > LARGE:
        return True
    try:
        with limited(LARGE):
            deterministic([tree])
    except GrammarError:
        with suppress(GrammarError):
            return len(deterministic([tree]).table) > LARGE
    return False


def rules_from_choices(choices: Iterable[str]) -> Rules:
    """A grammar of exactly these texts; order and repetition mean nothing, and the empty text may be one of them.

    Raises:
        GrammarError: there are none, or one is not a valid Unicode text.
    """
    if isinstance(choices, str):
        raise GrammarError(
            f"choices must be several texts, but they are the one text {choices!r:.60}: write [{choices!r:.60}]"
        )
    try:
        texts = list(choices)
    except TypeError:  # arrays without dimensions have an __iter__, too
        kind = type(choices).__name__
        raise GrammarError(f"choices must be a list of texts, but it is {kind} {choices!r:.60}") from None
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise GrammarError(f"choices[{index}] must be a str, but it is {type(text).__name__} {text!r:.60}")
    if not texts:
        raise GrammarError("choices is empty, so no text could be written: give at least one text")
    return one_lexeme(alt(*map(literal, dict.fromkeys(texts))))


def one_lexeme(tree: Regex) -> Rules:
    """One terminal for `tree`; the empty text, which no terminal may match, is a production of its own."""
    if not nullable(tree):
        return Rules("start", {"start": ((_TEXT,),)}, (Terminal(_TEXT, tree),))
    if not _longer(tree):
        return Rules("start", {"start": ((),)}, ())
    return Rules("start", {"start": ((), (_TEXT,))}, (Terminal(_TEXT, Minus(tree, EMPTY)),))


def _possible(tree: Regex) -> bool:
    """Whether any text matches. Only for trees without intersection and difference, as patterns give them."""
    if isinstance(tree, Chars):
        return bool(tree.ranges)
    if isinstance(tree, Seq):
        return all(map(_possible, tree.parts))
    if isinstance(tree, Alt):
        return any(map(_possible, tree.options))
    return isinstance(tree, Repeat) and (tree.low == 0 or _possible(tree.body))


def _longer(tree: Regex) -> bool:
    """Whether a text of at least one character matches; for the same trees as `_possible`."""
    if isinstance(tree, Seq):
        return _possible(tree) and any(map(_longer, tree.parts))
    if isinstance(tree, Alt):
        return any(map(_longer, tree.options))
    if isinstance(tree, Repeat):
        return tree.high != 0 and _longer(tree.body)
    return _possible(tree)
