"""The bytes of a tokenizer's tokens, as a trie, so that tokens that begin alike are scanned together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dllm.tokenizer import Tokenizer

UNUSABLE = -1


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class Vocabulary:
    """Tokens and the trie of their bytes; node 0 is the empty text, and a node comes after its parent.

    Attributes:
        tokens: id -> bytes, or None for ids that stand for no text (specials, padding columns of the head).
        parent: `[m]` int32.
        byte: `[m]` uint8, the last byte of the node's text.
        node: `[V]` int32, id -> its node, or UNUSABLE.
    """

    tokens: tuple[bytes | None, ...]
    parent: NDArray[np.int32]
    byte: NDArray[np.uint8]
    node: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def digest(self) -> str:
        """Of the tokens, to name files by."""
        found = hashlib.sha256()
        for token in self.tokens:
            found.update(b"-" if token is None else len(token).to_bytes(4, "little") + token)
        return found.hexdigest()

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return max((len(token) for token in self.tokens if token is not None), default=0)


def vocabulary(tokens: Sequence[bytes | None]) -> Vocabulary:
    """The trie of a list of tokens. Several ids may have the same bytes; an empty token is the root's."""
    order = sorted((token, index) for index, token in enumerate(tokens) if token is not None)
    parent, byte = [0], [0]
    node = np.full(len(tokens), UNUSABLE, dtype=np.int32)
    path, before = [0], b""  # nodes of the prefixes of `before`
    for token, index in order:
        shared = _shared(before, token)
        del path[shared + 1 :]
        for last in token[shared:]:
            parent.append(path[-1])
            byte.append(last)
            path.append(len(parent) - 1)
        node[index], before = path[-1], token
    return Vocabulary(tuple(tokens), np.array(parent, dtype=np.int32), np.array(byte, dtype=np.uint8), node)


def _shared(one: bytes, other: bytes) -> int:
    """Length of the longest common prefix."""
    limit = min(len(one), len(other))
    return next((at for at in range(limit) if one[at] != other[at]), limit)


def vocabulary_of(tokenizer: Tokenizer, size: int, without: Iterable[int] = ()) -> Vocabulary:
    """The vocabulary of a tokenizer for a head of `size` columns; ids `without` stand for no text."""
    left_out = set(without)
    return vocabulary([None if index in left_out else tokenizer.token_bytes(index) for index in range(size)])
