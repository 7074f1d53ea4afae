"""The bytes of a tokenizer's tokens, as a trie, so that tokens that begin alike are scanned together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

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

    @cached_property
    def levels(self) -> tuple[NDArray[np.int64], ...]:
        """Nodes by their depth."""
        depth = [0]
        for parent in self.parent[1:].tolist():
            depth.append(depth[parent] + 1)
        order = np.argsort(depth, kind="stable")
        ends = np.cumsum(np.bincount(depth)).tolist()
        return tuple(order[low:high] for low, high in pairwise([0, *ends]))


class KindTrie(NamedTuple):
    """The trie of a vocabulary whose bytes are told apart by their kinds only. Children of a node lie side by side.

    Attributes:
        child_at: the children of node n are `child_at[n]:child_at[n + 1]`.
        kind: of the last byte.
        first: the lowest node of the vocabulary's trie that is the like.
        token: the lowest id that ends there, or UNUSABLE.
    """

    child_at: NDArray[np.int32]
    kind: NDArray[np.int32]
    first: NDArray[np.int32]
    token: NDArray[np.int32]

    def cut(self, tokens: NDArray[np.integer]) -> KindTrie:
        """With these tokens only."""
        keep = np.isin(self.token, tokens)
        parent = np.repeat(np.arange(len(self.kind)), np.diff(self.child_at))  # of the nodes from 1 on
        token = np.where(keep, self.token, UNUSABLE)
        for node in range(len(keep) - 1, 0, -1):
            if keep[node]:
                keep[parent[node - 1]] = True
        keep[0] = True
        number = np.cumsum(keep) - 1
        sizes = np.bincount(number[parent[keep[1:]]], minlength=int(keep.sum()))
        child_at = np.concatenate([[1], 1 + np.cumsum(sizes)]).astype(np.int32)
        return KindTrie(child_at, self.kind[keep], self.first[keep], token[keep].astype(np.int32))


def by_kind(vocabulary: Vocabulary, kind_of: NDArray[np.integer], nowhere: int) -> tuple[KindTrie, NDArray[np.int64]]:
    """Its trie over kinds of bytes (`[256]`), and `[V]`, the node of each id in it.

    Tokens with a byte of the kind `nowhere` (or -1 for none) are left out, and unusable.
    """
    number = np.full(len(vocabulary.parent), UNUSABLE, dtype=np.int64)
    number[0] = 0
    parents, kinds, firsts = [np.zeros(1, dtype=np.int64)], [np.zeros(1, dtype=np.int64)], [np.zeros(1, dtype=np.int64)]
    count = 1
    for nodes in vocabulary.levels[1:]:
        parent, kind = number[vocabulary.parent[nodes]], kind_of[vocabulary.byte[nodes]]
        kept = (parent >= 0) & (kind != nowhere)
        keys, first, inverse = np.unique(parent[kept] << 8 | kind[kept], return_index=True, return_inverse=True)
        number[nodes[kept]] = count + inverse.reshape(-1)
        parents.append(keys >> 8)
        kinds.append(keys & 255)
        firsts.append(nodes[kept][first])
        count += len(keys)
    node_of = np.where(vocabulary.node >= 0, number[vocabulary.node], UNUSABLE)
    ends, lowest = np.unique(node_of, return_index=True)
    token = np.full(count, UNUSABLE, dtype=np.int32)
    token[ends[ends >= 0]] = lowest[ends >= 0]
    child_at = 1 + np.searchsorted(np.concatenate(parents)[1:], np.arange(count + 1))
    flat = [np.concatenate(one).astype(np.int32) for one in (kinds, firsts)]
    return KindTrie(child_at.astype(np.int32), flat[0], flat[1], token), node_of


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
