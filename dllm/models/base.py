"""What the engine asks of a model.

The smallest model is a `Denoiser`: any object with `logits` and three attributes. A model that can do more declares
it in `capabilities` and implements `RowDenoiser`, which is what the loop talks to. What else a model may tell of itself
stands at the end: a protocol of one member each, and the function that reads it or says what holds where it is missing.
The loop knows no family: whether logits are shifted, how keys are rotated and how a batch is laid out stay inside the
model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

POSITIONS = "positions"
"""Capability: logits for requested positions only, over rows of different lengths."""
SHADOWS = "shadows"
"""Capability: predictions of committed positions as if each were masked, in the same forward (`RowInput.shadows`)."""
KV = "kv"
"""Capability: accepts and updates a row's stored keys and values, so that a cache may feed a part of the canvas."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a block-causal model sees a canvas: a position sees its own block, and the blocks before.

    Attributes:
        length: positions of a block, counted from the canvas's first.
        lead: the first token of a block is settled alone, since it is predicted from the block before.
    """

    length: int
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Usual:
    """What a request gets that does not say: how the model was published to be used.

    Attributes:
        block_length: positions denoised at a time.
        scheduler: its spec.
        chat_template: Jinja, for a tokenizer that has none; None: there chat is an error.
        template_variables: what a chat template is told, whoever's it is.
    """

    block_length: int = 32
    scheduler: str = "threshold(0.9)"
    chat_template: str | None = None
    template_variables: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Denoiser(Protocol):
    """The protocol every model satisfies, native or not.

    Attributes:
        vocab_size: columns of the head, V.
        mask_token_id: id of `[MASK]`, or None where the checkpoint does not say (then `generate` needs it given).
        eos_token_ids: ids that end an answer; may be empty.
    """

    vocab_size: int
    mask_token_id: int | None
    eos_token_ids: tuple[int, ...]

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Predict every position of a rectangular batch.

        Args:
            input_ids: `[B, L]` long.
            attention_mask: `[B, L]` bool or int, 1 = real token; padding may be on either side.

        Returns:
            `[B, L, V]` float; row i of each canvas predicts canvas position i, in every family. Columns are returned
            untouched: nothing is banned here. Values at padded positions are unspecified.
        """
        ...


@dataclass(slots=True)
class RowKV:
    """Keys and values of one row. Slot = canvas position, so nothing is ever moved or concatenated.

    Attributes:
        keys: `[layers, kv_heads, capacity, head_dim]`, already rotated.
        values: same shape.
        length: slots in use = length of the row's canvas; attention reads slots `[0, length)`.
    """

    keys: Tensor
    values: Tensor
    length: int


@dataclass(frozen=True, slots=True)
class RowInput:
    """What one row takes to one forward. The index tensors live on the CPU; the model moves them, all rows at once.

    Attributes:
        token_ids: `[n]` long, the ids fed.
        positions: `[n]` long, ascending canvas positions of those ids (also the RoPE positions and the K/V slots).
        wanted: `[m]` long, canvas positions whose predictions are returned. For every wanted position p the position
            `max(p - lookback, 0)` must be among those fed.
        shadows: `[s]` long, fed canvas positions to predict once more as if each alone were masked. A shadow stands in
            the place of its position's source: it sees what that sees, but not the token it predicts, and nothing sees
            the shadow but itself. (The other tokens have seen the token: this is a check, not a second forward.)
        company: `[c]` long, fed canvas positions where more shadows stand, which are not predicted: then all shadows of
            the row see each other as well. None: they do not. Needs lookback 0, where a shadow is fed the mask id: the
            token that a shifted family would feed is what its neighbour has to predict.
        kv: None: the fed ids attend to each other only. Otherwise the fresh keys and values are first written to the
            slots `positions`, then attention reads all slots `[0, kv.length)`.
    """

    token_ids: Tensor
    positions: Tensor
    wanted: Tensor
    kv: RowKV | None = None
    shadows: Tensor | None = None
    company: Tensor | None = None


@runtime_checkable
class RowDenoiser(Denoiser, Protocol):
    """A model that runs a ragged set of rows in one forward; native models and the adapter implement it.

    Attributes:
        capabilities: what is offered beyond whole canvases: a subset of {POSITIONS, KV, SHADOWS}.
        lookback: how far left of a predicted position the row that predicts it lies: 0, or 1 for shifted families.
        max_length: longest canvas in tokens, or None.
        device: where the network runs and its logits come out.
    """

    capabilities: frozenset[str]
    lookback: int
    max_length: int | None
    device: torch.device

    def forward_rows(self, rows: Sequence[RowInput]) -> list[Tensor]:
        """One forward over all rows; returns `[m_r + s_r, V]` float32 logits a row: its wanted positions, its shadows.

        On the CPU in fp32 the result of a row does not depend, to the bit, on the other rows.
        """
        ...

    def new_kv(self, length: int) -> RowKV:
        """An empty store for a canvas of `length` tokens (KV capability only)."""
        ...


@runtime_checkable
class TellsBlocks(Protocol):
    """Optional: a model whose canvases may fall into blocks."""

    block_rule: Blocks | None


@runtime_checkable
class TellsUsual(Protocol):
    """Optional: a model that was published with habits of its own."""

    usual: Usual


@runtime_checkable
class TellsName(Protocol):
    """Optional: a model with a name for messages."""

    name: str


@runtime_checkable
class TellsFolder(Protocol):
    """Optional: a model that came from a folder, or None. `learn2pd` looks up there which filter was trained for it."""

    folder: Path | None


@runtime_checkable
class TellsRowBytes(Protocol):
    """Optional: a model that knows what memory a row takes; of others, the batcher takes a fixed number of rows."""

    def row_bytes(self, length: int, stores: bool) -> int:
        """Bytes on the model's device at most: of a canvas of `length` tokens, its K/V if it `stores` them, and what a
        forward over all of it holds beside the logits."""
        ...


def block_rule(model: Denoiser) -> Blocks | None:
    """How a model's canvases fall into blocks; None: each position sees all of the canvas."""
    return model.block_rule if isinstance(model, TellsBlocks) else None


def usual_of(model: Denoiser) -> Usual:
    """What a request gets on this model that does not say."""
    return model.usual if isinstance(model, TellsUsual) else Usual()


def name_of(model: Denoiser) -> str:
    """What to call a model in messages: its name, or that of its class."""
    return model.name if isinstance(model, TellsName) else type(model).__name__


def folder_of(model: Denoiser) -> Path | None:
    """Where a model came from, if from a folder."""
    return model.folder if isinstance(model, TellsFolder) else None
