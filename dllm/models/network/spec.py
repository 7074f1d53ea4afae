"""The shape of a decoder: everything about a network that is not a weight.

A family file reads a checkpoint's `config.json` into a `BackboneSpec`; the layers read nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class MoESpec:
    """A mixture of SwiGLU experts (arXiv 1701.06538), and how its router scores, chooses and weighs them.

    A token's scores are `score(W x)` in float32, and each chosen expert counts by its score.

    Attributes:
        experts: number of experts, E.
        per_token: experts a token goes through, k.
        width: feed-forward width of an expert.
        shared_width: of the expert that every token goes through besides; 0 = there is none.
        score: over all experts, or of each by itself.
        bias: the router has a bias, added to the scores for the choice.
        bias_counts: the bias stays in what an expert counts by.
        groups, kept_groups: experts are chosen from the best groups only, by the sum of a group's two best scores
            (arXiv 2412.19437); 1 and 1 = from all.
        normalised: the weights of the chosen are divided by their sum.
        scale: factor on the weights.
        full_precision: the router's product is float32 whatever the activations are in; otherwise in their dtype.
    """

    experts: int
    per_token: int
    width: int
    shared_width: int = 0
    score: Literal["softmax", "sigmoid"]
    bias: bool = False
    bias_counts: bool = False
    groups: int = 1
    kept_groups: int = 1
    normalised: bool
    scale: float = 1.0
    full_precision: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A pre-norm decoder: RMSNorm, rotary attention with grouped keys, SwiGLU or a mixture of them.

    Attributes:
        columns: rows of the embedding and columns of the head, V. May exceed the tokenizer's vocabulary.
        hidden_size: width of the residual stream, D.
        intermediate_size: width of the feed-forward layer, F.
        layers: number of blocks.
        heads: query heads, H.
        kv_heads: key and value heads; divides `heads`.
        head_dim: width of one head; even.
        norm_eps: epsilon of every RMSNorm.
        rope_theta: base of the rotary frequencies.
        rope_full_precision: rotate in float32 whatever the activations are in; otherwise in their dtype.
        rotary_dim: channels of a head that are rotated, the first ones; even. None = all.
        block: a position sees those of its own block of so many positions, counted from 0, and of the blocks before;
            None = it sees all.
        qkv_bias: biases on the query, key and value projections.
        out_bias: a bias on the projection out of attention.
        linear_bias: biases on every projection, the head included.
        projection_norm: RMSNorm over the whole query and key projections, before the split into heads.
        head_norm: RMSNorm over each head of queries and keys, before they are rotated.
        clip: queries, keys and values are clamped to -clip...clip behind those norms.
        moe: the mixture that stands in for the feed-forward layer, or None.
        dense_layers: the layers that keep a feed-forward layer all the same.
        tied_head: the head is the embedding matrix.
        embedding_scale: factor on the embedded tokens.
        logits_scale: factor on the logits.
        lookback: 1 where the raw row i predicts position i + 1 (shifted families), else 0.
        gaps_keep_distance: a masked-out token inside a row still takes a rotary position, else it takes none.
    """

    columns: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float
    rope_theta: float
    rope_full_precision: bool
    rotary_dim: int | None = None
    block: int | None = None
    qkv_bias: bool = False
    out_bias: bool = False
    linear_bias: bool = False
    projection_norm: bool = False
    head_norm: bool = False
    clip: float | None = None
    moe: MoESpec | None = None
    dense_layers: frozenset[int] = frozenset()
    tied_head: bool = False
    embedding_scale: float = 1.0
    logits_scale: float = 1.0
    lookback: int = 0
    gaps_keep_distance: bool = False
