"""One layer of the decoder: attention, then a feed-forward layer or a mixture of them."""

from __future__ import annotations

from torch import Tensor, nn

from dllm.models.network.layers import Attention, RMSNorm, SwiGLU
from dllm.models.network.moe import Mixture
from dllm.models.network.ragged import RaggedBatch
from dllm.models.network.spec import BackboneSpec


class Block(nn.Module):
    """One pre-norm residual layer."""

    def __init__(self, spec: BackboneSpec, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(spec.hidden_size, spec.norm_eps)
        self.attention = Attention(spec, layer)
        self.mlp_norm = RMSNorm(spec.hidden_size, spec.norm_eps)
        self.mlp: nn.Module
        if spec.moe is None or layer in spec.dense_layers:
            self.mlp = SwiGLU(spec.hidden_size, spec.intermediate_size, spec.linear_bias)
        else:
            self.mlp = Mixture(spec.hidden_size, spec.moe)

    def forward(self, x: Tensor, batch: RaggedBatch, cos: Tensor, sin: Tensor) -> Tensor:
        """`[N, D]` -> `[N, D]`."""
        x = x + self.attention(self.attention_norm(x), batch, cos, sin)
        x = x + self.mlp(self.mlp_norm(x))
        return x
