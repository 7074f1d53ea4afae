"""Muon for the matrices and AdamW for the rest, with the work of Muon shared between data-parallel ranks.

Muon at a low rate (0.005) learned the whole task mix where AdamW alone and Muon at 0.02 did not.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from tools.train_tiny.model import TinyModel

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(x: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrices. x: [n, rows, columns], rows <= columns."""
    a, b, c = _COEFFICIENTS
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(-1, -2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Optimizer:
    """Steps both optimizers; all state is in tensors so that a checkpoint needs no pickle."""

    def __init__(self, model: TinyModel, muon: float, adam: float, world: int, rank: int) -> None:
        self.rates = (muon, adam)
        self.world, self.rank = world, rank
        self.parameters = dict(model.named_parameters())
        blocks = [name for name, value in self.parameters.items() if value.ndim == 2 and name.startswith("blocks.")]
        self.rest = [name for name in self.parameters if name not in blocks]
        # One stack per shape, so that the iteration runs as a few large products. Tall matrices are transposed.
        self.stacks: dict[tuple[int, int], list[str]] = {}
        for name in blocks:
            low, high = sorted(self.parameters[name].shape)
            self.stacks.setdefault((low, high), []).append(name)
        zeros = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.first = {name: value.clone() for name, value in zeros.items()}
        self.second = {name: zeros[name].clone() for name in self.rest}
        self.count = 0

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One update with the learning rates times ``scale``; gradients must already be averaged over ranks."""
        self.count += 1
        self._adam(self.rates[1] * scale)
        made: list[tuple[list[str], Tensor]] = []
        for names in self.stacks.values():
            whole = []
            for name in names:
                gradient, momentum = self._gradient(name), self.first[name]
                momentum.lerp_(gradient, 0.05)
                nesterov = gradient.lerp(momentum, 0.95)
                whole.append(nesterov if nesterov.shape[0] <= nesterov.shape[1] else nesterov.T)
            stack = torch.stack(whole)
            share = torch.zeros_like(stack)
            mine = torch.arange(len(names)) % self.world == self.rank
            share[mine] = orthogonalize(stack[mine])
            made.append((names, share))
        if self.world > 1:
            flat = torch.cat([share.flatten() for _, share in made])
            dist.all_reduce(flat)
            at = 0
            for _, share in made:
                share.copy_(flat[at : at + share.numel()].view_as(share))
                at += share.numel()
        for names, share in made:
            for name, update in zip(names, share, strict=True):
                value = self.parameters[name]
                rows, columns = value.shape
                update = update if rows <= columns else update.T
                value.sub_(update, alpha=self.rates[0] * scale * max(1.0, rows / columns) ** 0.5)

    def _adam(self, rate: float) -> None:
        for name in self.rest:
            gradient = self._gradient(name)
            first, second = self.first[name].lerp_(gradient, 0.1), self.second[name].lerp_(gradient * gradient, 0.02)
            corrected = (second / (1 - 0.98**self.count)).sqrt_().add_(1e-10)
            self.parameters[name].sub_(first / (1 - 0.9**self.count) / corrected, alpha=rate)

    def _gradient(self, name: str) -> Tensor:
        gradient = self.parameters[name].grad
        assert gradient is not None
        return gradient

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, under flat names."""
        tensors = {f"first.{name}": value for name, value in self.first.items()}
        tensors |= {f"second.{name}": value for name, value in self.second.items()}
        return tensors | {"count": torch.tensor(self.count)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``state`` returned."""
        for name, value in self.first.items():
            value.copy_(tensors[f"first.{name}"])
        for name, value in self.second.items():
            value.copy_(tensors[f"second.{name}"])
        self.count = int(tensors["count"])
