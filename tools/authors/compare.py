"""Ours beside a row of theirs: the same prompt and setting, and what the first difference is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dllm import LLM, RequestOutput, SamplingParams
from tools.authors.methods import Case

Row = list[Any]
"""[answer ids, forwards, steps]; a step lists `i` for a position committed and `-1 - i` for one masked again."""

TIED = 1e-9
"""Float64 probabilities closer than this are a tie: whose logits differ by 2e-5 between two implementations."""


@dataclass(frozen=True)
class Verdict:
    """How a row of ours stands to theirs.

    Attributes:
        kind: equal, tie, mask (theirs commits a mask id), or forwards, steps, tokens: what differs.
        told: the first difference, for a person.
    """

    kind: str
    told: str = ""


def run_ours(llm: LLM, case: Case, prompts: Sequence[list[int]]) -> list[Row]:
    """The same prompts by our scheduler."""
    outs = llm.generate([list(one) for one in prompts], SamplingParams(**case.params()))
    return [row_of(out) for out in outs]


def row_of(out: RequestOutput) -> Row:
    start = len(out.prompt_token_ids)
    steps = []
    for step in out.trace.steps:
        both = set(step.positions) & set(step.revoked)
        done = sorted(i - start for i in step.positions if i not in both)
        undone = sorted(i - start for i in step.revoked if i not in both)
        if done or undone:
            steps.append([*done, *(-1 - i for i in undone)])
    return [list(out.token_ids), out.stats.forwards, steps]


def judge(llm: LLM, prompt: list[int], theirs: Row, ours: Row) -> Verdict:
    """What kind of difference there is, if any: the rules of docs/conformance.md."""
    mask = llm.model.mask_token_id
    if theirs == ours:
        return Verdict("equal")
    if mask in theirs[0]:
        return Verdict("mask", "their answer holds a mask id")
    at = first_difference(theirs[2], ours[2])
    if at is None:
        kind = "tokens" if theirs[0] != ours[0] else "forwards"
        return Verdict(kind, f"forwards {theirs[1]}, ours {ours[1]}")
    spread = probabilities(llm, prompt, ours, at, set(theirs[2][at : at + 1][0:1] and theirs[2][at]) ^ set(ours[2][at]))
    told = f"step {at}: theirs {theirs[2][at]}, ours {ours[2][at]}, probabilities {spread}"
    if spread and max(spread) - min(spread) <= TIED:
        return Verdict("tie", told)
    return Verdict("tokens" if theirs[0] != ours[0] else "steps", f"{told}; forwards {theirs[1]}, ours {ours[1]}")


def first_difference(one: list[list[int]], other: list[list[int]]) -> int | None:
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return None if len(one) == len(other) else min(len(one), len(other)) - 1


def probabilities(llm: LLM, prompt: list[int], row: Row, step: int, places: set[int]) -> list[float]:
    """Of the best token at `places` before `step`, in float64 from float32 logits; tokens are those of the end."""
    mask = llm.model.mask_token_id
    answer = [mask] * len(row[0])
    for change in row[2][:step]:
        for i in change:
            answer[i if i >= 0 else -1 - i] = row[0][i] if i >= 0 else mask
    logits = llm.model.logits(torch.tensor([prompt + answer]))[0].double()
    best = logits.softmax(-1).amax(-1)
    return [float(best[len(prompt) + (i if i >= 0 else -1 - i)]) for i in sorted(places)]


def count(verdicts: Sequence[Verdict]) -> Counter[str]:
    return Counter(one.kind for one in verdicts)
