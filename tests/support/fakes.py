"""Models made for tests: small, exact, and independent of batch mates by construction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MASK = 30
EOS = 31
VOCAB = 32


class MixDenoiser:
    """Every position sees every other: logits are a distance-weighted sum of fixed random vectors, one a token.

    Row by row in float64, so it is slow, deterministic and cannot leak between rows.
    """

    def __init__(self, vocab_size: int = VOCAB, *, seed: int = 0, scale: float = 3.0, eos: tuple[int, ...] = (EOS,)):
        generator = torch.Generator().manual_seed(seed)
        self.vectors = torch.randn(vocab_size, vocab_size, generator=generator, dtype=torch.float64) * scale
        self.offsets = torch.randn(512, vocab_size, generator=generator, dtype=torch.float64) * scale / 2
        self.vocab_size, self.mask_token_id, self.eos_token_ids = vocab_size, vocab_size - 2, eos
        self.calls: list[tuple[int, int]] = []

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        assert attention_mask is None or bool(attention_mask.all()), "the engine never pads a foreign model"
        self.calls.append(tuple(input_ids.shape))
        return torch.stack([self._row(row) for row in input_ids]).float()

    def _row(self, ids: Tensor) -> Tensor:
        at = torch.arange(len(ids))
        weight = 0.5 ** (at[:, None] - at[None, :]).abs().double()
        return weight @ self.vectors[ids] + self.offsets[: len(ids)]


class ScriptedDenoiser:
    """Says what the test tells it to: `script(ids) -> [L, V]` logits for one canvas."""

    def __init__(self, script: Callable[[Tensor], Tensor], vocab_size: int = VOCAB, eos: tuple[int, ...] = (EOS,)):
        self.script, self.vocab_size = script, vocab_size
        self.mask_token_id, self.eos_token_ids = vocab_size - 2, eos

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return torch.stack([self.script(row) for row in input_ids])


def wish(tokens: list[int], confidences: list[float], prompt: int, vocab_size: int = VOCAB) -> Callable[..., Tensor]:
    """A script that proposes `tokens[i]` at answer position i with probability exactly `confidences[i]`."""

    def script(ids: Tensor) -> Tensor:
        probabilities = torch.zeros(len(ids), vocab_size, dtype=torch.float64)
        for at in range(len(ids)):
            answer = at - prompt
            token, p = (tokens[answer], confidences[answer]) if answer >= 0 else (0, 0.9)
            probabilities[at] = (1 - p) / (vocab_size - 1)
            probabilities[at, token] = p
        return probabilities.log()

    return script
