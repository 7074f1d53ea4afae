"""Our engine against the published decoding, written out: the same tokens, and how many times sooner."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import torch

from dllm import LLM
from dllm.bench.clock import in_turn, ratio
from dllm.bench.literal import Literal
from dllm.bench.requests import one_a_forward, random_prompt
from dllm.testing.networks import seeded_network, shape_a

BLOCK, PROMPT = 32, 128


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and the tokens to add to it."""

    prompt: list[int]
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Seconds are medians over the rounds; ratios are medians of the rounds' own.

    Attributes:
        dtype, threads, tokens: what was run.
        literal: seconds of the published rule, row by row.
        single: of our engine, row by row.
        batch: of our engine, all rows together; None for one row.
        ratio: literal over ours, all rows together.
        ratio_own: our engine row by row over all rows together.
        equal: whether our tokens are the published rule's (in bfloat16 rounding may part them).
        equal_batch: whether rows together give the tokens of rows alone.
    """

    dtype: str
    threads: int
    rows: int
    tokens: int
    literal: float
    single: float
    batch: float | None
    ratio: float
    ratio_own: float | None
    equal: bool
    equal_batch: bool | None

    @property
    def literal_tokens_per_second(self) -> float:
        return self.tokens / self.literal


def one(new: int) -> list[Request]:
    """Shape A: 128 tokens of prompt."""
    return [Request(random_prompt(PROMPT, 0), new)]


def mixed(shorter: int, fewer: int) -> list[Request]:
    """Eight rows of mixed lengths: prompts of 32 to 256 tokens over `shorter`, 64 to 256 new ones over `fewer`."""
    lengths = ((32, 256), (64, 64), (96, 192), (128, 128), (160, 64), (192, 256), (224, 128), (256, 192))
    return [
        Request(random_prompt(prompt // shorter, seed), max(16, new // fewer // 16 * 16))
        for seed, (prompt, new) in enumerate(lengths)
    ]


def compare_with_literal(requests: list[Request], dtype: torch.dtype, rounds: int, block: int = BLOCK) -> Comparison:
    """One token a forward, greedy, the dual cache, blocks of `block` (which divides what each request adds)."""
    literal = Literal(seeded_network(shape_a(), dtype))
    network = seeded_network(shape_a(), dtype)
    network.pack()
    llm = LLM(network)
    params = [one_a_forward(request.new, block) for request in requests]
    prompts = [request.prompt for request in requests]

    def published() -> list[list[int]]:
        return [literal.generate(request.prompt, request.new, block) for request in requests]

    def alone() -> list[list[int]]:
        return [llm.generate(prompt, own).token_ids for prompt, own in zip(prompts, params, strict=True)]

    def together() -> list[list[int]]:
        outputs = llm.generate(prompts, params, max_batch_size=len(prompts), progress=False)
        return [output.token_ids for output in outputs]

    several = len(requests) > 1
    calls = {"literal": published, "single": alone} | ({"batch": together} if several else {})
    short = one_a_forward(block, block)
    warm_up = {
        "literal": lambda: literal.generate(prompts[0], block, block),
        "single": lambda: llm.generate(prompts[0], short),
        "batch": lambda: llm.generate(prompts, short, max_batch_size=len(prompts), progress=False),
    }
    seconds, tokens = in_turn(calls, rounds, warm_up)
    fastest = "batch" if several else "single"
    return Comparison(
        dtype=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        rows=len(requests),
        tokens=sum(request.new for request in requests),
        literal=median(seconds["literal"]),
        single=median(seconds["single"]),
        batch=median(seconds["batch"]) if several else None,
        ratio=ratio(seconds, "literal", fastest),
        ratio_own=ratio(seconds, "single", "batch") if several else None,
        equal=tokens["single"] == tokens["literal"],
        equal_batch=tokens["batch"] == tokens["single"] if several else None,
    )
