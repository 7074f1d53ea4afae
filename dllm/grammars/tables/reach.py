"""Where the bytes of a gap can lead in a scanner, whatever they are and however many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dllm.grammars.tables import loops
from dllm.grammars.tables.flat import Bools, Ints, Words, bits, ragged, unpacked
from dllm.grammars.tables.scanner import Emission, Scanner
from dllm.grammars.tables.steps import DEAD, columns_of, ways_of

FREE = 90
"""Bytes that a state takes without a label, from which on it is inside free text: a string, a comment."""


class ReachSets(NamedTuple):
    """A `Reach` with its sets of states as rows of bits, as the search takes it into its loops.

    Attributes:
        silent, calm, landed: `[S, words]`, `[S, words]` and `[sets, words]`.
        free: `[words]`.
        later: `[1]`, `Reach.any`.
        after, plain: as there, and so are all others.
    """

    silent: Words
    calm: Words
    landed: Words
    free: Words
    first: Ints
    later: Ints
    step_label: Ints
    step_landed: Ints
    step_at: Ints
    after: Ints
    plain: Bools


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Reach:
    """What the closed form of a gap is made of. Sets of states are rows of bits (`[.., words]`); rows of steps of
    different lengths lie end to end, those of x at `step_at[x]`.

    Attributes:
        silent: by state, the states that some bytes lead to without a label, itself among them.
        calm: the same, but the lexeme stays the same, or is begun without free text.
        first: `[S]`, which row of steps says what may come first.
        any: which row of steps says what may come later, from anywhere.
        step_label, step_landed, step_at: rows of steps: a label, and which set of states some bytes lead to behind it.
        landed: those sets.
        after: states that some bytes lead to, from anywhere, behind a label.
        free: `[S]` bool, states inside free text: a string, a comment.
        leads: `[S, labels + 1]` bool, whether a label may come next after a state; last, whether the text may end.
        plain: `[S]` bool, states enough to put any sentence on any canvas, but for lexemes that a fixed token cuts,
            and for those that take more than one token.
        paths: `[S, labels + 1]` bool, those, and for each label the states that a short lexeme with it goes through.
    """

    silent: Words
    calm: Words
    first: Ints
    any: Ints
    step_label: Ints
    step_landed: Ints
    step_at: Ints
    landed: Words
    after: Ints
    free: Bools
    leads: Bools
    plain: Bools
    paths: Bools

    @classmethod
    def make(cls, scanner: Scanner) -> Reach:
        silent, loud = _steps(scanner)
        count = len(silent)
        closure = _Closure(silent)
        closed = closure.of(bits(np.arange(count), np.arange(count + 1), count))
        rows = _StepRows(closed)
        steps = {step for own in loud for step in own}
        inner = {(label, None) for labels, _ in steps for label in labels[:-1]}
        firsts = [{(labels[0], after if len(labels) == 1 else None) for labels, after in own} for own in loud]
        first = rows.behind(firsts, closure)
        within = _reached(silent, loud, {after for _, after in steps})  # behind a label
        outer = {(labels[-1], after) for labels, after in steps if len(labels) > 1}
        later = rows.of(inner | outer | {(labels[-1], after) for state in within for labels, after in loud[state]})
        step_at, step_label = ragged([tuple(label for label, _ in row) for row in rows.made.values()])
        step_landed = np.array([landed for row in rows.made.values() for _, landed in row], dtype=np.int32)
        reached = np.bitwise_or.reduce(closed[sorted({state for _, state in steps})], axis=0)
        quiet = np.array([not emission for emission in scanner.emissions])
        room = ((scanner.next != DEAD) & quiet[scanner.emits]).sum(axis=1)  # bytes that are taken without a label
        free: Bools = room >= FREE
        leads = _leads(scanner, _Closure(_beside_given(scanner, silent)) if scanner.guards else closure, firsts)
        chosen = _chosen(loud, room, leads, _reached(silent, loud, {0}))
        plain = free.copy()
        plain[[0, *chosen.values()]] = True
        return cls(
            silent=closed,
            calm=_calm(silent, free),
            first=np.array(first, dtype=np.int32),
            any=np.array([later], dtype=np.int32),
            step_label=step_label,
            step_landed=step_landed,
            step_at=step_at,
            landed=np.array(list(rows.sets.values()), dtype=np.uint64).reshape(-1, closed.shape[1]),
            after=np.flatnonzero(unpacked(reached, count)).astype(np.int32),
            free=free,
            leads=leads,
            plain=plain,
            paths=_paths(silent, loud, chosen, plain, leads.shape[1]),
        )

    @cached_property
    def sets(self) -> ReachSets:
        count = len(self.free)
        return ReachSets(
            silent=self.silent,
            calm=self.calm,
            landed=self.landed,
            free=bits(np.flatnonzero(self.free), np.array([0, self.free.sum()]), count)[0],
            first=self.first,
            later=self.any,
            step_label=self.step_label,
            step_landed=self.step_landed,
            step_at=self.step_at,
            after=self.after,
            plain=self.plain,
        )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(one.name for one in fields(cls))


Loud = Sequence[set[tuple[Emission, int]]]
"""By state: (labels, state after) of the bytes that emit labels."""
Step = tuple[int, int | None]
"""A label, and the state behind it; None where another label follows at once."""
Landings = tuple[tuple[int, int], ...]


def _steps(scanner: Scanner) -> tuple[list[list[int]], Loud]:
    """What one byte does: by state, where it leads without a label; and with labels."""
    members, _ = columns_of(scanner.next, scanner.emits)
    silent: list[list[int]] = []
    loud: list[set[tuple[Emission, int]]] = []
    for pairs in ways_of(scanner.next[:, members], scanner.emits[:, members]):
        own = [(scanner.emissions[emitted], after) for emitted, after in pairs]
        silent.append([after for emission, after in own if not emission])  # the emission that is empty is one
        loud.append({(emission, after) for emission, after in own if emission})
    return silent, loud


def _beside_given(scanner: Scanner, silent: Sequence[Sequence[int]]) -> list[list[int]]:
    """Where bytes lead without a label, be they given or not."""
    beside = zip(scanner.before_given.tolist(), scanner.behind_given.tolist(), strict=True)
    return [[*own, *({*more} - {DEAD})] for own, more in zip(silent, beside, strict=True)]


def _leads(scanner: Scanner, closure: _Closure, firsts: Sequence[set[Step]]) -> Bools:
    """`[S, labels + 1]`, see `Reach`."""
    width = len(scanner.labels) + 1
    own: list[tuple[int, ...]] = []
    for state, steps in enumerate(firsts):
        found = {label for label, _ in steps}
        if scanner.final[state] != DEAD:
            emission = scanner.emissions[scanner.final[state]]
            found.add(emission[0] if emission else width - 1)
        own.append(tuple(sorted(found)))
    at, flat = ragged(own)
    return unpacked(closure.of(bits(flat, at, width)), width)


def _calm(silent: list[list[int]], free: Bools) -> Words:
    """`[S, words]`, see `Reach`."""
    count = len(silent)
    apart = [own if state == 0 else [after for after in own if after] for state, own in enumerate(silent)]
    found = _Closure([[], *apart[1:]]).of(bits(np.arange(count), np.arange(count + 1), count))
    begun, queue = {0}, [0]  # the start leads through what is not free
    for state in queue:  # grows
        for after in silent[state]:
            if after not in begun and not free[after]:
                begun.add(after)
                queue.append(after)
    found[0] = bits(np.array(sorted(begun)), np.array([0, len(begun)]), count)[0]
    return found


def _reached(silent: Sequence[Sequence[int]], loud: Loud, begun: Set[int]) -> set[int]:
    """The states that bytes of holes lead to from some, those among them."""
    found, queue = set(begun), [*begun]
    for state in queue:  # grows
        for after in (*silent[state], *(after for _, after in loud[state])):
            if after not in found:
                found.add(after)
                queue.append(after)
    return found


def _chosen(loud: Loud, room: NDArray[np.int64], leads: Bools, reached: Set[int]) -> dict[int, int]:
    """For each label a state that emits it next and can do little else."""
    choices = leads.sum(axis=1)
    next_to: dict[int, set[int]] = {}
    for state in sorted(reached - {0}):
        for labels, _ in loud[state]:
            next_to.setdefault(labels[0], set()).add(state)
    return {label: min(sorted(own), key=lambda state: (choices[state], -room[state])) for label, own in next_to.items()}


def _paths(silent: Sequence[Sequence[int]], loud: Loud, chosen: Mapping[int, int], plain: Bools, width: int) -> Bools:
    """`[S, labels + 1]`, see `Reach`: for each label, the shortest way from the start to the state that was chosen; and
    for all, from behind it back to the start, where a lexeme is known before it is over."""
    back: list[list[int]] = [[] for _ in silent]
    for state, own in enumerate(silent):
        for after in own:
            back[after].append(state)
    before, behind = _shortest(silent), _shortest(back)
    found: Bools = np.repeat(plain[:, None], width, axis=1)
    for label, state in chosen.items():
        found[_way(before, state), label] = True
        landed = sorted(after for labels, after in loud[state] if labels[0] == label)
        found[min((_way(behind, after) for after in landed), key=len)] = True
    return found


def _shortest(steps: Sequence[Sequence[int]]) -> dict[int, int]:
    """From the start on: by state, the one before it on the shortest way there."""
    before, queue = {0: 0}, [0]
    for state in queue:  # grows
        for after in steps[state]:
            if after not in before:
                before[after] = state
                queue.append(after)
    return before


def _way(before: Mapping[int, int], state: int) -> list[int]:
    """The states on the shortest way, that one included and the start not; none where there is no way."""
    found: list[int] = []
    while state and state in before:
        found.append(state)
        state = before[state]
    return found


class _StepRows:
    """Rows of steps and the sets of states they land in, each once, numbered as they are met."""

    def __init__(self, closed: Words) -> None:
        self._closed = closed
        self._known: dict[frozenset[Step], int] = {}
        self._numbers: dict[bytes, int] = {}
        self.made: dict[int, Landings] = {}
        self.sets: dict[int, Words] = {}

    def of(self, steps: Iterable[Step]) -> int:
        key = frozenset(steps)
        if key not in self._known:
            found: dict[int, list[int]] = {}
            for label, state in key:
                own = found.setdefault(label, [])
                if state is not None:
                    own.append(state)
            self._known[key] = len(self.made)
            self.made[len(self.made)] = tuple((label, self._set(own)) for label, own in sorted(found.items()))
        return self._known[key]

    def _set(self, states: Sequence[int]) -> int:
        landed: Words = np.bitwise_or.reduce(self._closed[states], axis=0)
        number = self._numbers.setdefault(landed.tobytes(), len(self._numbers))
        self.sets[number] = landed
        return number

    def behind(self, firsts: Sequence[set[Step]], closure: _Closure) -> list[int]:
        """By state: the row of the steps that some bytes without a label lead to."""
        steps = sorted({step for own in firsts for step in own}, key=repr)
        number = {step: index for index, step in enumerate(steps)}
        at, flat = ragged([tuple(number[step] for step in own) for own in firsts])
        reached = closure.of(bits(flat, at, len(steps)))
        made: dict[bytes, int] = {}
        for row in reached:
            if row.tobytes() not in made:
                made[row.tobytes()] = self.of(steps[at] for at in np.flatnonzero(unpacked(row, len(steps))).tolist())
        return [made[row.tobytes()] for row in reached]


class _Closure:
    """What any number of steps lead to, none included: strongly connected components, the last ones first."""

    def __init__(self, steps: Sequence[Sequence[int]]) -> None:
        components = [tuple(own) for own in _components(steps)]
        ahead = [
            tuple(steps[own[0]])
            if len(own) == 1  # itself is no harm
            else tuple({after for state in own for after in steps[state]}.difference(own))
            for own in components
        ]
        (member_at, members), (ahead_at, onward) = ragged(components), ragged(ahead)
        self._rows = (member_at, members, ahead_at, onward)

    def of(self, own: Words) -> Words:
        """`[n, words]`: for each state, the bits of all states that it leads to."""
        found = own.copy()
        loops.close(*self._rows, found)
        return found


def _components(steps: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Strongly connected components (Tarjan), each behind those that it leads to."""
    count = 0
    met, low = [0] * len(steps), [0] * len(steps)  # 0: not met
    waiting: list[int] = []
    for first in range(len(steps)):
        stack = [] if met[first] else [(first, iter(steps[first]))]
        while stack:
            state, onward = stack[-1]
            if not met[state]:
                count += 1
                met[state] = low[state] = count
                waiting.append(state)
            for after in onward:
                if not met[after]:
                    stack.append((after, iter(steps[after])))
                    break
                low[state] = min(low[state], low[after])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[state])
                if low[state] == met[state]:
                    at = len(waiting) - 1
                    while waiting[at] != state:
                        at -= 1
                    component = waiting[at:]
                    del waiting[at:]
                    for one in component:
                        low[one] = len(steps) + 1  # no longer on the way
                    yield component
