"""The shape of a decoder: everything about a network that is not a weight.

A family file reads a checkpoint's `config.json` into a `BackboneSpec`; the layers read nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A pre-norm bidirectional decoder: RMSNorm, rotary attention with grouped keys, SwiGLU.

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
        qkv_bias: biases on the query, key and value projections.
        linear_bias: biases on every projection, the head included.
        projection_norm: RMSNorm over the whole query and key projections, before the split into heads.
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
    qkv_bias: bool = False
    linear_bias: bool = False
    projection_norm: bool = False
    tied_head: bool = False
    embedding_scale: float = 1.0
    logits_scale: float = 1.0
    lookback: int = 0
    gaps_keep_distance: bool = False
