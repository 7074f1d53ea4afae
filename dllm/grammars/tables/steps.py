"""Tables of steps, state x column -> state: what automata and the scanner are made smaller with."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

DEAD = -1
"""Where no text goes on."""


def columns_of(*tables: NDArray[np.int32]) -> tuple[list[int], NDArray[np.int64]]:
    """Columns (bytes) that are alike in all of the tables: one of each kind, and `[k]`, the kind of each column."""
    kinds: dict[bytes, int] = {}
    turned = [np.ascontiguousarray(table.T) for table in tables]
    found = [
        kinds.setdefault(b"".join(table[at].tobytes() for table in turned), len(kinds))
        for at in range(tables[0].shape[1])
    ]
    return [found.index(kind) for kind in range(len(kinds))], np.array(found)


def distinct(rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
    """The values of each row but DEAD, each once, ascending: row and value, end to end."""
    ordered = np.sort(rows, axis=1)
    first = ordered != DEAD
    first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    sources, columns = np.nonzero(first)
    return sources, ordered[sources, columns]


def before_each(steps: NDArray[np.int32]) -> list[list[int]]:
    """By state, the states (each once, ascending) that step to it."""
    sources, targets = distinct(steps)
    order = np.argsort(targets, kind="stable")
    bounds = np.searchsorted(targets[order], np.arange(len(steps) + 1)).tolist()
    own = sources[order].tolist()
    return [own[low:high] for low, high in pairwise(bounds)]


def ways_of(steps: NDArray[np.int32], emits: NDArray[np.int32]) -> list[list[tuple[int, int]]]:
    """By state, what one byte may do, each once: (what is emitted, the state behind)."""
    keys = np.where(steps == DEAD, DEAD, emits.astype(np.int64) << 32 | steps)
    sources, found = distinct(keys)
    ways = list(zip((found >> 32).tolist(), (found & 0xFFFFFFFF).tolist(), strict=True))
    bounds = np.searchsorted(sources, np.arange(len(steps) + 1)).tolist()
    return [ways[low:high] for low, high in pairwise(bounds)]


def without_dead_ends(table: NDArray[np.int32], good: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The table without steps to states (but the start) that lead to no `good` one (`[n]` bool)."""
    alive, before = good.copy(), before_each(table)
    queue = np.flatnonzero(good).tolist()
    while queue:
        for at in before[queue.pop()]:
            if not alive[at]:
                alive[at] = True
                queue.append(at)
    alive[0] = True
    return np.where((table != DEAD) & alive[table], table, DEAD).astype(np.int32)


def refined(
    steps: NDArray[np.int32], group: NDArray[np.int64], fixed: NDArray[np.int32] | None = None
) -> NDArray[np.int64]:
    """The coarsest split of `group` (`[n]`) in which states of a group step to states of a group.

    Only states are looked at again whose successors have changed their group, and the largest part of a group that
    falls apart keeps its number (Hopcroft's smaller half): n log n, however long the chains of states are.

    Args:
        steps: `[n, k]` states or DEAD.
        fixed: `[n, j]`, what must be the same too.
    """
    parts = _Parts(_numbered(np.column_stack([group] if fixed is None else [group, fixed])))
    after = np.where(steps == DEAD, DEAD, np.array(parts.of)[steps])
    # one whole round first: behind it the states of a group have stepped to the same groups
    changed = parts.split(range(len(steps)), _numbered(after))
    before, rows = before_each(steps), steps.tolist()
    while changed:
        dirty = list(dict.fromkeys(at for target in changed for at in before[target]))
        own = parts.of
        changed = parts.split(dirty, [tuple([own[to] if to >= 0 else DEAD for to in rows[at]]) for at in dirty])
    return np.unique(np.array(parts.of), return_inverse=True)[1].reshape(-1)


class _Parts:
    """States in groups: `of` is the group of each."""

    def __init__(self, of: list[int]) -> None:
        self.of = of
        self._members: list[set[int]] = [set() for _ in range(max(of) + 1)]
        for at, group in enumerate(of):
            self._members[group].add(at)

    def split(self, states: Iterable[int], signatures: Iterable[Hashable]) -> list[int]:
        """Apart what has other signatures, and from what is not among `states`; those that are in new groups."""
        found: dict[int, dict[Hashable, set[int]]] = {}
        for at, signature in zip(states, signatures, strict=True):
            found.setdefault(self.of[at], {}).setdefault(signature, set()).add(at)
        changed: list[int] = []
        for group, own in found.items():
            members, parts = self._members[group], list(own.values())
            if len(parts) == 1 and len(parts[0]) == len(members):
                continue
            asked = sum(map(len, parts))
            if 2 * asked <= len(members):  # the others stay, and are not looked at
                for part in parts:
                    members -= part
            else:
                if asked < len(members):
                    parts.append(members.difference(*parts))
                parts.sort(key=len)
                self._members[group] = parts.pop()
            for part in parts:
                for at in part:
                    self.of[at] = len(self._members)
                self._members.append(part)
                changed += part
        return changed


def _numbered(rows: NDArray[np.integer]) -> list[int]:
    """Equal rows have equal numbers."""
    flat = np.ascontiguousarray(rows, dtype=np.int32)
    own = flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1])))
    numbers: list[int] = np.unique(own, return_inverse=True)[1].reshape(-1).tolist()
    return numbers


def one_state_a_group(table: NDArray[np.int32], group: NDArray[np.int64]) -> tuple[NDArray[np.int32], list[int]]:
    """The table over groups, numbered as they are reached from the start; and a state of each."""
    order, seen = [0], {int(group[0]): 0}
    groups, steps = group.tolist(), table.tolist()
    for at in order:  # grows
        for target in dict.fromkeys(steps[at]):
            if target != DEAD and groups[target] not in seen:
                seen[groups[target]] = len(order)
                order.append(target)
    rows = table[order]
    numbers = np.full(int(group.max()) + 1, DEAD)
    for found, number in seen.items():
        numbers[found] = number
    return np.where(rows == DEAD, DEAD, numbers[group[rows]]).astype(np.int32), order
