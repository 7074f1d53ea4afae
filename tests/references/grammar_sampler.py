"""Random sentences of `Rules`, and a slow scanner that shares no code with the engine's.

The sampler is how the built-in grammars are judged: what it writes must please a parser that knows the language.
"""

import random
from collections.abc import Iterable

import networkx

from dllm.grammars.regex import Alt, Chars, Regex, Repeat, Seq
from dllm.grammars.rules import Rules, Terminal

Lexeme = tuple[frozenset[str], str]


class SlowScanner:
    """Maximal munch over characters, by sets of positions in the terminals' trees.

    Trees with intersections or differences are beyond it: the built-in grammars have none.
    """

    def __init__(self, terminals: Iterable[Terminal]) -> None:
        self.terminals = {terminal.name: terminal for terminal in terminals}
        self.moves: list[list[tuple[Chars, int]]] = []
        self.free: list[list[int]] = []
        self.ends: dict[int, str] = {}
        firsts = []
        for terminal in self.terminals.values():
            first, last = self._build(terminal.pattern)
            firsts.append(first)
            self.ends[last] = terminal.name
        self.start = self._closed(firsts)
        self.steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def _state(self) -> int:
        self.moves.append([])
        self.free.append([])
        return len(self.moves) - 1

    def _build(self, tree: Regex) -> tuple[int, int]:
        first, last = self._state(), self._state()
        if isinstance(tree, Chars):
            self.moves[first].append((tree, last))
        elif isinstance(tree, Seq):
            at = first
            for part in tree.parts:
                begin, end = self._build(part)
                self.free[at].append(begin)
                at = end
            self.free[at].append(last)
        elif isinstance(tree, Alt):
            for option in tree.options:
                begin, end = self._build(option)
                self.free[first].append(begin)
                self.free[end].append(last)
        else:
            assert isinstance(tree, Repeat)
            copies = [self._build(tree.body) for _ in range(max(tree.low, 1 if tree.high is None else tree.high))]
            at = first
            for count, (begin, end) in enumerate(copies):
                if count >= tree.low:
                    self.free[at].append(last)
                self.free[at].append(begin)
                at = end
            self.free[at].append(last)
            if tree.high is None:
                self.free[at].append(copies[-1][0])
        return first, last

    def _closed(self, states: Iterable[int]) -> frozenset[int]:
        found, todo = set(states), list(states)
        while todo:
            for other in self.free[todo.pop()]:
                if other not in found:
                    found.add(other)
                    todo.append(other)
        return frozenset(found)

    def _step(self, states: frozenset[int], char: str) -> frozenset[int]:
        key = (states, char)
        if key not in self.steps:
            code = ord(char)
            self.steps[key] = self._closed(
                [to for one in states for on, to in self.moves[one] if any(a <= code <= b for a, b in on.ranges)]
            )
        return self.steps[key]

    def munch(self, text: str, at: int) -> Lexeme | None:
        """The lexeme at `at`: the names of its terminals and its text; None where nothing matches."""
        states, best = self.start, None
        for end in range(at, len(text)):
            states = self._step(states, text[end])
            if not states:
                break
            names = [self.ends[one] for one in states if one in self.ends]
            if names:
                top = max(self.terminals[name].priority for name in names)
                kept = frozenset(name for name in names if self.terminals[name].priority == top)
                best = (kept, text[at : end + 1])
        return best

    def scan(self, text: str) -> list[Lexeme] | None:
        """All lexemes of `text`, or None where it cannot be split."""
        found: list[Lexeme] = []
        at = 0
        while at < len(text):
            lexeme = self.munch(text, at)
            if lexeme is None:
                return None
            found.append(lexeme)
            at += len(lexeme[1])
        return found


class Sampler:
    """Sentences of a grammar, the same ones for the same seed.

    Args:
        rules: no symbol may be without texts.
        words: texts that identifiers and the like should often have, by name of the terminal.
    """

    def __init__(self, rules: Rules, words: dict[str, list[str]] | None = None) -> None:
        self.rules = rules
        self.words = words or {}
        self.scanner = SlowScanner(rules.terminals)
        self.trees = {terminal.name: terminal.pattern for terminal in rules.terminals}
        self.ignored = sorted(rules.ignored)
        self.least = self._least()
        self.growing = self._growing()
        self.parents = self._parents()

    def _least(self) -> dict[str, int]:
        """Fewest lexemes of each symbol; without an entry: no sentence comes of it."""
        least = dict.fromkeys(self.trees, 1)
        changed = True
        while changed:
            changed = False
            for name, alternatives in self.rules.productions.items():
                sizes = [sum(least[part] for part in parts) for parts in alternatives if all(p in least for p in parts)]
                if sizes and min(sizes) < least.get(name, 1 << 30):
                    least[name] = min(sizes)
                    changed = True
        return least

    def _growing(self) -> frozenset[str]:
        """Symbols that a derivation may come back to, or that use one: their sentences have any length."""
        uses = networkx.DiGraph()
        for name, alternatives in self.rules.productions.items():
            uses.add_edges_from((name, part) for parts in alternatives for part in parts if part not in self.trees)
        loops = [some for some in networkx.strongly_connected_components(uses) if len(some) > 1]
        looping = set().union(*loops, (name for name in uses if uses.has_edge(name, name)))
        uses.add_edges_from((name, "a loop") for name in looping)
        return frozenset(networkx.ancestors(uses, "a loop") if looping else ())

    def _parents(self) -> dict[str, tuple[str, tuple[str, ...], int]]:
        """Nonterminal -> the production and the place in it by which the shortest sentences come to it."""
        around = {self.rules.start: 0}
        parents: dict[str, tuple[str, tuple[str, ...], int]] = {}
        todo = [self.rules.start]
        while todo:
            head = todo.pop(0)
            for parts in self.rules.productions[head]:
                if any(part not in self.least for part in parts):
                    continue
                for at, part in enumerate(parts):
                    cost = around[head] + sum(self.least[other] for other in parts) - self.least[part]
                    if part not in self.trees and cost < around.get(part, 1 << 30):
                        around[part] = cost
                        parents[part] = (head, parts, at)
                        todo.append(part)
        return parents

    def sentence(self, seed: int, size: int = 40) -> str | None:
        """A sentence of about up to `size` lexemes, or None where the one drawn cannot be written down."""
        rng = random.Random(seed)
        # from the start alone, what is nested deeply would hardly ever come up
        symbol = rng.choice(sorted(self.parents)) if self.parents and rng.random() < 0.7 else self.rules.start
        names = self._derive(rng, symbol, size)
        while symbol != self.rules.start:
            symbol, parts, at = self.parents[symbol]
            before = [name for part in parts[:at] for name in self._derive(rng, part, 0)]
            names = before + names + [name for part in parts[at + 1 :] for name in self._derive(rng, part, 0)]
        texts = [self._lexeme(rng, name) for name in names]
        if None in texts:
            return None
        return self._join(rng, names, [text or "" for text in texts])

    def _derive(self, rng: random.Random, start: str, size: int) -> list[str]:
        names: list[str] = []
        todo: list[tuple[str, int]] = [(start, size)]
        while todo:
            symbol, budget = todo.pop()
            if symbol in self.trees:
                names.append(symbol)
                continue
            usable = [parts for parts in self.rules.productions[symbol] if all(part in self.least for part in parts)]
            sizes = [sum(self.least[part] for part in parts) for parts in usable]
            limit = max(budget, min(sizes)) if symbol in self.growing else max(sizes)
            fitting = [parts for parts, need in zip(usable, sizes, strict=True) if need <= limit]
            weights = [1 + 3 * sum(part in self.growing for part in parts) if budget > 4 else 1 for parts in fitting]
            parts = rng.choices(fitting, weights)[0]
            spare = max(0, budget - sum(self.least[part] for part in parts))
            growing = [index for index, part in enumerate(parts) if part in self.growing]
            shares = [rng.random() for _ in growing]
            extra = {at: int(spare * share / sum(shares)) for at, share in zip(growing, shares, strict=True)}
            todo += [(part, self.least[part] + extra.get(at, 0)) for at, part in reversed(list(enumerate(parts)))]
        return names

    def _lexeme(self, rng: random.Random, name: str) -> str | None:
        """A text of the terminal that no terminal of a higher priority takes."""
        for _ in range(50):
            words = self.words.get(name)
            text = rng.choice(words) if words and rng.random() < 0.8 else draw(rng, self.trees[name])
            munched = self.scanner.munch(text, 0)
            if munched is not None and munched[1] == text and name in munched[0]:
                return text
        return None

    def _join(self, rng: random.Random, names: list[str], texts: list[str]) -> str | None:
        made = self._space(rng) if self.ignored and rng.random() < 0.1 else ""
        for index, text in enumerate(texts):
            made += text
            if index + 1 < len(texts):
                gap = self._gap(rng, text, texts[index + 1])
                if gap is None:
                    return None
                made += gap
        lexemes = self.scanner.scan(made)
        if lexemes is None:
            return None
        kept = [found for found, _ in lexemes if not found <= self.rules.ignored]
        if len(kept) != len(names) or not all(name in found for name, found in zip(names, kept, strict=True)):
            return None
        return made

    def _gap(self, rng: random.Random, left: str, right: str) -> str | None:
        choices = [""]
        if self.ignored:
            choices = ["", " "] if rng.random() < 0.6 else [" "]
            if rng.random() < 0.15:
                choices.insert(0, self._space(rng))
            choices.append("\n")
        for gap in choices:
            lexemes = self.scanner.scan(left + gap + right)
            if lexemes is not None:
                kept = [text.strip() for found, text in lexemes if not found <= self.rules.ignored]
                if kept == [left.strip(), right.strip()]:
                    return gap
        return None

    def _space(self, rng: random.Random) -> str:
        text = draw(rng, self.trees[rng.choice(self.ignored)])
        return text if rng.random() < 0.5 else text + "\n"


def draw(rng: random.Random, tree: Regex) -> str:
    """A random text of the tree, short and mostly ASCII."""
    if isinstance(tree, Chars):
        plain = [(low, min(high, 0x7E)) for low, high in tree.ranges if low <= 0x7E and high >= 0x20]
        ranges = plain if plain and rng.random() < 0.97 else list(tree.ranges)
        ranges = [(max(low, 0x20), high) for low, high in ranges if high >= 0x20] or ranges
        low, high = rng.choices(ranges, [min(high - low + 1, 200) for low, high in ranges])[0]
        return chr(rng.randint(low, high if rng.random() < 0.1 else min(high, low + 300)))
    if isinstance(tree, Seq):
        return "".join(draw(rng, part) for part in tree.parts)
    if isinstance(tree, Alt):
        return draw(rng, rng.choice(tree.options))
    assert isinstance(tree, Repeat)
    count = tree.low
    while (tree.high is None or count < tree.high) and rng.random() < 0.6:
        count += 1
    return "".join(draw(rng, tree.body) for _ in range(count))
