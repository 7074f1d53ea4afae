"""What a row can be held to. The loop knows this much of a grammar, and grammars know nothing of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from torch import Tensor


class Constraint(Protocol):
    """What a canvas is held to. Stateless: what changes is returned. Positions are those of the row's canvas.

    A constraint always knows tokens for all masks that fulfil it (`witness`), so a row that keeps to it can be ended.
    """

    def allowed(self, positions: Tensor) -> Tensor:
        """`[m, V]` bool for `[m]` positions. What is left out can never be committed; the rest is tried out."""
        ...

    def commit(self, tokens: Mapping[int, int], *, quick: bool = False) -> Constraint | None:
        """After these commits (position -> id), or None if they must not be made together.

        quick: or if it is not plain at once that they may be.
        """
        ...

    def hold(self, tokens: Mapping[int, int]) -> Constraint | None:
        """The same canvas, and the witness has these tokens (position -> id); None if no such witness was found."""
        ...

    def release(self, positions: Iterable[int]) -> Constraint:
        """After these positions were masked again."""
        ...

    def cut(self, length: int) -> Constraint | None:
        """After the canvas was cut to `length`, or None if it must not be."""
        ...

    def witness(self, position: int) -> int:
        """A token that can be committed at a masked position."""
        ...
