"""Generalised LR recognition of sentences in the normal form of `dllm.grammars.tables.cfg`.

What has been read is a graph of stacks (Tomita 1985, *Efficient Parsing for Natural Language*).

Right-hand sides have one or two symbols and none is empty, so a state is what it has read whole and what it waits for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from dllm.grammars.tables.cfg import Cfg

Bits = int
"""A set of symbols: bit s is symbol s."""


@dataclass(eq=False, slots=True)
class ParserState:
    """An LR(0) state: what stands behind one symbol.

    Attributes:
        short: heads of which that symbol is all.
        long: heads of which it is the second part, and is all.
        waits: (head, second part) of which it is the first part.
        begins: heads that may begin here.
        after: symbol -> the state behind it, or None; as far as it was asked for.
    """

    short: tuple[int, ...]
    long: tuple[int, ...]
    waits: tuple[tuple[int, int], ...]
    begins: Bits
    after: dict[int, ParserState | None] = field(default_factory=dict)


class States:
    """The LR(0) states of a grammar, made as they are met, and what may follow each symbol."""

    def __init__(self, grammar: Cfg) -> None:
        self.grammar = grammar
        self._unit: dict[int, list[int]] = {}
        self._left: dict[int, list[tuple[int, int]]] = {}
        for head, body in grammar.unit:
            self._unit.setdefault(body, []).append(head)
        for head, left, right in grammar.binary:
            self._left.setdefault(left, []).append((head, right))
        self._begun = self._beginnings()
        self.follow = self._follow()
        self._known: dict[object, ParserState] = {}
        self.start = ParserState((), (), (), self._begun[grammar.start])

    def _beginnings(self) -> list[Bits]:
        """Symbol -> itself and all that it may begin with."""
        onward: list[set[int]] = [set() for _ in self.grammar.names]
        for head, left in (*self.grammar.unit, *((head, left) for head, left, _ in self.grammar.binary)):
            onward[head].add(left)
        found = [1 << symbol for symbol in range(len(onward))]
        return _closed(found, onward)

    def _follow(self) -> list[Bits]:
        """Symbol -> the terminals that may stand behind it."""
        terminals = (1 << self.grammar.terminals) - 1
        found = [0] * len(self.grammar.names)
        above: list[set[int]] = [set() for _ in found]
        for head, left, right in self.grammar.binary:
            found[left] |= self._begun[right] & terminals
            above[right].add(head)
        for head, body in self.grammar.unit:
            above[body].add(head)
        return _closed(found, above)

    def behind(self, state: ParserState, symbol: int) -> ParserState | None:
        """The state behind one more symbol, or None where it cannot stand."""
        if symbol not in state.after:
            short = [head for head in self._unit.get(symbol, ()) if state.begins >> head & 1]
            waits = [pair for pair in self._left.get(symbol, ()) if state.begins >> pair[0] & 1]
            long = [head for head, second in state.waits if second == symbol]
            state.after[symbol] = self._state(short, long, waits) if short or waits or long else None
        return state.after[symbol]

    def _state(self, short: Iterable[int], long: Iterable[int], waits: Iterable[tuple[int, int]]) -> ParserState:
        key = (tuple(sorted(set(short))), tuple(sorted(set(long))), tuple(sorted(set(waits))))
        if key not in self._known:
            begins = reduce(or_, (self._begun[second] for second in {second for _, second in key[2]}), 0)
            self._known[key] = ParserState(*key, begins)
        return self._known[key]


def _closed(own: list[Bits], onward: list[set[int]]) -> list[Bits]:
    """Each with all that is reached from it."""
    found, before = list(own), [list[int]() for _ in own]
    for symbol, others in enumerate(onward):
        for other in others:
            before[other].append(symbol)
    queue = list(range(len(own)))
    while queue:
        symbol = queue.pop()
        for other in before[symbol]:
            if found[symbol] & ~found[other]:
                found[other] |= found[symbol]
                queue.append(other)
    return found


@dataclass(eq=False, slots=True)
class _Node:
    """A state behind a place in the text, and the nodes that it may stand on."""

    state: ParserState
    below: list[_Node] = field(default_factory=list)


class Parse:
    """A beginning of a text, as far as some sentence begins with it."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._bottom = _Node(states.start)
        self._top: dict[ParserState, _Node] = {states.start: self._bottom}

    def read(self, symbols: Iterable[int]) -> bool:
        """One more lexeme, which may be any of these terminals; where none fits, False, and nothing has changed."""
        found: dict[ParserState, _Node] = {}
        wanted = list(symbols)
        for node in self._reduced(reduce(or_, (1 << symbol for symbol in wanted), 0)):
            for symbol in wanted:
                after = self._states.behind(node.state, symbol)
                if after is not None:
                    found.setdefault(after, _Node(after)).below.append(node)
        if found:
            self._top = found
        return bool(found)

    def done(self) -> bool:
        """Whether a sentence may end here."""
        grammar = self._states.grammar
        if self._bottom in self._top.values():
            return grammar.may_be_empty
        return any(
            grammar.start in heads and self._bottom in nodes
            for node in self._reduced(None)
            for heads, nodes in (
                (node.state.short, node.below),
                (node.state.long, [under for one in node.below for under in one.below]),
            )
        )

    def expected(self) -> set[int]:
        """The terminals that may come next."""
        terminals = (1 << self._states.grammar.terminals) - 1
        found = 0
        for node in self._reduced(None):
            found |= node.state.begins & terminals
        return {symbol for symbol in range(self._states.grammar.terminals) if found >> symbol & 1}

    def _reduced(self, ahead: Bits | None) -> list[_Node]:
        """The nodes of this place, those included that what was read whole leads to, if `ahead` may follow it."""
        states, follow = self._states, self._states.follow
        nodes = {state: _Node(state, list(node.below)) for state, node in self._top.items()}
        if self._bottom in self._top.values():
            return [self._bottom]
        queue = [(node, under) for node in nodes.values() for under in node.below]
        while queue:
            node, under = queue.pop()
            state = node.state
            for heads, bases in ((state.short, (under,)), (state.long, under.below)):
                for head in heads:
                    if ahead is not None and not follow[head] & ahead:
                        continue
                    for base in bases:
                        after = states.behind(base.state, head)
                        if after is None:
                            continue
                        known = nodes.get(after)
                        if known is None:
                            known = nodes[after] = _Node(after)
                        if base not in known.below:
                            known.below.append(base)
                            queue.append((known, base))
        return list(nodes.values())
