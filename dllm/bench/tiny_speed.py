"""The embedded model: tokens a second for 64 prompts, each cache."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from dllm import LLM, RequestOutput, SamplingParams
from dllm.bench.clock import in_turn
from dllm.eval.tiny.items import tiny_prompts

PROMPTS, SCHEDULER, CACHES = 64, "threshold(0.9)", ("none", "prefix", "dual")
FEW = 2
"""Prompts that warm up a cache."""


@dataclass(frozen=True, slots=True)
class TinySpeed:
    """One cache over all prompts; `peak_mb` is the process' highest memory so far."""

    cache: str
    tokens_per_second: float
    tokens_per_forward: float
    peak_mb: float


def tiny_speeds(rounds: int = 3) -> list[TinySpeed]:
    """The caches in turn, `rounds` times."""
    llm, prompts = LLM("tiny"), tiny_prompts(PROMPTS, 0)

    def run(cache: str, prompts: Sequence[str]) -> list[RequestOutput]:
        params = SamplingParams(max_new_tokens=64, block_length=32, scheduler=SCHEDULER, cache=cache, seed=0)
        return llm.generate(prompts, params, progress=False)

    warm_up = {cache: partial(run, cache, prompts[:FEW]) for cache in CACHES}
    seconds, outputs = in_turn({cache: partial(run, cache, prompts) for cache in CACHES}, rounds, warm_up)
    found = []
    for cache in CACHES:
        tokens = sum(output.stats.tokens for output in outputs[cache])
        forwards = sum(output.stats.forwards for output in outputs[cache])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found.append(TinySpeed(cache, tokens / median(seconds[cache]), tokens / forwards, peak))
    return found
