"""The decoder as a `RowDenoiser`: rows in and logits out, keys and values, and what a checkpoint says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from dllm.errors import ModelError
from dllm.models.base import KV, POSITIONS, SHADOWS, RowInput, RowKV
from dllm.models.families.family import Family
from dllm.models.network import cuda
from dllm.models.network.decoder import Decoder
from dllm.models.network.ragged import batch_of
from dllm.models.network.spec import BackboneSpec

if TYPE_CHECKING:
    from dllm.models.network.cuda.graphs import Runner


class Backbone(Decoder):
    """A bidirectional decoder that runs ragged rows, with or without stored keys and values.

    Built with uninitialised weights: use `dllm.load_model`. A model spread over devices by accelerate works unchanged;
    a row's K/V store then lives on the device of the embedding and its slices move to each layer and back.

    Attributes:
        spec, quantized, kernels: see `Decoder`.
        vocab_size: columns of the head, returned untouched.
        mask_token_id, eos_token_ids: see `Denoiser`.
        max_length: longest canvas in tokens.
        lookback: 1 where the raw row i predicts position i + 1, else 0; the shift happens inside.
        capabilities: {POSITIONS, KV, SHADOWS}.
        family, folder: where the weights came from, for messages.
        block_rule: how a canvas falls into blocks, None where attention is full.
        usual: what the family's published sampler comes to.
        id_sources: which file or rule gave the ids, the blocks and the scheduler, for messages.
    """

    def __init__(self, spec: BackboneSpec, family: Family, *, max_length: int | None = None) -> None:
        super().__init__(spec)
        self.family = family
        self.max_length = max_length
        self.vocab_size = spec.columns
        self.lookback = spec.lookback
        self.capabilities = frozenset({POSITIONS, KV, SHADOWS})
        self.mask_token_id: int | None = None
        self.eos_token_ids: tuple[int, ...] = ()
        self.folder: Path | None = None
        self.id_sources: dict[str, str] = {}
        self.block_rule, self.usual = family.as_published(spec.block)
        self.runner: Runner | None = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.runner = None  # its graphs hold the old weights
        return super()._apply(fn, recurse)

    @property
    def name(self) -> str:
        """Of the family, for messages."""
        return self.family.name

    @torch.no_grad()
    def forward_rows(self, rows: Sequence[RowInput]) -> list[Tensor]:
        """One forward over all rows; see `RowDenoiser`. Returns `[m_r + s_r, V]` float32 a row.

        Raises:
            ModelError: a row is empty or inconsistent, or does not feed what its wanted positions need.
        """
        if not rows:
            return []
        if cuda.usable(self, rows):
            return self._on_cuda(rows)
        batch = batch_of(rows, self.lookback, self.mask_token_id, self.spec.block).to(self.device)
        hidden = self._run(batch)
        logits = self._project(hidden[batch.sources.to(hidden.device)])
        return list(torch.split(logits[: sum(batch.counts)], list(batch.counts)))

    def _on_cuda(self, rows: Sequence[RowInput]) -> list[Tensor]:
        if self.runner is None:
            self.runner = cuda.new_runner()
        logits = self._project(self.runner.forward(self, rows))
        counts = [row.wanted.numel() for row in rows]
        return list(torch.split(logits[: sum(counts)], counts))

    def new_kv(self, length: int) -> RowKV:
        """Empty stores for a canvas of `length` tokens, `[layers, kv_heads, length, head_dim]` in the model's dtype."""
        if length < 1:
            raise ModelError(f"new_kv: length {length} must be at least 1")
        shape = (self.spec.layers, self.spec.kv_heads, length, self.spec.head_dim)
        keys, values = (torch.zeros(shape, dtype=self.dtype, device=self.device) for _ in range(2))
        return RowKV(keys, values, length)

    def row_bytes(self, length: int, stores: bool) -> int:
        """Bytes that a row of `length` tokens takes on the device: its K/V, and one layer's activations."""
        spec, moe = self.spec, self.spec.moe
        kept = 2 * spec.layers * spec.kv_heads * spec.head_dim if stores else 0
        passing = 4 * spec.hidden_size + 2 * spec.heads * spec.head_dim + 3 * spec.intermediate_size
        if moe is not None:  # each token's rows, in and out of its experts
            passing += 2 * moe.per_token * spec.hidden_size + 3 * (moe.width + moe.shared_width) + moe.experts
        if spec.block is not None:  # which keys are seen, a byte each
            passing += length // self.dtype.itemsize
        return length * (kept + passing) * self.dtype.itemsize

    @torch.no_grad()
    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Predict every position of a rectangular batch; see `Denoiser`. Padded positions come back as zeros.

        Masked-out tokens are dropped before the network runs, so a padded row has the bits of the unpadded one.

        Raises:
            ModelError: not `[B, L]`, a mask of another shape, or an id outside the vocabulary.
        """
        real = self._real(input_ids, attention_mask)
        ids = input_ids.cpu().long()
        kept = [real[b].nonzero().flatten() for b in range(ids.shape[0])]
        rows = []
        for b, index in enumerate(kept):
            if index.numel():
                gaps = self.spec.gaps_keep_distance
                positions = index - index[0] if gaps else torch.arange(index.numel())
                rows.append(RowInput(ids[b, index], positions, positions))
        out = torch.zeros(*ids.shape, self.vocab_size, device=self.device)
        predicted = iter(self.forward_rows(rows))
        for b, index in enumerate(kept):
            if index.numel():
                out[b, index] = next(predicted)
        return out

    def _real(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """`[B, L]` bool on the CPU: which tokens count."""
        if not isinstance(input_ids, Tensor):
            raise ModelError(f"input_ids must be a [B, L] tensor of integers, not {type(input_ids).__name__}")
        if input_ids.dim() != 2 or input_ids.is_floating_point():
            raise ModelError(f"input_ids must be [B, L] integers, not {list(input_ids.shape)} {input_ids.dtype}")
        if attention_mask is not None and attention_mask.shape != input_ids.shape:
            raise ModelError(
                f"attention_mask {list(attention_mask.shape)} must have the shape of input_ids {list(input_ids.shape)}"
            )
        if input_ids.numel() and not 0 <= int(input_ids.min()) <= int(input_ids.max()) < self.vocab_size:
            raise ModelError(
                f"input_ids hold {int(input_ids.min())}..{int(input_ids.max())}; "
                f"legal ids are 0..{self.vocab_size - 1} (is this the tokenizer of the model?)"
            )
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return mask.cpu().bool()
