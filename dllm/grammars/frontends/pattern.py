"""Python's regular expressions as trees of `dllm.grammars.regex`; Python's own parser reads them.

A pattern says what a whole text is, as in `re.fullmatch`; what only guides a search (captures, greed) falls away, and
what is not an operator on sets of texts (back-references, atomic groups, ...) is refused by name.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from dllm.errors import GrammarError
from dllm.grammars.frontends.assertions import BEGIN, END, LookAround, Looks, without_assertions
from dllm.grammars.frontends.charsets import ECMA_LINE_ENDS, category, folded, spans_of
from dllm.grammars.regex import (
    ANY,
    EMPTY,
    SURROGATES,
    Alt,
    Chars,
    Minus,
    Ranges,
    Regex,
    Repeat,
    Seq,
    alt,
    inverted,
    plus,
    ranges_of,
    repeat,
    seq,
)

MAX_COUNT = 100_000
"""Of a repetition; what fewer cost is bounded by `dllm.grammars.tables.limits`."""
# the parser has no public name since Python 3.11, but it is the only reader that agrees with `re` on every corner
_parser: Any = import_module("re._parser")
_op: Any = import_module("re._constants")

_REFUSED = {
    "GROUPREF": "a back-reference to a group",
    "GROUPREF_EXISTS": "a conditional group (?(1)...)",
    "ATOMIC_GROUP": "an atomic group (?>...)",
    "POSSESSIVE_REPEAT": "a possessive repetition like a*+",
}
# what the ECMA dialect reads otherwise than Python does, or not at all
_NOT_ECMA = re.compile(
    r"(?P<escape>\\(?:[aAZUN]|[1-9]|0[0-9]))|(?P<pass>\\.)|(?P<empty>\[\^?\])|(?P<group>\(\?(?![:=!<]))"
    r"|(?P<count>\{,[0-9]*\})|(?P<open>\[\^?)|(?P<close>\])",
    re.DOTALL,
)
_NOT_ECMA_SAYS = {
    "escape": "this escape is not portable: write the character as \\xNN or \\uNNNN",
    "empty": "an empty class has another meaning in Python: write [\\s\\S] for any character, \\] for a bracket",
    "group": "only (...), (?:...) are groups here: inline flags and comments are not portable",
    "count": "write {0,n}: a count without its lower end is not portable",
}


def parse_pattern(
    pattern: str,
    *,
    ecma: bool = False,
    search: bool | None = None,
    lexeme: bool = False,
    flags: int = 0,
    what: str = "pattern",
) -> Regex:
    r"""The texts that a regular expression matches, as a tree.

    Args:
        pattern: in the syntax of `re`. Anchors may only stand at its very ends, or at the ends of its branches.
        ecma: read it as JSON Schema does: `\d` and `\w` are ASCII, `\s` and `.` are ECMA-262's, and what the two
            dialects read differently is refused.
        search: whether a match anywhere in the text is enough; without it the whole text must match, and there is no
            look-around. By default as `ecma` says, since JSON Schema searches.
        lexeme: the pattern of a scanner's terminal. There are no anchors, and a lazy repetition means the shortest
            text instead of any text: else `/\*(.|\n)*?\*/` would run to the last `*/` of the document.
        flags: of `re`, e.g. `re.IGNORECASE`.
        what: how to call the pattern in messages.

    Raises:
        GrammarError: a syntax error, as `re` reports it; a construct that has no meaning as a set of texts; a count
            over MAX_COUNT; a lone surrogate.
    """
    if not isinstance(pattern, str):
        raise GrammarError(f"{what} must be a str, but it is {type(pattern).__name__} {pattern!r:.200}")
    where = f"{what} {pattern!r:.200}"
    if ecma:
        _check_ecma(pattern, where)
    try:
        with warnings.catch_warnings():
            if ecma:  # of brackets that may one day mean more to Python
                warnings.simplefilter("ignore", FutureWarning)
            parsed = _parser.parse(pattern, flags)
        anywhere = ecma if search is None else search
        builder = _TreeBuilder(where, ecma, lexeme, looks=anywhere and not lexeme)
        tree = builder.sequence(parsed, parsed.state.flags)
        lines = bool(parsed.state.flags & re.MULTILINE)
        return without_assertions(tree, builder.looks, anywhere, lines, where)
    except (re.error, OverflowError, ValueError) as error:
        if isinstance(error, GrammarError):
            raise
        raise GrammarError(f"{where} is not a regular expression: {error}") from None
    except RecursionError:
        raise GrammarError(f"{where} is nested too deeply; flatten its groups") from None


def _check_ecma(pattern: str, where: str) -> None:
    in_class = False
    for match in _NOT_ECMA.finditer(pattern):
        kind = match.lastgroup or ""
        if kind in ("open", "close") or (kind == "empty" and in_class):  # inside a class, `[` is itself
            in_class = kind == "open"
        elif kind == "escape" or (kind in _NOT_ECMA_SAYS and not in_class):
            raise GrammarError(f"{where}: {match[0]!r} at {match.start()}: {_NOT_ECMA_SAYS[kind]}")


class _TreeBuilder:
    """From what `re._parser` gives to a tree in which assertions have trees of their own (`assertions`)."""

    def __init__(self, where: str, ecma: bool, lexeme: bool, looks: bool) -> None:
        self.looks = Looks()
        self.may_look = looks
        self.where = where
        self.ecma = ecma
        self.lexeme = lexeme

    def refuse(self, name: str, fix: str) -> GrammarError:
        return GrammarError(f"{self.where} has {name}, which a grammar cannot honour; {fix}")

    def sequence(self, items: Any, flags: int, after: Regex = EMPTY) -> Regex:
        """`items` and then `after`. What follows is passed down because a lazy repetition must know it."""
        tree = after
        for op, arg in reversed(items):
            tree = self.before(str(op), arg, flags, tree)
        return tree

    def before(self, op: str, arg: Any, flags: int, after: Regex) -> Regex:
        if op in _REFUSED:
            raise self.refuse(_REFUSED[op], "write the pattern without it")
        if op == "SUBPATTERN":
            _group, added, removed, inner = arg
            if added & _parser.TYPE_FLAGS:
                flags &= ~_parser.TYPE_FLAGS
            return self.sequence(inner, (flags | added) & ~removed, after)
        if op == "BRANCH" and self.lexeme and _has_lazy(arg[1]):
            return alt(*(self.sequence(branch, flags, after) for branch in arg[1]))
        if op == "MIN_REPEAT" and self.lexeme and arg[0] != arg[1]:
            if not _settled(after):
                raise self.refuse(
                    "a lazy repetition that more of variable length follows",
                    "say what it may not contain instead, e.g. [^;]* for .*? before ;",
                )
            run = seq(self.repetition(arg, flags), after)
            return Minus(run, seq(run, plus(ANY)))
        return seq(self.single(op, arg, flags), after)

    def single(self, op: str, arg: Any, flags: int) -> Regex:
        if op == "BRANCH":
            return alt(*(self.sequence(branch, flags) for branch in arg[1]))
        if op in ("MAX_REPEAT", "MIN_REPEAT"):
            return self.repetition(arg, flags)
        if op == "AT":
            return self.anchor(str(arg), flags)
        if op in ("ASSERT", "ASSERT_NOT"):
            negative = op == "ASSERT_NOT"
            if not self.may_look:
                name = "negative look-around (?!...) or (?<!...)" if negative else "look-around (?=...) or (?<=...)"
                raise self.refuse(name, "write the pattern without it")
            return self.looks.add(LookAround(self.sequence(arg[1], flags), arg[0] > 0, negative))
        if op == "ANY":
            if flags & re.DOTALL:
                return ANY
            return Chars(inverted(ECMA_LINE_ENDS if self.ecma else spans_of("\n")))
        if op == "LITERAL":
            return Chars(self.members([(op, arg)], flags))
        if op == "NOT_LITERAL":
            return Chars(inverted(self.members([("LITERAL", arg)], flags)))
        assert op == "IN", f"re._parser gave {op}"
        if str(arg[0][0]) == "NEGATE":
            return Chars(inverted(self.members(arg[1:], flags)))
        return Chars(self.members(arg, flags))

    def repetition(self, arg: Any, flags: int) -> Regex:
        low, high, items = arg
        top = None if high is _op.MAXREPEAT else int(high)
        if max(low, top or 0) > MAX_COUNT:
            count = max(low, top or 0)
            raise self.refuse(f"the count {count}", f"counts may be at most {MAX_COUNT}; use * or + for no bound")
        if self.lexeme and _has_lazy([items]):
            raise self.refuse("a lazy repetition inside a repetition", "say what it may not contain instead")
        return repeat(self.sequence(items, flags), int(low), top)

    def anchor(self, name: str, flags: int) -> Regex:
        if "BOUNDARY" in name:
            if not self.may_look:
                raise self.refuse("a word boundary \\b or \\B", "write the pattern without it")
            word = category("CATEGORY_WORD", self.ecma or bool(flags & re.ASCII), self.ecma)
            return self.looks.boundary(word, "NON_BOUNDARY" in name, self.ecma)
        if self.lexeme:
            raise self.refuse("an anchor", "the scanner decides where a terminal begins: remove ^, $, \\A and \\Z")
        return BEGIN if "BEGINNING" in name else END

    def members(self, items: Sequence[tuple[Any, Any]], flags: int) -> Ranges:
        """The characters of a class, before it is negated."""
        ascii_only = self.ecma or bool(flags & re.ASCII)
        pairs: list[tuple[int, int]] = []
        classes: list[tuple[int, int]] = []
        for op, arg in items:
            if str(op) == "CATEGORY":
                classes += category(str(arg), ascii_only, self.ecma)
                continue
            low, high = (arg, arg) if str(op) == "LITERAL" else arg
            if SURROGATES[0] <= low and high <= SURROGATES[1]:
                raise self.refuse("a lone surrogate", "no UTF-8 text can hold one: write the whole character")
            pairs.append((low, high))
        if flags & re.IGNORECASE:
            pairs += folded(pairs, ascii_only)
        return ranges_of(pairs + classes)


def _has_lazy(branches: Any) -> bool:
    """Whether a lazy repetition stands anywhere in these sequences."""
    for op, arg in itertools.chain.from_iterable(branches):
        name = str(op)
        if name == "MIN_REPEAT" and arg[0] != arg[1]:
            return True
        inner = arg[1] if name == "BRANCH" else [arg[3]] if name == "SUBPATTERN" else []
        if _has_lazy([arg[2]] if name.endswith("_REPEAT") else inner):
            return True
    return False


def _settled(tree: Regex) -> bool:
    """Whether the length of what follows a lazy repetition is fixed, up to another lazy repetition at its end."""
    if isinstance(tree, Seq) and tree.parts and isinstance(tree.parts[-1], Minus):
        tree = Seq(tree.parts[:-1])
    return isinstance(tree, Minus) or width(tree) is not None


def width(tree: Regex) -> int | None:
    """The length of all texts of `tree`, or None where they differ."""
    if isinstance(tree, Chars):
        return 1
    if isinstance(tree, Seq):
        widths = [width(part) for part in tree.parts]
        return None if None in widths else sum(width or 0 for width in widths)
    if isinstance(tree, Alt):
        options = {width(option) for option in tree.options}
        return options.pop() if len(options) == 1 else None
    if isinstance(tree, Repeat) and tree.low == tree.high:
        once = width(tree.body)
        return None if once is None else once * tree.low
    return None
