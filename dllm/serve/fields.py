"""A body's fields as `SamplingParams`; what changes the meaning and cannot be honoured is refused."""

from __future__ import annotations

import math
import secrets
from typing import Any

from dllm.grammars.grammar import Grammar
from dllm.params import SamplingParams
from dllm.serve.bodies import RequestBody
from dllm.serve.errors import Refusal

MOST_SAMPLES = 128
"""Of one prompt, as OpenAI has it."""
MOST_LOGPROBS = 20
NEUTRAL = {"presence_penalty": (0,), "frequency_penalty": (0,), "repetition_penalty": (1, 0), "min_p": (0,)}
"""Fields of other servers that we have not, and the values at which they change nothing."""
_SAME = (
    *("temperature", "top_p", "seed", "stop_token_ids", "n", "ignore_eos"),
    *("scheduler", "cache", "block_length", "steps", "cfg_scale"),
)


def params_of_body(
    body: RequestBody, *, grammar: Grammar | None = None, logprobs: int | None = None, max_new_tokens: int | None = None
) -> SamplingParams:
    """What a body asks for.

    Args:
        grammar: that it names.
        logprobs: how many alternatives to record.
        max_new_tokens: where the body does not say.

    Raises:
        Refusal: a field that cannot be honoured.
        ConfigError: a value out of its range.
    """
    for name, neutral in NEUTRAL.items():
        value = getattr(body, name)
        if value is not None and value not in neutral:
            raise Refusal(f"{name}={value!r} is not supported: a diffusion model has none; leave it out", param=name)
    n = 1 if body.n is None else body.n
    if n > MOST_SAMPLES:
        raise Refusal(f"n={n} must be at most {MOST_SAMPLES}", param="n")
    if body.best_of is not None and body.best_of != n:
        raise Refusal(f"best_of={body.best_of} is not supported; ask for n={n} samples", param="best_of")
    if logprobs is not None and not 0 <= logprobs <= MOST_LOGPROBS:
        raise Refusal(f"top_logprobs={logprobs} must be 0...{MOST_LOGPROBS}", param="top_logprobs")
    given: dict[str, Any] = {name: getattr(body, name) for name in _SAME}
    asked = (body.max_completion_tokens, body.max_tokens, body.max_new_tokens, max_new_tokens)
    given |= {
        "max_new_tokens": next((value for value in asked if value is not None), None),
        "top_k": None if body.top_k in (-1, 0) else body.top_k,
        "min_new_tokens": body.min_tokens or None,
        "logit_bias": _biases(body.logit_bias),
        "stop": stops_of(body) if grammar is None else None,
        "grammar": grammar,
        "logprobs": logprobs,
    }
    params = SamplingParams(**{name: value for name, value in given.items() if value is not None})
    _refuse_paths(params)
    return params


def seed_of(params: SamplingParams) -> int:
    """The seed asked for, or one of 53 bits for samples that are asked for one by one."""
    return secrets.randbits(53) if params.seed is None else params.seed


def stops_of(body: RequestBody) -> tuple[str, ...]:
    """The stop strings; empty ones, which some clients send, stop nothing."""
    given = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return tuple(text for text in given if text)


def _refuse_paths(params: SamplingParams) -> None:
    """No request leads to a file: arguments of schedulers that are paths are left to Python users."""
    if params.schedule.files:
        named = " and ".join(params.schedule.files)
        raise Refusal(f"scheduler: {named} would lead to a file, which is not served; leave it out", param="scheduler")


def _biases(given: dict[str, float] | None) -> dict[int, float] | None:
    try:
        found = {int(token): bias for token, bias in given.items()} if given else None
        if found and not all(math.isfinite(bias) for bias in found.values()):
            raise ValueError  # JSON has no such numbers
        return found
    except ValueError:
        raise Refusal("logit_bias must map token ids to numbers, as in {'1234': -5}", param="logit_bias") from None
