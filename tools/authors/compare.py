"""Ours beside a row of theirs: the same prompt and setting, and what the first difference is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dllm import LLM, RequestOutput, SamplingParams, load_model
from dllm.schedulers.base import State
from dllm.schedulers.factor import Factor
from dllm.views import StepView
from tools.authors.method import TINY, Method, Pairing, SharedModel

ROOT = Path(__file__).resolve().parents[2]

EXCEPTIONS = ("tie", "near", "mask")
"""Kinds of difference that are no fault of ours; `judge` says what each is."""

NEAR = 1e-4
"""Two implementations of a network agree in their logits to 2e-5 or so, hence in 1 - p to this share of it."""

ROUNDING = 2**-23
"""What a softmax in float32 loses of a probability near 1: its sum is 1 and a little, rounded to this."""


@dataclass(frozen=True)
class Recording:
    """What one prompt came to.

    Attributes:
        ids: of the answer.
        forwards: calls of the network.
        steps: those that changed something: `i` for a position of the answer that was committed, `-1 - i` for one that
            was masked again.
    """

    ids: list[int]
    forwards: int
    steps: list[list[int]]


@dataclass(frozen=True)
class Finding:
    """How a row of ours stands to theirs.

    Attributes:
        kind: equal; one of `EXCEPTIONS`; or tokens, steps, forwards: the gravest that differs.
        told: the first difference, for a person.
    """

    kind: str
    told: str = ""


@cache
def load_ours(checkpoint: SharedModel) -> LLM:
    """The same weights by our modules, in float32."""
    if checkpoint is TINY:
        return LLM("tiny")
    block, mask = checkpoint.block_length, checkpoint.mask
    folder = ROOT / checkpoint.folder
    return LLM(load_model(folder, dtype="float32", device="cpu", block_length=block, mask_token_id=mask))


class FactorAsPublished(Factor):
    """With the quirk of the published code: the last mask of a block is committed, too, when it alone fails."""

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        chosen, state = super().select(view, state)
        return view.active if int((view.active & ~chosen).sum()) == 1 else chosen, state


def run_ours(llm: LLM, case: Pairing, prompts: Sequence[list[int]]) -> list[Recording]:
    """The same prompts by our scheduler."""
    params = case.params()
    if "factor" in case.theirs:
        params["scheduler"] = FactorAsPublished(case.theirs["factor"])
    outs = llm.generate([list(one) for one in prompts], SamplingParams(**params))
    return [recording_of(out) for out in outs]


def recording_of(out: RequestOutput) -> Recording:
    """What was committed and masked again in the same step is left out, as it is in theirs."""
    start = len(out.prompt_token_ids)
    steps = []
    for step in out.trace.steps:
        both = set(step.positions) & set(step.revoked)
        done = sorted(i - start for i in step.positions if i not in both)
        undone = sorted(i - start for i in step.revoked if i not in both)
        steps.append([*done, *(-1 - i for i in undone)])
    return Recording(list(out.token_ids), out.stats.forwards, [step for step in steps if step])


def recording_of_theirs(kept: list[Any], method: Method, case: Pairing, ends: Sequence[int]) -> Recording:
    """A row as goldens hold it, without what is theirs alone: idle forwards, and what lies behind an answer's end."""
    ids, forwards, steps = kept
    length = len(ids)
    if not case.params()["ignore_eos"]:
        length = next((i for i, token in enumerate(ids) if token in ends), length)
    return Recording(ids[:length], len(steps) if method.idle else forwards, steps)


def judge(
    llm: LLM, case: Pairing, prompt: list[int], theirs: Recording, ours: Recording, rounding: float = 0.0
) -> Finding:
    """What kind of difference there is, if any.

    mask: their answer holds a mask id, or had one to commit at the first step that differs, which ours never does; or
        a margin there is one over the mask id, which for ours is no rival.
    tie: at that step the two chose positions of which the model is equally sure in float64 (but for `rounding`).
    near: it is less unequally sure than the logits of the two networks differ.
    """
    if theirs == ours:
        return Finding("equal")
    at = next((i for i, (a, b) in enumerate(zip(theirs.steps, ours.steps, strict=False)) if a != b), None)
    if at is None:
        kind = "mask" if _mask(llm) in theirs.ids else "tokens" if theirs.ids != ours.ids else "forwards"
        return Finding(kind, f"forwards {theirs.forwards}, ours {ours.forwards}")
    one, other = set(theirs.steps[at]), set(ours.steps[at])
    if not case.params()["ignore_eos"]:  # what the canvas was before it was cut is not known
        return Finding("tokens" if theirs.ids != ours.ids else "steps", f"step {at}: theirs {one}, ours {other}")
    best, proposed, rivals = predictions(llm, case, prompt, ours, at)
    told = f"step {at}: theirs alone {_listed(one - other, best)}, ours alone {_listed(other - one, best)}"
    told += f"; forwards {theirs.forwards}, ours {ours.forwards}"
    places = [i if i >= 0 else -1 - i for i in one ^ other]
    if _mask(llm) in (*theirs.ids, *proposed, *(rivals[i] for i in places)):
        return Finding("mask", told)
    if one - other and other - one and min(one ^ other) >= 0:
        among = [best[i] for i in places]
        spread = max(among) - min(among)
        if spread <= rounding:
            return Finding("tie", told)
        if spread <= rounding + NEAR * (1 - min(among)):
            return Finding("near", told)
    return Finding("tokens" if theirs.ids != ours.ids else "steps", told)


def predictions(
    llm: LLM, case: Pairing, prompt: list[int], row: Recording, step: int
) -> tuple[list[float], list[int], list[int]]:
    """Before `step`, of float32 logits and with the mask id among the others: how sure the model is at every position
    of the answer, as `case.by` has it, in float64; the best tokens of those that are masked; and the second best token
    of every position, or the best where that does not count."""
    chosen = {i for change in row.steps for i in change}
    answer = [_mask(llm) if i in chosen else token for i, token in enumerate(row.ids)]  # some were planted
    for change in row.steps[:step]:
        for i in change:
            answer[i if i >= 0 else -1 - i] = row.ids[i] if i >= 0 else _mask(llm)
    logits = _logits(llm, prompt, answer)
    if scale := case.ours.get("cfg_scale"):
        blind = _logits(llm, [_mask(llm)] * len(prompt), answer)
        logits = blind + (scale + 1) * (logits - blind)
    tokens, second = logits.topk(2).indices.unbind(-1)
    masked = torch.tensor(answer) == _mask(llm)
    logits[:, list(case.muted)] = -torch.inf
    rivals = second if case.by == "margin" else tokens
    return _sureness(logits, tokens, case.by).tolist(), tokens[masked].tolist(), rivals.tolist()


def _sureness(logits: Tensor, tokens: Tensor, by: str) -> Tensor:
    """`[L]`: 1 where nothing else is possible."""
    p = logits.softmax(-1)
    if by == "entropy":
        return 1 + (p * logits.log_softmax(-1).clamp_min(torch.finfo(p.dtype).min)).sum(-1)
    if by == "margin":
        first, second = p.topk(2).values.unbind(-1)
        return first - second
    return p.gather(-1, tokens[:, None])[:, 0]


def _logits(llm: LLM, prompt: list[int], answer: list[int]) -> Tensor:
    """`[L, V]` float64, of the answer's positions."""
    return llm.model.logits(torch.tensor([prompt + answer]))[0, len(prompt) :].double()


def _mask(llm: LLM) -> int:
    mask = llm.model.mask_token_id
    assert mask is not None
    return mask


def _listed(places: set[int], best: list[float]) -> str:
    return ", ".join(f"{i} ({best[i if i >= 0 else -1 - i]:.10f})" for i in sorted(places)) or "none"
