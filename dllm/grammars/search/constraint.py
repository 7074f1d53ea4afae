"""A grammar on one canvas: what may be committed, and a way to complete it, kept at every step.

There is always a witness: tokens for all masks with which the text belongs to the grammar. A commit is accepted if
there is a witness with it; so whatever is committed, in whatever order, the text can be completed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dllm.errors import GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.masks import Possible
from dllm.grammars.search.orders import Settled, settle
from dllm.grammars.search.placement import END, ROOM, Placement, Ways
from dllm.grammars.search.refusals import Refusals
from dllm.grammars.search.repair import adapted
from dllm.grammars.search.reread import loosely
from dllm.grammars.search.solve import HASTY, PATIENT, Patience, UndecidedError
from dllm.grammars.tables.compiled import CompiledGrammar


@dataclass(frozen=True)
class GrammarConstraint:
    """Where a row stands under its grammar. Positions are those of the row's canvas.

    Attributes:
        canvas: the tokens the grammar governs.
        arranged: `compiled`, so arranged that it has the sentence.
        placement: how a sentence of the grammar lies on it.
        offset: position of the first of them; what stands before is prompt.
        eos: ids that end the text.
        refusals: what this canvas has refused; filled as it is found out.
    """

    compiled: CompiledGrammar
    canvas: Canvas
    arranged: CompiledGrammar
    placement: Placement
    offset: int
    eos: frozenset[int]
    refusals: Refusals

    @classmethod
    def start(cls, compiled: CompiledGrammar, canvas: Canvas, offset: int, eos: Iterable[int]) -> GrammarConstraint:
        """On a canvas as it is given.

        Raises:
            GrammarError: it cannot be completed, or that could not be found out.
        """
        try:
            certain, settled = (False, None) if compiled.loose is None else loosely(compiled, canvas, None)
            settled = settled if certain else settle(compiled, canvas)
        except UndecidedError:
            raise GrammarError(
                "whether a text of the grammar fits this canvas was not found out: it is too long, or its holes too "
                "tight; give them more room, or split the document"
            ) from None
        if settled is None:
            raise GrammarError("no text of the grammar fits this canvas")
        return cls(compiled, canvas, *settled, offset, frozenset(eos), Refusals(compiled.table))

    def allowed(self, positions: Tensor, *, exact: bool = False) -> Tensor:
        """`[m, V]` bool for `[m]` canvas positions: no token that can be committed is left out; some may be in vain.

        At positions that are not masked everything is allowed.

        Args:
            exact: leave out what cannot be committed. That takes a search for each group of tokens that act alike.

        Raises:
            GrammarError: `exact`, and for some token it was not found out.
        """
        group_of, eos = self.compiled.table.group_of, list(self.eos)
        found = np.ones((len(positions), len(group_of)), dtype=bool)
        for row, position in enumerate((positions - self.offset).tolist()):
            if not self._masked(position):
                continue
            gap = next(gap for gap in self.canvas.gaps if gap.start <= position < gap.stop)
            masks, number = self._possible(gap), position - gap.start
            self.refusals.learn(position, masks.states(number))
            refused, groups = self.refusals.groups(position), masks.groups(number)
            if refused is not None:
                groups = groups & ~refused
            np.take(groups, group_of, out=found[row], mode="clip")  # without a look at each index
            found[row, eos] = masks.ends(number) and not self.refusals.holds_end(position)
            found[row, self.witness(position + self.offset)] = True
            if exact:
                found[row] &= self._committable(position, found[row])
        return torch.from_numpy(found)

    def _committable(self, at: int, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """`[V]` bool: which of the tokens `asked` about can be committed; the others are False."""
        found, verdicts = np.zeros_like(asked), dict[int, bool]()
        for token in np.flatnonzero(asked).tolist():
            key = END if token in self.eos else int(self.compiled.table.group_of[token])
            if key not in verdicts:
                try:
                    verdicts[key] = self._after({at + self.offset: token}, PATIENT) is not None
                except UndecidedError:
                    raise GrammarError(
                        f"whether token {token} may stand at position {at + self.offset} was not found out; "
                        "ask for the masks without exact"
                    ) from None
            found[token] = verdicts[key]
        return found

    @cached_property
    def _possible(self) -> Possible:
        return Possible(self.compiled, self.canvas)

    def witness(self, position: int) -> int:
        """The token that completes the text at a masked position, together with those of all others."""
        token = self.placement.witness[position - self.offset]
        return min(self.eos) if token == END else token

    def commit(self, tokens: Mapping[int, int], *, quick: bool = False) -> GrammarConstraint | None:
        """With these tokens (position -> id) committed, or None if the text could not be completed then.

        Nothing is committed behind an end of text. None also where the answer was not found in reasonable time; the
        constraint as it was stays good.

        Args:
            quick: None also where the present witness cannot be adapted.
        """
        try:
            return self._after(tokens, None if quick else HASTY)
        except UndecidedError:
            return None

    def hold(self, tokens: Mapping[int, int]) -> GrammarConstraint | None:
        """The same canvas with a witness that has these tokens, no end of text among them; None if none was found."""
        after = self.commit(tokens)
        return None if after is None else replace(after, canvas=self.canvas, refusals=self.refusals)

    def _after(self, tokens: Mapping[int, int], patience: Patience | None) -> GrammarConstraint | None:
        chosen = dict[int, int]()
        stop = len(self.canvas.ids)
        for position, token in sorted(tokens.items()):
            at = position - self.offset
            assert 0 <= at < len(self.canvas.ids), f"position {position} is not under the grammar"
            if token in self.eos:
                if at < self.canvas.tail or self.refusals.holds_end(at):
                    return None
                stop = at
                break
            if self.refusals.holds(at, token):
                return None
            chosen[at] = token
        # masks before an end may still turn out to be behind an earlier one
        canvas = self.canvas.with_chosen(chosen.items()).until(stop)
        if any(self.compiled.vocabulary.node[token] < 0 for token in chosen.values()):
            return None
        after = self._on(canvas, patience)
        if after is None and len(tokens) == 1:
            self._refuse(*tokens.items())
        return after

    def _refuse(self, commit: tuple[int, int]) -> None:
        """Keep in mind that this commit (position, id) cannot be made."""
        position, token = commit
        if token in self.eos:
            self.refusals.add_end(position - self.offset)
        else:
            self.refusals.add(position - self.offset, token)

    def _on(self, canvas: Canvas, patience: Patience | None) -> GrammarConstraint | None:
        """On another canvas, or None if no text fits. Raises UndecidedError.

        patience: to search for another text than that of the present witness; None: there is none.
        """
        settled = self._settled(canvas, patience)
        if settled is None:
            return None
        arranged, placement = settled
        return replace(self, canvas=canvas, arranged=arranged, placement=placement, refusals=self.refusals.copy())

    def _settled(self, canvas: Canvas, patience: Patience | None) -> Settled | None:
        """How a text lies on another canvas. Raises UndecidedError."""
        near = self.placement.until(len(canvas.ids))
        if self.compiled.loose is not None and patience is not None:
            certain, found = loosely(self.compiled, canvas, near, patience)
            if certain:
                return found
        placement = self._placed(canvas) if near is None else adapted(self.arranged, canvas, near)
        if placement is not None:
            return self.arranged, placement
        if patience is None:
            raise UndecidedError
        return settle(self.compiled, canvas, patience, near)

    def _placed(self, canvas: Canvas) -> Placement | None:
        """The same sentence on another canvas, if it was found to fit."""
        table, reach = self.compiled.table, self.compiled.reach
        return Placement.make(canvas, table, reach, self.placement.sentence, tuple(Ways), ROOM)

    def release(self, positions: Iterable[int]) -> GrammarConstraint:
        """With these positions masked again: more can follow than before, so there is a way."""
        own = (position - self.offset for position in positions)
        canvas = self.canvas.masked(at for at in own if 0 <= at < len(self.canvas.ids))
        # what lay on the canvas lies on it with fewer tokens given
        return replace(self, canvas=canvas, refusals=Refusals(self.compiled.table))

    def cut(self, length: int) -> GrammarConstraint | None:
        """With the canvas ending before position `length`, or None if the text could not be completed then."""
        try:
            after = self._on(self.canvas.until(max(0, length - self.offset)), PATIENT)
        except UndecidedError:
            return None
        return None if after is None else replace(after, refusals=Refusals(self.compiled.table))

    def _masked(self, at: int) -> bool:
        return 0 <= at < len(self.canvas.ids) and self.canvas.ids[at] == MASK
