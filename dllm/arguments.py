"""Checks of arguments: their ranges, and names that are spelled otherwise elsewhere.

numpy's scalars pass, and come back as Python's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from dllm.errors import ArgumentError, ConfigError, nearest, quoted

LARGEST = 2**63 - 1
"""The largest whole number that torch takes."""
MOST_TOKENS = 1_000_000
"""Beyond any context: more new tokens, or a wider hole, is a slip, which a model that knows no limit would allocate."""


def whole(field: str, value: Any, low: int, high: int = LARGEST, *, optional: bool = False) -> Any:
    """`value` as an int (or None where that is legal). Raises ConfigError unless low <= value <= high."""
    if optional and value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < low:
        legal = f"a whole number of at least {low}{' or None' if optional else ''}"
        raise ConfigError(f"{field}={quoted(value)} must be {legal}")
    if int(value) > high:
        raise ConfigError(f"{field}={quoted(value)} must be at most {high}")
    return int(value)


def in_range(
    field: str, value: Any, low: float, high: float = math.inf, *, optional: bool = False, above: bool = False
) -> Any:
    """`value` as a number (or None where that is legal).

    Raises:
        ConfigError: unless it is finite and low <= value <= high; with `above`, low < value.
    """
    if optional and value is None:
        return None
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and _finite(value) and low <= value <= high) or (above and value == low):
        bounds = f"{'above' if above else 'at least'} {low:g}" + (f" and at most {high:g}" if high < math.inf else "")
        raise ConfigError(f"{field}={quoted(value)} must be a number {bounds}{', or None' if optional else ''}")
    return value if isinstance(value, int) else float(value)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def one_of(field: str, value: Any, legal: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `legal`."""
    if not isinstance(value, str) or value not in legal:  # an array's comparison is no bool
        raise ConfigError(f"{field}={quoted(value)} must be one of: {', '.join(legal)}")


def switch(field: str, value: Any, *, optional: bool = False) -> None:
    """Raise ConfigError unless `value` is True or False (or None where that is legal)."""
    if not isinstance(value, bool) and not (optional and value is None):
        raise ConfigError(f"{field}={quoted(value)} must be {'True, False or None' if optional else 'True or False'}")


_GRAMMAR = "grammar=Grammar.from_json_schema(...), from_regex(...), from_choices(...) or from_lark(...)"
FOREIGN = {
    **dict.fromkeys(("max_tokens", "max_length", "gen_length", "max_gen_length", "max_new_token"), "max_new_tokens"),
    **dict.fromkeys(("max_completion_tokens", "max_output_tokens", "gen_len", "length"), "max_new_tokens"),
    **dict.fromkeys(("block_size", "block_len", "gen_blocksize"), "block_length"),
    **dict.fromkeys(("num_steps", "diffusion_steps", "denoising_steps", "num_inference_steps"), "steps"),
    **dict.fromkeys(("num_return_sequences", "num_samples", "best_of"), "n"),
    **dict.fromkeys(("stop_sequences", "stop_strings", "stop_words", "until"), "stop"),
    **dict.fromkeys(("guidance_scale", "cfg", "unsupervised_cfg_scale"), "cfg_scale"),
    **dict.fromkeys(("random_seed", "generator"), "seed"),
    **dict.fromkeys(("use_cache", "dual_cache", "cache_implementation"), "cache='none', 'prefix', 'dual', ..."),
    **dict.fromkeys(("guided_json", "response_format", "json_schema", "guided_regex", "guided_choice"), _GRAMMAR),
    **dict.fromkeys(("guided_grammar", "structured_outputs"), _GRAMMAR),
    **dict.fromkeys(("sampling_params", "generation_config", "gen_config"), "params"),
    "do_sample": "temperature=0 (greedy) or above (sampled)",
    "remasking": "scheduler='llada(remasking=...)'",
    "remasking_strategy": "scheduler='llada(remasking=...)'",
    "alg": "scheduler='dream(alg=...)'",
    "alg_temp": "scheduler='dream(alg_temp=...)'",
    "threshold": "scheduler='threshold(0.9)'",
    "confidence_threshold": "scheduler='threshold(0.9)'",
    "factor": "scheduler='factor(1.0)'",
    "torch_dtype": "dtype",
    "model_name_or_path": "model",
}
"""Names that other programs have for what is asked for here, and how it is written here."""


def refuse_unknown(where: str, given: Iterable[str], legal: Iterable[str], elsewhere: Iterable[str] = ()) -> None:
    """Raise ArgumentError for names that `where` does not know, with the right spelling.

    Args:
        legal: the names it knows.
        elsewhere: names that are fields of `SamplingParams`.
    """
    legal, elsewhere = list(legal), set(elsewhere)
    for name in given:
        if name in legal:
            continue
        meant = FOREIGN.get(name)
        if name in elsewhere or (meant is not None and meant not in legal and elsewhere):
            written = meant or name
            written += "" if "=" in written else "=..."
            raise ArgumentError(
                f"{where} has no argument {name!r}: what concerns sampling goes into the parameters, as in "
                f"{where}(..., SamplingParams({written}))"
            )
        if meant is not None:
            raise ArgumentError(f"{where} has no argument {name!r}; here it is {meant}")
        raise ArgumentError(
            f"{where} has no argument {name!r}.{nearest(name, [*legal, *elsewhere])} Known: {', '.join(legal)}"
        )
