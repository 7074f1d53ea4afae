"""Small grammars over small vocabularies, and what they allow, by enumeration. Shares no code with the engine.

Lexemes are found by derivatives of the terminals' trees, character by character; sentences by trying every way to cut
the lexemes in two, until nothing new is found.
"""

import itertools
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from functools import cached_property

from dllm.grammars.regex import (
    ANY,
    EMPTY,
    MAX_CHAR,
    NOTHING,
    Alt,
    And,
    Chars,
    Minus,
    Regex,
    Repeat,
    Seq,
    chars,
    literal,
    nullable,
    optional,
    plus,
    repeat,
    seq,
)
from dllm.grammars.rules import Rules, Terminal

ALPHABET = 'abc01. /*"-éè😀x'
"""Every character that the terminals drawn here tell apart, and another one."""
MASK = -1

Trees = tuple[Regex, ...]


class SlowLexer:
    """Maximal munch, as `dllm.grammars.rules` and `dllm.grammars.tables.scanner` describe it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.start: Trees = tuple(terminal.pattern for terminal in rules.terminals)
        self.letters = sorted({"\0", *itertools.chain.from_iterable(map(cuts, self.start))})
        """One of each kind of characters that the terminals do not tell apart: the lowest."""
        self.known: dict[tuple[Trees, str], Trees] = {}
        self.unending: dict[Trees, bool] = {}

    def step(self, trees: Trees, char: str) -> Trees:
        char = self.letters[bisect_right(self.letters, char) - 1]
        if (trees, char) not in self.known:
            self.known[trees, char] = tuple(derivative(tree, char) for tree in trees)
        return self.known[trees, char]

    def ended(self, trees: Trees) -> frozenset[str]:
        """Names of the terminals that what was read is a lexeme of, those of the highest priority."""
        found = [one for one, tree in zip(self.rules.terminals, trees, strict=True) if nullable(tree)]
        top = max((one.priority for one in found), default=0)
        return frozenset(one.name for one in found if one.priority == top)

    def alive(self, trees: Trees) -> bool:
        """Whether what was read is the beginning of a lexeme, or one."""
        return any(map(nullable, trees)) or any(self._finite_reach(trees, stop=lambda one: any(map(nullable, one))))

    def endless(self, trees: Trees) -> bool:
        """Whether what was read is no lexeme but can become one, and can stay like that however long it grows."""
        if trees not in self.unending:
            self.unending[trees] = self._unfinished(trees) and self._loops(trees)
        return self.unending[trees]

    def _unfinished(self, trees: Trees) -> bool:
        return not any(map(nullable, trees)) and self.alive(trees)

    def _finite_reach(self, trees: Trees, stop: Callable[[Trees], bool]) -> Iterator[bool]:
        seen, queue = {trees}, [trees]
        for here in queue:  # grows
            if stop(here):
                yield True
                return
            for char in self.letters:
                after = self.step(here, char)
                if after not in seen:
                    seen.add(after)
                    queue.append(after)

    def _loops(self, trees: Trees) -> bool:
        """Whether a walk over unfinished states from here comes back to where it was: a depth-first search."""
        done: set[Trees] = set()

        def visit(here: Trees, path: frozenset[Trees]) -> bool:
            if here in path:
                return True
            if here in done:
                return False
            onward = {self.step(here, char) for char in self.letters}
            found = any(visit(after, path | {here}) for after in onward if self._unfinished(after))
            done.add(here)
            return found

        return visit(trees, frozenset())

    def lexemes(self, text: str) -> tuple[frozenset[str], ...] | None:
        """Names of the terminals of each lexeme that is not ignored, or None where the text cannot be split."""
        found = self.split(text)
        if found is None:
            return None
        return tuple(names - self.rules.ignored for _, _, names in found if names - self.rules.ignored)

    def split(self, text: str) -> list[tuple[int, int, frozenset[str]]] | None:
        """Each lexeme: where it begins, where it ends, and the terminals that it may be, ignored ones too."""
        found: list[tuple[int, int, frozenset[str]]] = []
        start = 0
        while start < len(text):
            trees, end, names = self.start, None, frozenset[str]()
            for at in range(start, len(text)):
                trees = self.step(trees, text[at])
                if not self.alive(trees):
                    break
                if any(map(nullable, trees)):
                    end, names = at + 1, self.ended(trees)
                elif self.endless(trees):
                    end = None  # never given up
            if end is None:
                return None
            found.append((start, end, names))
            start = end
        return found

    def begun(self, text: str, start: int, end: int) -> int:
        """Where a lexeme begins, but for what is ignored by itself at its front."""
        found, trees = start, self.start
        for at in range(start, end - 1):
            trees = self.step(trees, text[at])
            if self.ended(trees) and self.ended(trees) <= self.rules.ignored - self.rules.text:
                found = at + 1
        return found


def cuts(tree: Regex) -> Iterator[str]:
    """Characters at which a set of the tree begins, or is over."""
    if isinstance(tree, Chars):
        yield from (chr(at) for low, high in tree.ranges for at in (low, high + 1) if at <= MAX_CHAR)
    elif isinstance(tree, Repeat):
        yield from cuts(tree.body)
    else:
        parts = (
            tree.parts if isinstance(tree, Seq) else tree.options if isinstance(tree, Alt) else (tree.left, tree.right)
        )
        yield from itertools.chain.from_iterable(map(cuts, parts))


def derivative(tree: Regex, char: str) -> Regex:
    """What may follow `char` in the texts of `tree` that begin with it."""
    if isinstance(tree, Chars):
        return EMPTY if any(low <= ord(char) <= high for low, high in tree.ranges) else NOTHING
    if isinstance(tree, Seq):
        first, rest = tree.parts[0] if tree.parts else NOTHING, _seq(tree.parts[1:])
        ways = [_seq([derivative(first, char), rest])]
        return _alt([*ways, derivative(rest, char)] if tree.parts and nullable(first) else ways)
    if isinstance(tree, Alt):
        return _alt([derivative(option, char) for option in tree.options])
    if isinstance(tree, Repeat):
        if tree.high == 0:
            return NOTHING
        left = Repeat(tree.body, max(0, tree.low - 1), None if tree.high is None else tree.high - 1)
        return _seq([derivative(tree.body, char), left])
    left, right = derivative(tree.left, char), derivative(tree.right, char)
    if left == NOTHING or (isinstance(tree, And) and right == NOTHING):
        return NOTHING
    return type(tree)(left, right)


def _seq(parts: Iterable[Regex]) -> Regex:
    made = seq(*parts)
    return NOTHING if isinstance(made, Seq) and NOTHING in made.parts else made


def _alt(options: Iterable[Regex]) -> Regex:
    """Normal up to order and repetition, so that a tree has finitely many derivatives."""
    flat = itertools.chain.from_iterable(one.options if isinstance(one, Alt) else [one] for one in options)
    kept = sorted(set(flat), key=repr)
    return kept[0] if len(kept) == 1 else Alt(tuple(kept))


class SlowGrammar:
    """Which texts belong to a grammar."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.lexer = rules, SlowLexer(rules)
        self.known: dict[tuple[frozenset[str], ...], bool] = {}

    def accepts(self, data: bytes) -> bool:
        try:
            lexemes = self.lexer.lexemes(data.decode())
        except UnicodeDecodeError:
            return False
        if lexemes is None:
            return False
        if lexemes not in self.known:
            self.known[lexemes] = self.derives(lexemes)
        return self.known[lexemes]

    def derives(self, lexemes: Sequence[frozenset[str]]) -> bool:
        """Whether the start symbol derives them: all (symbol, from, to), grown until nothing is new."""
        spans: dict[str, set[tuple[int, int]]] = {name: set() for name in self.rules.productions}
        for terminal in self.rules.terminals:
            spans[terminal.name] = {(at, at + 1) for at, names in enumerate(lexemes) if terminal.name in names}
        nothing = {(at, at) for at in range(len(lexemes) + 1)}
        grown = True
        while grown:
            grown = False
            for head, bodies in self.rules.productions.items():
                for body in bodies:
                    made = nothing
                    for name in body:
                        made = {(i, k) for i, j in made for j2, k in spans[name] if j == j2}
                    grown = grown or not made <= spans[head]
                    spans[head] |= made
        return (0, len(lexemes)) in spans[self.rules.start]


class World:
    """A grammar, tokens, and every canvas of up to `longest` tokens that can be completed.

    Ids of the tokens come first; then one without text.
    """

    def __init__(self, rules: Rules, tokens: Sequence[bytes | None], longest: int) -> None:
        self.rules, self.tokens, self.longest = rules, tuple(tokens), longest
        self.grammar = SlowGrammar(rules)
        self.usable = [index for index, token in enumerate(tokens) if token is not None]
        self._texts: dict[bytes, bool] = {}

    def accepts(self, ids: Sequence[int]) -> bool:
        data = b"".join(self.tokens[index] or b"" for index in ids)
        if data not in self._texts:
            self._texts[data] = self.grammar.accepts(data)
        return self._texts[data]

    @cached_property
    def sentences(self) -> list[tuple[int, ...]]:
        lengths = range(self.longest + 1)
        return [ids for n in lengths for ids in itertools.product(self.usable, repeat=n) if self.accepts(ids)]

    @cached_property
    def full(self) -> frozenset[tuple[int, ...]]:
        """Canvases that some token for each mask completes."""
        return frozenset(
            tuple(MASK if hidden else token for hidden, token in zip(holes, ids, strict=True))
            for ids in self.sentences
            for holes in itertools.product((False, True), repeat=len(ids))
        )

    def completable(self, ids: Sequence[int], ends: bool, chosen: Set[int] = frozenset()) -> bool:
        """With `ends`, the text may also end at any mask of the last run of masks, if that is at the canvas' end.

        chosen: positions of tokens that were put where a mask was.
        """
        ids = tuple(ids)
        return self._full(ids, chosen) or (ends and any(self._full(ids[:at], chosen) for at in self.stops(ids)))

    def _full(self, ids: tuple[int, ...], chosen: Set[int]) -> bool:
        return ids in self.full

    def stops(self, ids: Sequence[int]) -> range:
        """Positions where the text may end before the canvas does."""
        last = max((at + 1 for at, token in enumerate(ids) if token != MASK), default=0)
        return range(last, len(ids))

    def completes(
        self, ids: Sequence[int], found: Sequence[int | None], ends: bool, chosen: Set[int] = frozenset()
    ) -> bool:
        """Whether `found` completes the canvas; None is the end, and nothing stands behind it."""
        if len(found) != len(ids):
            return False
        stop = found.index(None) if None in found else len(found)
        if stop < len(found) and (not ends or stop not in self.stops(ids) or set(found[stop:]) != {None}):
            return False
        same = all(token in (MASK, other) for token, other in zip(ids[:stop], found[:stop], strict=True))
        return same and self.accepts([token for token in found[:stop] if token is not None])

    def admissible(self, ids: Sequence[int], at: int, ends: bool, chosen: Set[int] = frozenset()) -> set[int]:
        own = chosen | {at}
        return {token for token in self.usable if self.completable([*ids[:at], token, *ids[at + 1 :]], ends, own)}

    def may_end(self, ids: Sequence[int], at: int, ends: bool, chosen: Set[int] = frozenset()) -> bool:
        """Whether the text may end at a mask: then it may be left of that, in the masks before."""
        return ends and at in self.stops(ids) and self.completable(ids[:at], ends, chosen)


class GuardedWorld(World):
    """The same where no lexeme of `Rules.text` that a token of a hole begins may go on over a given token."""

    def __init__(self, rules: Rules, tokens: Sequence[bytes | None], longest: int) -> None:
        super().__init__(rules, tokens, longest)
        self._kept: dict[tuple[tuple[int, ...], frozenset[int]], bool] = {}
        self._by_canvas: dict[tuple[tuple[int, ...], frozenset[int]], bool] = {}

    @cached_property
    def _of_length(self) -> list[list[tuple[int, ...]]]:
        return [[ids for ids in self.sentences if len(ids) == length] for length in range(self.longest + 1)]

    def keeps(self, ids: tuple[int, ...], holes: frozenset[int]) -> bool:
        """Whether a sentence is one with the tokens at `holes` chosen and all others given."""
        if (ids, holes) not in self._kept:
            self._kept[ids, holes] = self._keeps(ids, holes)
        return self._kept[ids, holes]

    def _keeps(self, ids: tuple[int, ...], holes: frozenset[int]) -> bool:
        whose = [at for at, index in enumerate(ids) for _ in self.tokens[index] or b""]
        text = b"".join(self.tokens[index] or b"" for index in ids).decode()
        byte = [len(text[:at].encode()) for at in range(len(text) + 1)]
        found = []
        for start, end, names in self.grammar.lexer.split(text) or ():
            if names & self.rules.text:
                start = self.grammar.lexer.begun(text, start, end)
            tokens = whose[byte[start] : byte[end]]
            if tokens[0] in holes and not holes.issuperset(tokens):
                names = names - self.rules.text
                if not names:
                    return False
            if names - self.rules.ignored:
                found.append(names - self.rules.ignored)
        return self.grammar.derives(found)

    def _full(self, ids: tuple[int, ...], chosen: Set[int]) -> bool:
        holes = frozenset(at for at, token in enumerate(ids) if token == MASK or at in chosen)
        if (ids, holes) not in self._by_canvas:
            self._by_canvas[ids, holes] = ids in self.full and any(
                all(token in (MASK, other) for token, other in zip(ids, one, strict=True)) and self.keeps(one, holes)
                for one in self._of_length[len(ids)]
            )
        return self._by_canvas[ids, holes]

    def completes(
        self, ids: Sequence[int], found: Sequence[int | None], ends: bool, chosen: Set[int] = frozenset()
    ) -> bool:
        whole = tuple(token for token in found if token is not None)
        holes = frozenset(at for at in range(len(whole)) if ids[at] == MASK or at in chosen)
        return super().completes(ids, found, ends) and self.keeps(whole, holes)


L = literal
PATTERNS: tuple[Regex, ...] = (
    *(L("a"), L("b"), L("ab"), L("aa"), L("c"), L("é"), L("😀"), L("-"), L("--"), L("0"), L("a0")),
    *(plus(L("a")), plus(chars("ab")), seq(L("a"), repeat(L("b"))), seq(L("b"), L("a"), L("b")), repeat(L("a"), 2, 3)),
    # strings and comments, which are never given up; one that can be
    seq(L('"'), repeat(Minus(ANY, L('"'))), L('"')),
    seq(L("c"), repeat(chars("ab")), L("c")),
    seq(L("/"), L("*"), repeat(Minus(ANY, chars("*/"))), L("*"), L("/")),
    L("/"),
    seq(L("c"), optional(chars("ab")), L("c")),
    # numbers fall back: of `1.` the point is no part
    seq(plus(chars("01")), optional(seq(L("."), plus(chars("01"))))),
    seq(chars("01"), repeat(seq(L("."), chars("01")), 0, 2)),
    L("."),
    # characters that begin alike in UTF-8, beside an open end
    seq(L("a"), L("é"), repeat(L("b")), L("c")),
    plus(chars("éè")),
    And(plus(chars("abc")), Minus(repeat(chars("abc")), seq(repeat(chars("abc")), L("cc"), repeat(chars("abc"))))),
)
SPACE = plus(L(" "))
LINES = (
    seq(plus(L(" ")), L("b"), repeat(Minus(ANY, chars(" c"))), L("c")),
    seq(repeat(L(" ")), L("a"), repeat(L(" ")), optional(plus(chars("ab")))),
)
"""White space at the front."""
TOKENS = (
    *(b"a", b"b", b"c", b" ", b"0", b"1", b".", b"-", b'"', b"/", b"*", b"x"),
    *(b"ab", b"ba", b"aa", b" a", b"a ", b"bc", b"cb", b"cc", b"a b", b"abab", b"c c", b"--", b"- -", b"1.", b".0"),
    *(b'a"', b'"b', b"/*", b"*/", b"*/a", b'""', b"0 1", b"1.0.1"),
    *(b"\xc3", b"\xa9", b"\xa8", b"\xa9a", b"a\xc3", b"\xc3\xa9", b"\xf0\x9f", b"\x98\x80", b"\x98", b"\x80", b"\xe9"),
    *(b"", b"a", b"\xc3\xa9\xc3"),
)


def random_rules(rng: random.Random) -> Rules:
    """A grammar of one to five terminals and one to three nonterminals; it may have no text at all."""
    picked = rng.sample(PATTERNS, rng.randint(1, 5))
    terminals = [Terminal(f"T{i}", pattern, rng.choice([0, 0, 1])) for i, pattern in enumerate(picked)]
    names = [terminal.name for terminal in terminals]
    ignored = set[str]()
    if rng.random() < 0.5:
        terminals.append(Terminal("SPACE", SPACE))
        ignored.add("SPACE")
    if len(names) > 2 and rng.random() < 0.2:
        ignored.add(names.pop())
    heads = ["S", "A", "B"][: rng.randint(1, 3)]
    productions = {
        head: tuple(
            {
                tuple(rng.choice([*names, *heads]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3])))
                for _ in range(rng.randint(1, 3))
            }
        )
        for head in heads
    }
    return Rules(
        "S", {head: tuple(sorted(bodies)) for head, bodies in productions.items()}, tuple(terminals), frozenset(ignored)
    )


def random_guarded_rules(rng: random.Random) -> Rules:
    """The same, with some of the terminals as text."""
    rules = random_rules(rng)
    names = [terminal.name for terminal in rules.terminals]
    if "SPACE" in rules.ignored and rng.random() < 0.4:
        line = Terminal(names[0], rng.choice(LINES), rules.terminals[0].priority)
        rules = replace(rules, terminals=(line, *rules.terminals[1:]))
        return replace(rules, text=frozenset({names[0], *rng.sample(names, rng.randint(0, 1))}))
    return replace(rules, text=frozenset(rng.sample(names, rng.randint(1, len(names)))))


def random_tokens(rng: random.Random, rules: Rules, most: int) -> list[bytes | None]:
    """Tokens of which most are of use to the grammar, sometimes one of them twice, and ids without text."""
    used = {char for terminal in rules.terminals for char in ALPHABET if _holds(terminal.pattern, char)}
    useful = [token for token in TOKENS if set(token.decode(errors="ignore")) <= used]
    tokens: list[bytes | None] = list(rng.sample(useful, min(len(useful), rng.randint(1, most))))
    if len(tokens) < most and rng.random() < 0.2:
        tokens.append(rng.choice(tokens))
    if len(tokens) < most and rng.random() < 0.5:
        tokens.append(rng.choice(TOKENS))
    tokens.insert(rng.randint(0, len(tokens)), None)
    return tokens


def _holds(tree: Regex, char: str) -> bool:
    """Whether a character stands anywhere in the tree (but for the one set of almost all)."""
    if isinstance(tree, Chars):
        return tree != ANY and any(low <= ord(char) <= high for low, high in tree.ranges)
    if isinstance(tree, Seq):
        return any(_holds(part, char) for part in tree.parts)
    if isinstance(tree, Alt):
        return any(_holds(option, char) for option in tree.options)
    if isinstance(tree, Repeat):
        return _holds(tree.body, char)
    return _holds(tree.left, char) or _holds(tree.right, char)


def letters_of(rules: Rules) -> str:
    """Characters that stand in some terminal."""
    return "".join(c for c in ALPHABET if any(_holds(terminal.pattern, c) for terminal in rules.terminals))
