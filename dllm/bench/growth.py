"""How the time of a token grows: with rows, with the canvas, with the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dllm import LLM
from dllm.bench.clock import in_turn
from dllm.bench.requests import one_a_forward, random_prompt
from dllm.testing.networks import LARGE_VOCABULARY, VOCABULARY, seeded_network, shape_a

NEW, BLOCK = 32, 32
ROWS, CANVASES, VOCABULARIES = (
    (1, 2, 4, 8, 16, 32, 64),
    (256, 512, 1024, 2048, 4096),
    (8_000, VOCABULARY, LARGE_VOCABULARY),
)
CANVAS = 160


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """Milliseconds of processor or wall time a token: one block, one token a forward, one refresh, the dual cache."""

    rows: int
    canvas: int
    vocabulary: int
    milliseconds: float


def growth(dtype: torch.dtype = torch.float32) -> dict[str, list[GrowthPoint]]:
    """Three curves; the other two sizes stay at 1 row, 160 tokens, 32,000 ids."""
    return {
        "rows": [_point(rows, CANVAS, VOCABULARY, dtype) for rows in ROWS],
        "canvas": [_point(1, canvas, VOCABULARY, dtype) for canvas in CANVASES],
        "vocabulary": [_point(1, CANVAS, vocabulary, dtype) for vocabulary in VOCABULARIES],
    }


def _point(rows: int, canvas: int, vocabulary: int, dtype: torch.dtype) -> GrowthPoint:
    network = seeded_network(shape_a(vocabulary), dtype)
    network.pack()
    llm = LLM(network)
    prompts = [[token % vocabulary for token in random_prompt(canvas - NEW, seed)] for seed in range(rows)]
    params = one_a_forward(NEW, BLOCK)

    def run() -> object:
        return llm.generate(prompts, params, max_batch_size=rows, progress=False)

    seconds, _ = in_turn({"run": run}, 2)
    return GrowthPoint(rows, canvas, vocabulary, 1e3 * min(seconds["run"]) / (rows * NEW))
