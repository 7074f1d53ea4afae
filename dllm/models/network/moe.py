"""A mixture of experts in the place of a feed-forward layer.

Each expert sees the tokens that chose it, at least `GEMM_ROWS` rows, so that a token's bits do not depend on how many
others chose the same one; a token's experts are summed in the order of its own choice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dllm.models.network.layers import SwiGLU, sigmoid
from dllm.models.network.packed import Fused, Linear
from dllm.models.network.ragged import GEMM_ROWS
from dllm.models.network.spec import MoESpec

_TINY = 1e-20
"""Keeps a sum of weights from being zero, as published."""


class Mixture(nn.Module):
    """The experts of one layer, their router, and the shared expert if there is one."""

    def __init__(self, hidden_size: int, spec: MoESpec) -> None:
        super().__init__()
        self.spec = spec
        self.router = Linear(hidden_size, spec.experts, bias=False)
        self.scores = Fused(self.router)
        self.bias = nn.Parameter(torch.empty(spec.experts)) if spec.bias else None
        self.experts = nn.ModuleList(SwiGLU(hidden_size, spec.width) for _ in range(spec.experts))
        self.shared = SwiGLU(hidden_size, spec.shared_width) if spec.shared_width else None

    def forward(self, x: Tensor) -> Tensor:
        """`[N, D]` -> `[N, D]`."""
        weights, chosen = self._choice(x)
        out = self._mixed(x, weights.to(x.dtype), chosen)
        return out if self.shared is None else out + self.shared(x)

    def _choice(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[N, k]` float32 weights and `[N, k]` long experts of each token."""
        x = x.to(self.router.weight.dtype)  # float32 where the family routes in full precision
        logits = self.scores(x)[0].float()
        scores = logits.softmax(-1) if self.spec.score == "softmax" else sigmoid(logits)
        ranked = scores if self.bias is None else scores + self.bias.float()
        weighing = ranked if self.spec.bias_counts else scores
        chosen = _among_groups(ranked, self.spec).topk(self.spec.per_token, dim=-1).indices
        weights = weighing.gather(-1, chosen)
        if self.spec.normalised:
            weights = weights / (weights.sum(-1, keepdim=True) + _TINY)
        return weights * self.spec.scale, chosen

    def _mixed(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """`[N, D]`: every token through its experts."""
        order = torch.sort(chosen.flatten(), stable=True).indices
        counts = torch.bincount(chosen.flatten(), minlength=self.spec.experts).tolist()
        tokens = order // chosen.shape[1]
        out = x.new_empty(chosen.numel(), x.shape[1])
        start = 0
        for expert, count in zip(self.experts, counts, strict=True):
            if count:
                rows = x[tokens[start : start + count]]
                padded = F.pad(rows, (0, 0, 0, max(0, GEMM_ROWS - count)))
                out[order[start : start + count]] = expert(padded)[:count]
                start += count
        return (out.view(*chosen.shape, -1) * weights[..., None]).sum(1)


def _among_groups(scores: Tensor, spec: MoESpec) -> Tensor:
    """`[N, E]` scores, -inf outside each token's best groups."""
    if spec.groups == 1:
        return scores
    grouped = scores.view(len(scores), spec.groups, -1)
    best = grouped.topk(2, dim=-1).values.sum(-1).topk(spec.kept_groups, dim=-1).indices
    kept = torch.zeros(grouped.shape[:2], dtype=torch.bool, device=scores.device).scatter_(1, best, True)
    return grouped.masked_fill(~kept[..., None], -torch.inf).flatten(1)
