"""The decoder that every native family shares: embedding, blocks, final norm and head, over rows laid end to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from dllm.models.network.block import Block
from dllm.models.network.layers import RMSNorm, Rope
from dllm.models.network.packed import Fused, Linear
from dllm.models.network.ragged import RaggedBatch
from dllm.models.network.spec import BackboneSpec


class Decoder(nn.Module):
    """Weights and layers, and how the weights are laid out; `native.Backbone` makes a `RowDenoiser` of it.

    Attributes:
        spec: the shape of the network.
        quantized: "int8", "int4", or None where the blocks' weights are in the network's dtype.
        kernels: whether forwards on CUDA go through `dllm.models.network.cuda`; False runs the plain modules.
    """

    no_split = ("Block",)

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.spec = spec
        self.quantized: str | None = None
        self.kernels = True
        # nothing drawn: on the meta device that would import torch's compiler, 1.5 s of a first answer's 3
        self.embed = nn.Embedding(spec.columns, spec.hidden_size, _weight=torch.empty(spec.columns, spec.hidden_size))
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

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.unpack()
        wide = {name: p.detach() for name, p in self.named_parameters() if self.keeps_float32(name)}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, parameter in self.named_parameters():
            if name in wide and parameter.dtype != torch.float32:
                parameter.data = wide[name].to(parameter.device)
        return self

    @property
    def device(self) -> torch.device:
        """Where ids go in. Under accelerate's offloading weights are elsewhere until their layer runs."""
        hook = getattr(self.embed, "_hf_hook", None)
        executes_on = getattr(hook, "execution_device", None)
        return self.embed.weight.device if executes_on is None else torch.device(executes_on)

    @property
    def dtype(self) -> torch.dtype:
        return self.norm.weight.dtype

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
