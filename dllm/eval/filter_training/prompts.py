"""Prompts to train a filter on, from a file of the user's."""

from __future__ import annotations

import json
from pathlib import Path

from dllm.errors import ConfigError


def read_prompts(path: Path, data: str) -> list[str]:
    """Every line of a JSONL file that holds `data`: a string, or an object with `prompt`. Verbatim, no template.

    Raises:
        ConfigError: the file and line that is neither.
    """
    prompts = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        prompt = value.get("prompt") if isinstance(value, dict) else value
        if not isinstance(prompt, str) or not prompt:
            raise ConfigError(
                f"prompts={str(path)!r} line {number}: expected a JSON string, or an object with 'prompt'"
            )
        prompts.append(prompt)
    return prompts
