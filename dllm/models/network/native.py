"""One decoder for every dense family: embedding, blocks, final norm and head, as a `RowDenoiser`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dllm.errors import ModelError
from dllm.models.base import KV, POSITIONS, SHADOWS, Blocks, RowInput, RowKV, Usual
from dllm.models.families.family import Family
from dllm.models.network import cuda
from dllm.models.network.block import Block
from dllm.models.network.layers import RMSNorm, Rope
from dllm.models.network.packed import Fused, Linear
from dllm.models.network.ragged import RaggedBatch, pack
from dllm.models.network.spec import BackboneSpec

if TYPE_CHECKING:
    from dllm.models.network.cuda.graphs import Runner


class Backbone(nn.Module):
    """A bidirectional decoder that runs ragged rows, with or without stored keys and values.

    Built with uninitialised weights: use `dllm.load_model`. A model spread over devices by accelerate works unchanged;
    a row's K/V store then lives on the device of the embedding and its slices move to each layer and back.

    Attributes:
        spec: the shape of the network.
        vocab_size: columns of the head, returned untouched.
        mask_token_id, eos_token_ids: see `Denoiser`.
        max_length: longest canvas in tokens.
        lookback: 1 where the raw row i predicts position i + 1, else 0; the shift happens inside.
        capabilities: {POSITIONS, KV, SHADOWS}.
        quantized: "int8", "int4", or None where the blocks' weights are in the network's dtype.
        kernels: whether forwards on CUDA go through `dllm.models.network.cuda`; False runs the plain modules.
        family, folder: where the weights came from, for messages.
        block_rule: how a canvas falls into blocks, None where attention is full.
        usual: what the family's published sampler comes to.
        id_sources: which file or rule gave the ids, the blocks and the scheduler, for messages.
    """

    no_split = ("Block",)

    def __init__(self, spec: BackboneSpec, family: Family, *, max_length: int | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.family = family
        self.max_length = max_length
        self.vocab_size = spec.columns
        self.lookback = spec.lookback
        self.capabilities = frozenset({POSITIONS, KV, SHADOWS})
        self.mask_token_id: int | None = None
        self.eos_token_ids: tuple[int, ...] = ()
        self.folder: Path | None = None
        self.id_sources: dict[str, str] = {}
        self.block_rule, self.usual = _as_published(spec, family)
        self.quantized: str | None = None
        self.kernels = True
        self.runner: Runner | None = None
        # nothing drawn: on the meta device that would import torch's compiler, 1.5 s of a first answer's 3
        self.embed = nn.Embedding.from_pretrained(torch.empty(spec.columns, spec.hidden_size), freeze=False)
        self.blocks = nn.ModuleList(Block(spec, layer) for layer in range(spec.layers))
        self.norm = RMSNorm(spec.hidden_size, spec.norm_eps)
        self.head = Linear(spec.hidden_size, spec.columns, bias=spec.linear_bias and not spec.tied_head)
        self.scores = Fused(self.head)
        self.rope = Rope(spec.rotary_dim or spec.head_dim, spec.rope_theta)
        self.tie_weights()

    @property
    def tied(self) -> tuple[str, str] | None:
        """Names of the parameters that are one where the family ties its head: the head's and the embedding's."""
        return ("head.weight", "embed.weight") if self.spec.tied_head else None

    def tie_weights(self) -> None:
        """Make the head share the embedding's parameter, where the family does; anew after parameters were replaced."""
        if self.spec.tied_head:
            self.head.weight = self.embed.weight

    def keeps_float32(self, parameter: str) -> bool:
        """Whether a parameter is float32 whatever the network is in."""
        moe = self.spec.moe
        return moe is not None and moe.full_precision and parameter.endswith((".router.weight", ".mlp.bias"))

    def pack(self) -> None:
        """Lay the weights out for the CPU's products; a no-op where that cannot be done. See `packed.py`.

        The layers' parameters are given up for it, one module at a time; `unpack` brings them back. Moving the network
        to another device or dtype unpacks it.
        """
        for module in self.modules():
            if isinstance(module, Linear) and module.fused is not None:
                module.fused.pack()

    def unpack(self) -> None:
        """Give the layers their parameters back, to the bit."""
        for module in self.modules():
            if isinstance(module, Linear) and module.fused is not None:
                module.fused.unpack()
        self.tie_weights()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Backbone:
        self.unpack()
        self.runner = None  # its graphs hold the old weights
        wide = {name: p.detach() for name, p in self.named_parameters() if self.keeps_float32(name)}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, parameter in self.named_parameters():
            if name in wide and parameter.dtype != torch.float32:
                parameter.data = wide[name].to(parameter.device)
        return self

    @property
    def name(self) -> str:
        """Of the family, for messages."""
        return self.family.name

    @property
    def device(self) -> torch.device:
        """Where ids go in. Under accelerate's offloading weights are elsewhere until their layer runs."""
        hook = getattr(self.embed, "_hf_hook", None)
        executes_on = getattr(hook, "execution_device", None)
        return self.embed.weight.device if executes_on is None else torch.device(executes_on)

    @property
    def dtype(self) -> torch.dtype:
        return self.norm.weight.dtype

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
        batch = pack(rows, self.lookback, self.mask_token_id, self.spec.block).to(self.device)
        hidden = self._run(batch)
        logits = self._project(hidden[batch.sources.to(hidden.device)])
        return list(torch.split(logits[: sum(batch.counts)], list(batch.counts)))

    def _on_cuda(self, rows: Sequence[RowInput]) -> list[Tensor]:
        if self.runner is None:
            self.runner = cuda.new_runner()
        logits = self._project(self.runner.forward(self, rows))
        counts = [row.wanted.numel() for row in rows]
        return list(torch.split(logits[: sum(counts)], counts))

    def _run(self, batch: RaggedBatch) -> Tensor:
        """`[N, D]` hidden states after the last block."""
        x: Tensor = self.embed(batch.token_ids)
        if self.spec.embedding_scale != 1.0:
            x = x * self.spec.embedding_scale
        cos, sin = self.rope(batch.positions, batch.length, torch.float32 if self.spec.rope_full_precision else x.dtype)
        for block in self.blocks:
            x = block(x, batch, cos, sin)
        return x

    def _project(self, hidden: Tensor) -> Tensor:
        """`[M, D]` -> `[M, V]` float32 on the input device."""
        logits: Tensor = self.scores(self.norm(hidden))[0].float()
        if self.spec.logits_scale != 1.0:
            logits = logits * self.spec.logits_scale
        return logits.to(self.device)

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


def _as_published(spec: BackboneSpec, family: Family) -> tuple[Blocks | None, Usual]:
    """How the family's published sampler goes about a canvas."""
    own = family.blocks
    if spec.block is None or own is None:
        return None, Usual(scheduler=family.scheduler)
    denoised = own.denoised if own.denoised and spec.block % own.denoised == 0 else spec.block
    return Blocks(spec.block, own.lead), Usual(denoised, family.scheduler)
