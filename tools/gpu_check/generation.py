"""Tokens a second of whole generations, refreshes, schedulers and Python included."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from dllm import LLM, SamplingParams
from dllm.models.network.native import Backbone
from tools.gpu_check.checks import first_line, text_table

PER_FORWARD = (1.0, 2.5, 4.0)


@dataclass(frozen=True, slots=True)
class Speed:
    """One generation of `rows` rows; `tokens_per_second` counts all of them, None where it was not measured."""

    rows: int
    length: int
    cache: str
    per_forward: float
    new_tokens: int
    forwards: int
    seconds: float | None
    note: str = ""

    @property
    def tokens_per_second(self) -> float | None:
        return None if self.seconds is None else self.rows * self.new_tokens / self.seconds

    @property
    def step_ms(self) -> float | None:
        return None if self.seconds is None else 1e3 * self.seconds / self.forwards


def measure_speeds(
    network: Backbone,
    *,
    batches: Sequence[int],
    length: int,
    block: int,
    caches: Sequence[str],
    blocks: int,
    deadline: float,
) -> list[Speed]:
    """`blocks` blocks behind prompts of `length - blocks * block` tokens, for each batch, cache and rate."""
    llm, found = LLM(network), list[Speed]()
    for rows in batches:
        for cache in caches:
            for rate in PER_FORWARD:
                new, forwards = blocks * block, blocks * round(block / rate)
                asked = Speed(rows, length, cache, rate, new, forwards, seconds=None)
                found.append(_measured(llm, asked, block, deadline))
                print(_line(found[-1]), flush=True)
    return found


def _measured(llm: LLM, asked: Speed, block: int, deadline: float) -> Speed:
    """What is asked for with its seconds, or with a note that says why there are none."""
    if time.monotonic() >= deadline:
        return replace(asked, note="not measured: out of time")
    generator = torch.Generator().manual_seed(asked.rows)
    size = (asked.rows, asked.length - asked.new_tokens)
    prompts = torch.randint(2, min(1000, llm.model.vocab_size), size, generator=generator).tolist()
    params = SamplingParams(
        max_new_tokens=asked.new_tokens,
        block_length=block,
        scheduler="llada",
        steps=asked.forwards,
        cache=asked.cache,
        ignore_eos=True,
    )
    try:
        llm.generate(prompts, _short(params), max_batch_size=asked.rows, progress=False)
        began = time.perf_counter()
        outputs = llm.generate(prompts, params, max_batch_size=asked.rows, progress=False)
        seconds = time.perf_counter() - began
    except RuntimeError as error:
        return replace(asked, note=f"failed: {first_line(error)}")
    return replace(asked, forwards=outputs[0].stats.forwards, seconds=seconds)


def _short(params: SamplingParams) -> SamplingParams:
    """One block in a few steps of the same shapes, to have everything compiled and captured."""
    return replace(params, max_new_tokens=params.block_length, steps=3)


def speed_table(speeds: Iterable[Speed]) -> str:
    titles = ("rows", "canvas", "cache", "tokens/forward", "forwards", "tokens/s", "ms/forward", "")
    return text_table(titles, (_columns(speed) for speed in speeds))


def _columns(speed: Speed) -> tuple[str, ...]:
    numbers = ["-" if value is None else f"{value:.1f}" for value in (speed.tokens_per_second, speed.step_ms)]
    return (
        str(speed.rows), str(speed.length), speed.cache, f"{speed.per_forward:g}", str(speed.forwards), *numbers,
        speed.note,
    )  # fmt: skip


def _line(speed: Speed) -> str:
    return "  " + " ".join(cell for cell in _columns(speed) if cell)
