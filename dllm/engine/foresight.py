"""Which proposals do not go with the others, before one of them is committed.

A wrong token that a grammar lets in on its own bars right ones later. So all proposals of a step are first held against
the constraint together: mostly they can stand, and then the constraint's witness is made of them, with which commits
cost next to nothing. Where they cannot, it is looked for the few without which the others can.
"""

from __future__ import annotations

from collections.abc import Sequence

from dllm.engine.constraint import Constraint

DOUBTS = 3
"""Proposals that are doubted in a step, at most."""
HOPELESS = 3
"""Proposals that go together from the left on, below which the model is taken to know nothing of the grammar."""
BLIND, TIRED = 32, 4
"""Steps without foresight: after one in which proposals went together too little, and after one with many doubts."""
BEFORE, BEHIND = 6, 6
"""Proposals before the first one that does not go with those before it that may be the cause, and proposals behind it
that tell which is."""


def look_ahead(
    constraint: Constraint, proposals: Sequence[tuple[int, int]], blind: int
) -> tuple[Constraint, set[int], int]:
    """`foreseen`, unless it has been of little use lately: the constraint, the positions in doubt, the next `blind`.

    Args:
        blind: steps that go by without it, from this one on; 0 at first.
    """
    if blind:
        return constraint, set(), blind - 1
    constraint, doubtful = foreseen(constraint, proposals)
    if doubtful is None:
        return constraint, set(), BLIND
    return constraint, doubtful, TIRED if len(doubtful) == DOUBTS else 0


def foreseen(constraint: Constraint, proposals: Sequence[tuple[int, int]]) -> tuple[Constraint, set[int] | None]:
    """The constraint with a witness that holds as many proposals as it was found to; and the positions of the doubtful
    ones. None: they go together so little that nothing can be said.

    Args:
        proposals: (position, id), by position.
    """
    left, doubtful = list(proposals), set[int]()
    while left:
        after = constraint.hold(dict(left))
        if after is not None:
            return after, doubtful
        if len(doubtful) == DOUBTS:
            break
        constraint, stands = _beginning(constraint, left)
        if stands < HOPELESS:
            return constraint, None
        cause = _cause(constraint, left, stands)
        doubtful.add(left.pop(cause)[0])
    return constraint, doubtful


def _beginning(constraint: Constraint, proposals: Sequence[tuple[int, int]]) -> tuple[Constraint, int]:
    """How many of the first proposals go together, and the constraint that holds them; not all do."""
    low, high = 0, len(proposals)
    while high - low > 1:
        middle = (low + high) // 2
        after = constraint.hold(dict(proposals[:middle]))
        if after is None:
            high = middle
        else:
            constraint, low = after, middle
    return constraint, low


def _cause(constraint: Constraint, proposals: Sequence[tuple[int, int]], stands: int) -> int:
    """The index of the proposal, not far before `stands` or at it, without which those around go together."""
    near = proposals[: stands + 1 + BEHIND]
    for index in range(stands, max(-1, stands - BEFORE - 1), -1):
        if constraint.hold(dict([*near[:index], *near[index + 1 :]])) is not None:
            return index
    return stands
