"""The published block-wise decoding of LLaDA, step for step, as the baseline that our engine is measured against.

Fast-dLLM's dual cache (arXiv 2505.22618) for one row, and the same without a cache. It does what that code does and
spares nothing: logits of every position that is fed, a float64 softmax over all of them, keys stored before rotation
and all of them rotated anew in every layer of every step, a causal bias that is built and thrown away. Written from the
paper and from a description of the code; it shares the weights of a `Backbone`, and no code with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dllm.models.network.block import Block
from dllm.models.network.layers import RMSNorm, SwiGLU
from dllm.models.network.native import Backbone

Stored = list[tuple[Tensor, Tensor]]
"""Keys (not rotated) and values of each layer, `[1, heads, L, d]`."""


@dataclass(frozen=True, slots=True)
class Literal:
    """The plain decoder on the weights of `network` (LLaDA's family: no biases, no norm on the projections)."""

    network: Backbone

    @torch.inference_mode()
    def generate(self, prompt: list[int], new_tokens: int, block: int, *, dual: bool = True) -> list[int]:
        """One token a forward, greedy, by confidence; `new_tokens` must be a multiple of `block`."""
        assert new_tokens % block == 0 and self.network.mask_token_id is not None
        mask = self.network.mask_token_id
        canvas = torch.full((1, len(prompt) + new_tokens), mask)
        canvas[0, : len(prompt)] = torch.tensor(prompt)
        for start in range(len(prompt), canvas.shape[1], block):
            stop = start + block
            stored: Stored = []
            logits = self._forward(canvas, stored, None)
            commit_one(logits, canvas, mask, stop)
            replaced = torch.zeros_like(canvas, dtype=torch.bool)
            replaced[:, start:stop] = True
            for _ in range(block - 1):
                if dual:
                    live = canvas[:, start:stop]
                    commit_one(self._forward(live, stored, replaced), live, mask, block)
                else:
                    commit_one(self._forward(canvas, [], None), canvas, mask, stop)
        tokens: list[int] = canvas[0, len(prompt) :].tolist()
        return tokens

    def _forward(self, ids: Tensor, stored: Stored, replaced: Tensor | None) -> Tensor:
        """`[1, n, V]` logits; fills an empty `stored`, else writes the fed tokens into it where `replaced` says."""
        x: Tensor = self.network.embed(ids)
        first = not stored
        for layer, block in enumerate(self.network.blocks):
            assert isinstance(block, Block)
            attention, mlp = block.attention, block.mlp
            assert isinstance(mlp, SwiGLU)
            h = norm(block.attention_norm, x)
            q, k, v = (self._heads(part(h)) for part in (attention.q, attention.k, attention.v))
            if first:
                stored.append((k, v))
            else:
                assert replaced is not None
                at = replaced.nonzero(as_tuple=True)[1]
                stored[layer][0][:, :, at] = k
                stored[layer][1][:, :, at] = v
                k, v = stored[layer]
            end = k.shape[2] if replaced is None else int(replaced.nonzero(as_tuple=True)[1].max()) + 1
            q, k = self._rotated(q, k, end)
            causal_bias(k.shape[2] + q.shape[2], x.dtype)
            mixed = F.scaled_dot_product_attention(q, k, v)
            x = x + attention.o(mixed.transpose(1, 2).reshape(x.shape))
            h = norm(block.mlp_norm, x)
            x = x + mlp.down(F.silu(mlp.gate(h)) * mlp.up(h))
        logits: Tensor = self.network.head(norm(self.network.norm, x))
        return logits

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.network.spec.head_dim).transpose(1, 2)

    def _rotated(self, q: Tensor, k: Tensor, end: int) -> tuple[Tensor, Tensor]:
        """All keys, and queries whose last position is `end - 1`, rotated in float32."""
        spec, length = self.network.spec, k.shape[2]
        frequencies = 1.0 / spec.rope_theta ** (torch.arange(0, spec.head_dim, 2, dtype=torch.float) / spec.head_dim)
        angles = torch.outer(torch.arange(length, dtype=torch.float), frequencies)
        angles = torch.cat((angles, angles), dim=-1)[None, None]
        sin, cos = angles.sin(), angles.cos()
        ours = slice(end - q.shape[2], end)
        wide_q, wide_k = q.float(), k.float()
        rotated_q = wide_q * cos[:, :, ours] + turned(wide_q) * sin[:, :, ours]
        return rotated_q.type_as(q), (wide_k * cos + turned(wide_k) * sin).type_as(k)


def norm(module: RMSNorm, x: Tensor) -> Tensor:
    """The RMSNorm, in float32."""
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + module.eps)
    return module.weight * wide.to(x.dtype)


def turned(x: Tensor) -> Tensor:
    """`[..., d]`: (-second half, first half)."""
    low, high = x.chunk(2, dim=-1)
    return torch.cat((-high, low), dim=-1)


def causal_bias(length: int, dtype: torch.dtype) -> Tensor:
    """What the published forward builds for its attention, and does not use."""
    return torch.full((1, 1, length, length), torch.finfo(dtype).min, dtype=dtype).triu_(1)[:, :, :1, :]


def commit_one(logits: Tensor, canvas: Tensor, mask: int, stop: int) -> None:
    """Commit the most confident of the masks before `stop`, in place. Both are `[1, n(, V)]`."""
    masked = canvas == mask
    proposals = logits.argmax(-1)
    p = F.softmax(logits.to(torch.float64), dim=-1)
    confidence = p.gather(-1, proposals[..., None]).squeeze(-1)
    proposals = torch.where(masked, proposals, canvas)
    confidence = confidence.masked_fill(~masked, -torch.inf)
    confidence[:, stop:] = -torch.inf
    at = confidence[0].topk(1).indices
    canvas[0, at] = proposals[0, at]
