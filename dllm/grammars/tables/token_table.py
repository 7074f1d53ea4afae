"""What a token does to the scanner: from which state, what it emits, and which state it leads to.

From one state, tokens that emit the same and lead to the same state are one class. Tokens that are of one class from
every state are one group. There are few classes and groups and many tokens, so everything behind this works on those.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.tables import loops
from dllm.grammars.tables.fixed_tokens import FixedTokens, TokenSteps, other_of_given
from dllm.grammars.tables.flat import Bools, Ints, ragged, starts, unragged
from dllm.grammars.tables.scanner import Scanner
from dllm.grammars.tables.steps import DEAD, columns_of
from dllm.grammars.tables.token_classes import token_rows
from dllm.grammars.tables.vocabulary import Vocabulary

Labels = tuple[int, ...]
SHIFTS = 64
"""States that a counted character takes, up to which repetitions are looked for."""


class Endings(NamedTuple):
    """What the end of the text does.

    Attributes:
        final: `[S]`, the number of what it emits there, or DEAD.
        labels_at, labels: of number e, the labels `labels[labels_at[e]:labels_at[e + 1]]`.
    """

    final: Ints
    labels_at: Ints
    labels: Ints


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class TokenTable:
    """A scanner and a vocabulary, multiplied.

    Attributes:
        group_of: `[V]` int32, id -> group.
        class_of: `[S, G]` int16 or int32, state x group -> class of that state, or DEAD.
        at: `[S + 1]` int32; the classes of state s are `at[s]:at[s + 1]` of the next three, by emission.
        emitted: number of the emission; 0 is nothing. Behind `at[S]`, here and in `state`, what given tokens do that
            tokens of holes do not (`dllm.grammars.tables.fixed_tokens`).
        state: the state after it.
        first: the lowest id of the class.
        labels, labels_at: of emission e, the labels `labels[labels_at[e]:labels_at[e + 1]]`.
        parent: `[emissions]`, the emission that is shorter by the last label; it has a lower number.
        effort: `[labels]`, tokens that lead from the start, without a label, to where the next token emits this one, at
            least; what its lexeme takes if it begins with a token, at a guess.
    """

    scanner: Scanner
    vocabulary: Vocabulary
    group_of: Ints
    class_of: NDArray[np.int16] | NDArray[np.int32]
    at: Ints
    emitted: Ints
    state: Ints
    first: Ints
    labels: Ints
    labels_at: Ints
    parent: Ints
    effort: Ints

    @classmethod
    def make(cls, scanner: Scanner, vocabulary: Vocabulary) -> TokenTable:
        members, kind_of = columns_of(scanner.next, scanner.emits)
        steps, emits = (np.ascontiguousarray(one[:, members]) for one in (scanner.next, scanner.emits))
        origin, moved, fixed = _origins(steps, emits, vocabulary.longest)
        begun = np.flatnonzero(moved == 0).astype(np.int32)
        rows = token_rows((steps, emits, *ragged(scanner.emissions)), begun, vocabulary, kind_of)
        row = np.searchsorted(begun, origin)
        digests = np.zeros(rows.class_of.shape[1], dtype=np.uint64)
        loops.column_digests(rows.class_of, row, digests)
        group = np.argsort(digests, kind="stable")
        sizes = np.diff(rows.at)[row]
        at = starts(sizes)
        flat = np.arange(at[-1]) + np.repeat(rows.at[row] - at[:-1], sizes)
        emitted, state = rows.emitted[flat], rows.state[flat]
        state += np.where((emitted == 0) & ~fixed[state], np.repeat(moved, sizes), 0).astype(np.int32)
        other = other_of_given(scanner, at, state)
        emitted = np.concatenate([emitted, emitted[other]])
        state = np.concatenate([state, scanner.behind_given[state[other]]])
        return cls(
            scanner=scanner,
            vocabulary=vocabulary,
            group_of=np.argsort(group)[rows.kind_of].astype(np.int32),
            class_of=rows.class_of.take(group, axis=1)[row],
            at=at,
            emitted=emitted,
            state=state,
            first=rows.first[flat],
            labels=rows.labels,
            labels_at=rows.labels_at,
            parent=rows.parent,
            effort=_effort(len(scanner.labels), at, emitted, state, rows.labels, rows.labels_at),
        )

    @cached_property
    def onward(self) -> tuple[Ints, Ints]:
        """State -> the states that one token leads to, end to end; and where those of each state begin."""
        rows = [np.unique(self.state[low:high]) for low, high in pairwise(self.at.tolist())]
        return np.concatenate(rows).astype(np.int32), starts([len(row) for row in rows])

    @cached_property
    def fixed(self) -> FixedTokens:
        """What tokens do that stand on a canvas."""
        every = TokenSteps(**{name: getattr(self, name) for name in TokenSteps._fields})
        return FixedTokens(self.scanner, self.vocabulary.node, self.group_of, every)

    @cached_property
    def kept(self) -> dict[bytes, Any]:
        """What `dllm.grammars.search.strides` has made of it."""
        return {}

    @cached_property
    def emissions(self) -> tuple[Labels, ...]:
        """Emission -> its labels."""
        return unragged(self.labels, self.labels_at)

    @cached_property
    def _numbers(self) -> dict[Labels, int]:
        return {labels: number for number, labels in enumerate(self.emissions)}

    @cached_property
    def longer(self) -> tuple[Ints, Ints, Ints]:
        """The emissions longer than e by one label, ordered by it: at `[at[e]:at[e + 1]]` of the other two, that label
        and the number. Every beginning of an emission has a number."""
        last = self.labels[self.labels_at[2:] - 1]
        order = np.lexsort((last, self.parent[1:]))
        at = starts(np.bincount(self.parent[1:], minlength=len(self.parent)))
        return at, last[order], (order + 1).astype(np.int32)

    def matches(self, sentence: Labels) -> tuple[Ints, Ints]:
        """For each place in a sentence, where those of each begin, and the emissions that stand there."""
        found: tuple[Ints, Ints] = loops.matches(np.array(sentence, dtype=np.int32), *self.longer)
        return found

    @cached_property
    def end_emission(self) -> Ints:
        """`[S]`, the emission of the end of the text; one past the last if no token emits the like; DEAD if none."""
        found = [self._numbers.get(labels, len(self._numbers)) for labels in self.scanner.emissions]
        return np.array([DEAD if final == DEAD else found[final] for final in self.scanner.final], dtype=np.int32)

    @cached_property
    def endings(self) -> Endings:
        return Endings(self.scanner.final, *ragged(self.scanner.emissions))

    def step(self, state: int, token: int, *, given: bool = False) -> tuple[Labels, int]:
        """One token from one state: the labels emitted, and the state after it or DEAD.

        Args:
            given: it was on the canvas from the start (`Scanner.before_given`).
        """
        given = given and self.vocabulary.node[token] != 0  # without bytes it does nothing
        state = int(self.scanner.before_given[state]) if given else state
        found = DEAD if state == DEAD else int(self.class_of[state, self.group_of[token]])
        if found == DEAD:
            return (), DEAD
        found += int(self.at[state])
        after = int(self.state[found])
        return self.emissions[self.emitted[found]], int(self.scanner.behind_given[after]) if given else after


def _origins(steps: Ints, emits: Ints, longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Bools]:
    """By state: the first of those that are `_repeated`, how far behind it the state is, and which do not move."""
    alike, shift, fixed = _repeated(steps, emits, longest)
    origin = list(range(len(steps)))
    for state in np.flatnonzero(alike).tolist():
        origin[state] = origin[state - shift]
    found = np.array(origin)
    return found, np.arange(len(found)) - found, fixed


def _repeated(steps: Ints, emits: Ints, longest: int) -> tuple[Bools, int, Bools]:
    """`[S]` bool: states that do with every token what the state `shift` before them does, but that the states behind,
    where nothing is emitted, are later by as much; and that shift. Long counts have many such states.

    Last, `[S]` bool: states for which that does not hold, since no count is open there.

    Args:
        longest: bytes of the longest token.
    """
    count = len(steps)
    most = min(SHIFTS, count // 8)
    middle = np.arange(count // 2, count // 2 + most)
    none, fixed = np.zeros(count, dtype=bool), _silent_from_start(steps, emits)
    if fixed[middle].any():
        fixed = none
    found = [_alike(steps, emits, fixed, middle, shift).sum() for shift in range(1, most + 1)]
    if not found or 2 * max(found) < most:
        return none, 0, none
    shift = 1 + int(np.argmax(found))
    one_byte = none.copy()
    one_byte[:-shift] = _alike(steps, emits, fixed, np.arange(count - shift), shift)
    # from a state where so many bytes may lead to one that does not do the same, a token may too
    sources, columns = np.nonzero((steps != DEAD) & (emits == 0) & ~fixed[steps] & one_byte[:, None])
    edges = np.unique(sources * count + steps[sources, columns])
    sources, targets = np.divmod(edges, count)
    alike = one_byte.copy()
    for _ in range(longest):
        ended = sources[~alike[targets] & alike[sources]]
        if not len(ended):
            break
        alike[ended] = False
    return np.concatenate([none[:shift], alike[:-shift]]), shift, fixed


def _silent_from_start(steps: Ints, emits: Ints) -> Bools:
    """`[S]` bool: where some bytes lead from the start without a label."""
    found, front = np.zeros(len(steps), dtype=bool), np.zeros(1, dtype=np.int64)
    while len(front):
        found[front] = True
        after = np.unique(steps[front][(emits[front] == 0) & (steps[front] != DEAD)])
        front = after[~found[after]]
    return found


def _alike(steps: Ints, emits: Ints, fixed: Bools, states: NDArray[np.int64], shift: int) -> Bools:
    """Which of the states do with one byte what the state `shift` behind them does, but for that shift in silent steps
    to others than the `fixed` ones."""
    onward, emitted = steps[states], emits[states]
    moved = (onward != DEAD) & (emitted == 0) & ~fixed[onward]
    wanted = np.where(moved, onward + shift, onward)
    same = (wanted == steps[states + shift]) & (emitted == emits[states + shift])
    same &= ~(moved & fixed[np.where(moved, wanted, 0) % len(fixed)])
    found: Bools = same.all(axis=1) & ~fixed[states] & ~fixed[states + shift]
    return found


def _effort(count: int, at: Ints, emitted: Ints, state: Ints, labels: Ints, labels_at: Ints) -> Ints:
    """By label; 1 where it is not known."""
    found = np.full(count, 1 << 20, dtype=np.int32)
    front, met, steps = np.zeros(1, dtype=np.int64), np.zeros(len(at) - 1, dtype=bool), 0
    while len(front):
        met[front] = True
        sizes = at[front + 1] - at[front]
        own = np.arange(sizes.sum()) + np.repeat(at[front] - np.cumsum(sizes) + sizes, sizes)
        loud = np.unique(emitted[own][emitted[own] > 0])
        heads = labels[labels_at[loud]]
        found[heads] = np.minimum(found[heads], max(1, steps))
        after = np.unique(state[own][emitted[own] == 0])
        front, steps = after[~met[after]], steps + 1
    return np.where(found == 1 << 20, 1, found).astype(np.int32)
