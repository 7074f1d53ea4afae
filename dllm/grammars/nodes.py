"""The nodes of a lattice, made once for each content, from the right end of a canvas on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.flat import Ints
from dllm.grammars.reach import Landings, Reach
from dllm.grammars.steps import DEAD
from dllm.grammars.table import TokenTable

SMALL = 4
"""Ways on that are copied where nodes are united; to a node with more of them a silent edge leads."""
Edge = tuple[int, int]
"""Label, node."""
Nodes = NDArray[np.int32]
"""`[S]`, scanner state -> node, at a place between two tokens; DEAD where no text goes on."""


@dataclass(frozen=True, slots=True)
class Content:
    """What leads on from a node.

    Attributes:
        final: whether the text may end there.
        edges: (label, node) of lexemes that what is given asks for.
        inserted: the same of lexemes that a gap puts in.
        silent: nodes that lead on for it without a label.
        breaking: the same, where free text is begun or ended.
    """

    final: bool
    edges: tuple[tuple[int, int], ...]
    inserted: tuple[tuple[int, int], ...] = ()
    silent: tuple[int, ...] = ()
    breaking: tuple[int, ...] = ()

    @property
    def ways(self) -> int:
        return len(self.edges) + len(self.inserted) + len(self.silent) + len(self.breaking)


class Builder:
    """Nodes, made once for each content, from the right end of a canvas on."""

    def __init__(self, table: TokenTable, reach: Reach) -> None:
        self.table, self.reach = table, reach
        self.contents: list[Content] = []
        self._known: dict[Content, int] = {}

    def node(
        self,
        final: bool,
        edges: Iterable[Edge] = (),
        inserted: Iterable[Edge] = (),
        silent: Iterable[int] = (),
        breaking: Iterable[int] = (),
    ) -> int:
        """The node of this content, or DEAD if nothing leads on from it."""
        calm = set(silent)
        content = Content(
            final,
            tuple(sorted(set(edges))),
            tuple(dict.fromkeys(inserted)),
            tuple(sorted(calm)),
            tuple(sorted(set(breaking) - calm)),
        )
        if not final and len(content.silent) + len(content.breaking) == content.ways <= 1:
            return (*content.silent, *content.breaking, DEAD)[0]
        found = self._known.get(content)
        if found is None:
            found = self._known[content] = len(self.contents)
            self.contents.append(content)
        return found

    def chain(self, labels: Sequence[int], target: int) -> int:
        """The node from which `labels` lead to `target`."""
        for label in reversed(labels):
            target = self.node(False, [(label, target)])
        return target

    def tree(self, ways: Iterable[tuple[Sequence[int], int]]) -> int:
        """The node from which any of these sequences of labels leads to its target."""
        here, onward = list[int](), dict[int, list[tuple[Sequence[int], int]]]()
        for labels, target in ways:
            if labels:
                onward.setdefault(labels[0], []).append((labels[1:], target))
            else:
                here.append(target)
        return self.union(here, [(label, self.tree(rest)) for label, rest in onward.items()])

    def union(self, nodes: Iterable[int], inserted: Sequence[Edge] = (), breaking: Iterable[int] = ()) -> int:
        """The node that leads on as any of `nodes` and `breaking` does, and over `inserted`."""
        found = set(nodes) - {DEAD}
        late = set(breaking) - found - {DEAD}
        if len(found) + len(late) == 1 and not inserted:
            return (found | late).pop()
        final, edges, own, silent, last = False, list[Edge](), list(inserted), list[int](), list[int]()
        for one in (*sorted(found), *sorted(late)):
            content = self.contents[one]
            final = final or content.final
            if content.ways > SMALL:
                (silent if one in found else last).append(one)
            else:
                (edges if one in found else own).extend(content.edges)
                own += content.inserted
                (silent if one in found else last).extend(content.silent)
                last += content.breaking
        return self.node(final, edges, own, silent, last)

    def nowhere(self) -> Nodes:
        return np.full(len(self.table.scanner.next), DEAD, dtype=np.int32)

    def ends(self, states: Iterable[int]) -> Nodes:
        """Where the text ends."""
        found, scanner = self.nowhere(), self.table.scanner
        for state in states:
            if scanner.final[state] != DEAD:
                found[state] = self.chain(scanner.emissions[scanner.final[state]], self.node(True, []))
        return found

    def either(self, one: Nodes, other: Nodes) -> Nodes:
        """By state, what leads on as in one or as in the other."""
        found = np.maximum(one, other)
        for state in np.flatnonzero((one != DEAD) & (other != DEAD)).tolist():
            found[state] = self.union([int(one[state]), int(other[state])])
        return found

    def fixed(self, states: Ints, after: Nodes, token: int) -> Nodes:
        """Before a token that is given."""
        found = self.nowhere()
        outcome_of, outcomes = self.table.outcomes(token)
        nodes = np.full(len(outcomes) + 1, DEAD, dtype=np.int32)  # the last is for DEAD
        for index in set(outcome_of[states].tolist()):
            if index != DEAD and after[outcomes[index][1]] != DEAD:
                nodes[index] = self.chain(outcomes[index][0], int(after[outcomes[index][1]]))
        found[states] = nodes[outcome_of[states]]
        return found

    def open(self, states: Ints, after: Nodes, most: int) -> Nodes:
        """Before one mask, whose token emits at most so many labels."""
        found, table = self.nowhere(), self.table
        short = table.lengths <= most
        for state in states.tolist():
            own = slice(table.at[state], table.at[state + 1])
            reached, emitted = after[table.state[own]], table.emitted[own]
            fine = (reached != DEAD) & short[emitted]
            pairs = np.unique(emitted[fine].astype(np.int64) << 32 | reached[fine])
            found[state] = self.tree([(table.emissions[pair >> 32], pair & 0xFFFFFFFF) for pair in pairs.tolist()])
        return found

    def closed(self, states: Ints, after: Nodes, most: int | None, calm: bool) -> tuple[Nodes, int]:
        """Before a closed gap, and the node inside of it, behind the first label.

        Args:
            most: labels that the gap may hold; None: any number.
            calm: no free text is begun in the gap that goes on behind it.
        """
        free = self.reach.free
        outs: dict[int, int] = {}  # where the gap may end, by the set of states it may end in

        def onward(landings: Landings, middle: int) -> list[Edge]:
            """Out of the gap first: what is put in is to be short."""
            for _, landed in landings:
                if landed not in outs:
                    own = self.reach.landed[landed]
                    quiet, loud = own[~free[own]], own[free[own]]
                    outs[landed] = self.union(
                        np.unique(after[quiet]).tolist(), breaking=[] if calm else np.unique(after[loud]).tolist()
                    )
            out = [(label, outs[landed]) for label, landed in landings if outs[landed] != DEAD]
            return [*out, *((label, middle) for label, _ in landings if middle != DEAD)]

        onward(self.reach.any, DEAD)  # makes the nodes to the right of the middle
        for state in states.tolist():
            onward(self.reach.first[state], DEAD)
        middle = DEAD
        if most is None:
            middle = len(self.contents)
            self.contents.append(Content(False, (), tuple(onward(self.reach.any, middle))))
        for _ in range((most or 1) - 1):
            middle = self.node(False, inserted=onward(self.reach.any, middle))
        found = self.nowhere()
        for state in states.tolist():
            own = self.reach.silent[state]
            others = own[~free[own]] if calm and not free[state] else own
            found[state] = self.union(
                np.unique(after[self.reach.calm[state]]).tolist(),
                onward(self.reach.first[state], middle),
                np.unique(after[others]).tolist(),
            )
        return found, middle
