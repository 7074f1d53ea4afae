"""A model that is never wrong about one token: the exact conditionals of operations on lists (arXiv 2510.04767).

Every right answer to a question is equally likely. Each masked position is predicted from the question and from what
is committed, as a perfectly trained model would: all that goes wrong is due to committing tokens together that depend
on each other. So what a scheduler does to it can be worked out, and compared (`dllm.eval.parallelbench.theory`).

A question is words: the operation, its arguments, the names, `>`. `replace_index 2 Q A B C >` asks for `A Q C`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from string import ascii_uppercase

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor

from dllm.errors import ModelError

Answers = Sequence[Sequence[str]]
MOST_NAMES = 64
"""Names that a list may have."""
NAMES = tuple("".join(letters) for size in (1, 2) for letters in product(ascii_uppercase, repeat=size))[:96]
GO, MASK = ">", "[MASK]"
IMPOSSIBLE = -1e4
"""Logit of what cannot be; finite, since the engine takes an infinite one for a broken model."""


@dataclass(frozen=True, slots=True)
class ListOperation:
    """What is done to a list.

    Attributes:
        place, name: whether the question gives a place (from 1) and a name, in this order.
        answers: (list, place, name) -> all right answers. None for any order of the names, which are too many to list.
    """

    place: bool
    name: bool
    answers: Callable[[Sequence[str], int, str], Answers] | None


def _at(names: Sequence[str], begin: int, end: int, new: str = "") -> list[str]:
    return [*names[:begin], *([new] if new else []), *names[end:]]


OPERATIONS: dict[str, ListOperation] = {
    "copy": ListOperation(False, False, lambda x, i, new: [x]),
    "reverse": ListOperation(False, False, lambda x, i, new: [x[::-1]]),
    "sort": ListOperation(False, False, lambda x, i, new: [sorted(x)]),
    "shuffle": ListOperation(False, False, None),
    "insert_index": ListOperation(True, True, lambda x, i, new: [_at(x, i - 1, i - 1, new)]),
    "remove_index": ListOperation(True, False, lambda x, i, new: [_at(x, i - 1, i)]),
    "replace_index": ListOperation(True, True, lambda x, i, new: [_at(x, i - 1, i, new)]),
    "insert_random": ListOperation(False, True, lambda x, i, new: [_at(x, at, at, new) for at in range(len(x) + 1)]),
    "remove_random": ListOperation(False, False, lambda x, i, new: [_at(x, at, at + 1) for at in range(len(x))]),
    "replace_random": ListOperation(False, True, lambda x, i, new: [_at(x, at, at + 1, new) for at in range(len(x))]),
}


def question(operation: str, names: Sequence[str], place: int = 0, name: str = "") -> str:
    """The words that ask for an operation."""
    own = OPERATIONS[operation]
    return " ".join([operation, *([str(place)] if own.place else []), *([name] if own.name else []), *names, GO])


class IdealDenoiser:
    """A `Denoiser` (see `dllm.models.base`) without an end of text: the canvas must be as long as the answer."""

    def __init__(self) -> None:
        words = [*OPERATIONS, GO, MASK, *map(str, range(1, MOST_NAMES + 1)), *NAMES]
        self.words = words
        self.ids = {word: index for index, word in enumerate(words)}
        self.vocab_size = len(words)
        self.mask_token_id: int | None = self.ids[MASK]
        self.eos_token_ids: tuple[int, ...] = ()
        self._listed = lru_cache(1024)(self._list)

    def tokenizer(self) -> Tokenizer:
        """Words, split at white space."""
        made = Tokenizer(WordLevel(self.ids))
        made.pre_tokenizer = WhitespaceSplit()
        return made

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """`[B, L]` ids of questions and answers -> `[B, L, V]` log-probabilities; what is not masked predicts itself.

        Raises:
            ModelError: no question of the form above, or a canvas that is not as long as its answers.
        """
        return torch.from_numpy(np.stack([self._row(np.array(row)) for row in input_ids.tolist()])).float()

    def _row(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        found = np.full((len(ids), self.vocab_size), IMPOSSIBLE)
        found[np.arange(len(ids)), ids] = 0.0
        ends = np.flatnonzero(ids == self.ids[GO])
        if len(ends) == 0:
            raise ModelError(
                f"the ideal model reads questions such as {question('copy', NAMES[:3])!r}; {GO!r} is missing"
            )
        start = int(ends[0]) + 1
        answer = ids[start:]
        masked = answer == self.mask_token_id
        with np.errstate(divide="ignore"):
            likely = np.log(self._likely(tuple(ids[: start - 1].tolist()), answer, masked))
        found[start:][masked] = np.maximum(likely, IMPOSSIBLE)[masked]
        return found

    def _likely(
        self, asked: tuple[int, ...], answer: NDArray[np.int64], masked: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """`[m, V]` probabilities at each position of the answer, given what is not masked.

        Where no right answer goes with that, some mistake has been committed; then it goes on as if the others had not.
        """
        operation, names, answers = self._listed(asked)
        width = len(names) if answers is None else answers.shape[1]
        if width != len(answer):
            raise ModelError(f"{operation}: its answer has {width} names, the canvas {len(answer)} positions")
        if answers is None:
            count = np.bincount(names, minlength=self.vocab_size)
            left = np.maximum(0, count - np.bincount(answer[~masked], minlength=self.vocab_size))
            return np.broadcast_to(left / max(1, left.sum()), (width, self.vocab_size))
        fits = ((answers == answer) | masked).all(axis=1)
        kept = answers[fits] if fits.any() else answers
        cells = np.arange(width) * self.vocab_size + kept
        return np.bincount(cells.ravel(), minlength=width * self.vocab_size).reshape(width, -1) / len(kept)

    def _list(self, asked: tuple[int, ...]) -> tuple[str, NDArray[np.int64], NDArray[np.int64] | None]:
        """The operation, the ids of its names, and `[S, m]` ids of all right answers."""
        words = [self.words[token] for token in asked]
        own = OPERATIONS.get(words[0]) if words else None
        if own is None:
            raise ModelError(f"the ideal model knows no operation {words[:1]}; it has {', '.join(OPERATIONS)}")
        rest = words[1:]
        place = int(rest.pop(0)) if own.place else 0
        name = rest.pop(0) if own.name else ""
        names = np.array([self.ids[word] for word in rest])
        if own.answers is None:
            return words[0], names, None
        return words[0], names, np.array([[self.ids[word] for word in one] for one in own.answers(rest, place, name)])
