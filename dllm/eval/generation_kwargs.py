"""What a task of lm-evaluation-harness asks of generation, as `SamplingParams`: honoured, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dllm.arguments import in_range, whole
from dllm.errors import ConfigError, nearest
from dllm.params import SamplingParams

LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names of one thing in the harness, the first that is given counts."""
NEUTRAL = {"num_beams": 1, "num_return_sequences": 1, "repetition_penalty": 1.0, "length_penalty": 1.0}
"""Legal at the value that does nothing."""
KNOWN = ("until", *LENGTH_NAMES, "do_sample", "temperature", "top_p", "top_k", *NEUTRAL)


def read_kwargs(
    kwargs: Mapping[str, Any],
    params: SamplingParams,
    *,
    max_gen_toks: int,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
) -> SamplingParams:
    """The parameters of one `generate_until` request.

    Args:
        kwargs: of the task. `until` is a string, a list, or None; empty strings in it stop nothing, as in the harness.
            `do_sample: false` is greedy whatever `temperature` says; `do_sample: true` without a temperature is 1.
        params: everything that a task does not say.
        max_gen_toks: answer tokens where the task says nothing.
        max_new_tokens, temperature: where not None, they win over the task.

    Raises:
        ConfigError: a keyword that is not known here, or a value that is not legal.
    """
    for name, value in kwargs.items():
        if name not in KNOWN:
            raise ConfigError(
                f"generation_kwargs: {name}={value!r} is not supported; legal are {', '.join(KNOWN)}."
                f"{nearest(name, KNOWN)}"
            )
        if name in NEUTRAL and value != NEUTRAL[name]:
            raise ConfigError(f"generation_kwargs: {name}={value!r} is not supported; legal is {NEUTRAL[name]}")
    asked = next((kwargs[name] for name in LENGTH_NAMES if kwargs.get(name) is not None), max_gen_toks)
    greedy, own = _temperature(kwargs)
    shaped = {} if greedy else {name: kwargs[name] for name in ("top_p", "top_k") if kwargs.get(name) is not None}
    return replace(
        params,
        max_new_tokens=whole("generation_kwargs: max_gen_toks", asked, 1) if max_new_tokens is None else max_new_tokens,
        temperature=own if temperature is None else temperature,
        stop=_until(kwargs.get("until")),
        **shaped,
    )


def _temperature(kwargs: Mapping[str, Any]) -> tuple[bool, float]:
    """Whether the task asks for greedy decoding, and its temperature (0 if so)."""
    sample, value = kwargs.get("do_sample"), kwargs.get("temperature")
    if sample is not None and not isinstance(sample, bool):
        raise ConfigError(f"generation_kwargs: do_sample={sample!r} must be true or false")
    if value is None:
        value = 1.0 if sample else 0.0
    value = in_range("generation_kwargs: temperature", value, 0.0)
    greedy = sample is False or value == 0
    return greedy, 0.0 if greedy else value


def _until(until: Any) -> tuple[str, ...]:
    texts = [] if until is None else [until] if isinstance(until, str) else until
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"generation_kwargs: until={until!r} must be a string or a list of strings")
    return tuple(text for text in texts if text)
