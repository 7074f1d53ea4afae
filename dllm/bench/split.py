"""Where the time of a step goes: body, head, confidence, and everything else (scheduler, bookkeeping, Python)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch

from dllm import LLM
from dllm.bench.requests import one_a_forward, random_prompt
from dllm.engine import forward as questions
from dllm.models.network.decoder import Decoder
from dllm.testing.networks import seeded_network, shape_a

PARTS = ((Decoder, "_run", "body"), (Decoder, "_project", "head"), (questions, "propose", "confidence"))
"""Whose method or function is which part."""


@dataclass(slots=True)
class Split:
    """Milliseconds a forward, and the share of what is neither body nor head."""

    vocabulary: int
    rows: int
    dtype: str
    scheduler: str
    forwards: int = 0
    milliseconds: dict[str, float] = field(default_factory=dict)

    @property
    def overhead(self) -> float:
        """0...1: everything but body and head."""
        whole = sum(self.milliseconds.values())
        return 1 - (self.milliseconds["body"] + self.milliseconds["head"]) / whole


def split_step(vocabulary: int, rows: int, dtype: torch.dtype, scheduler: str = "topk(1)", new: int = 64) -> Split:
    """Of block steps and refreshes under the dual cache, blocks of 32, prompts of 128 tokens."""
    network = seeded_network(shape_a(vocabulary), dtype)
    network.pack()
    llm = LLM(network)
    params = one_a_forward(new, 32, scheduler)
    prompts = [random_prompt(128, seed) for seed in range(rows)]
    llm.generate(prompts, params, max_batch_size=rows, progress=False)
    found = Split(vocabulary, rows, str(dtype).removeprefix("torch."), scheduler)
    spent = {"body": 0.0, "head": 0.0, "confidence": 0.0}
    with ExitStack() as stack:
        for owner, name, part in PARTS:
            stack.enter_context(_counted(owner, name, spent, part))
        began = time.perf_counter()
        outputs = llm.generate(prompts, params, max_batch_size=rows, progress=False)
        whole = time.perf_counter() - began
    found.forwards = outputs[0].stats.forwards
    spent["rest"] = whole - sum(spent.values())
    found.milliseconds = {name: 1e3 * seconds / found.forwards for name, seconds in spent.items()}
    return found


@contextmanager
def _counted(owner: Any, name: str, spent: dict[str, float], part: str) -> Iterator[None]:
    """Add the time of every call of `owner.name` to a part. A clock read on both sides is all that is added."""
    inner: Callable[..., Any] = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return inner(*args, **kwargs)
        finally:
            spent[part] += time.perf_counter() - began

    with patch.object(owner, name, timed):
        yield
