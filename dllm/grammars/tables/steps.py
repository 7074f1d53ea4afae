"""Tables of steps, state x column -> state: what automata and the scanner are made smaller with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DEAD = -1
"""Where no text goes on."""


def without_dead_ends(table: NDArray[np.int32], good: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The table without steps to states (but the start) that lead to no `good` one (`[n]` bool)."""
    alive = good.copy()
    while True:
        more = alive | (alive[table] & (table != DEAD)).any(axis=1)
        if (more == alive).all():
            break
        alive = more
    alive[0] = True
    return np.where((table != DEAD) & alive[table], table, DEAD).astype(np.int32)


def refined(
    steps: NDArray[np.int32], group: NDArray[np.int64], fixed: NDArray[np.int32] | None = None
) -> NDArray[np.int64]:
    """The coarsest split of `group` (`[n]`) in which states of a group step to states of a group (Moore).

    Args:
        steps: `[n, k]` states or DEAD.
        fixed: `[n, j]`, what must be the same too.
    """
    columns = [] if fixed is None else [fixed]
    while True:
        after = np.where(steps == DEAD, DEAD, group[steps])
        signature = np.ascontiguousarray(np.column_stack([group, after, *columns]), dtype=np.int32)
        rows = signature.view(np.dtype((np.void, signature.itemsize * signature.shape[1])))
        finer = np.unique(rows, return_inverse=True)[1].reshape(-1)
        if finer.max() == group.max():
            return group
        group = finer


def one_state_a_group(table: NDArray[np.int32], group: NDArray[np.int64]) -> tuple[NDArray[np.int32], list[int]]:
    """The table over groups, numbered as they are reached from the start; and a state of each."""
    order, seen = [0], {int(group[0]): 0}
    for at in order:  # grows
        for target in dict.fromkeys(table[at].tolist()):
            if target != DEAD and int(group[target]) not in seen:
                seen[int(group[target])] = len(order)
                order.append(target)
    rows = table[order]
    numbers = np.full(int(group.max()) + 1, DEAD)
    for found, number in seen.items():
        numbers[found] = number
    return np.where(rows == DEAD, DEAD, numbers[group[rows]]).astype(np.int32), order
