"""Prompts to train a filter on: a file of the user's, or for the embedded model its own tasks."""

from __future__ import annotations

import json
import random
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
        except ValueError:
            value = None
        prompt = value.get("prompt") if isinstance(value, dict) else value
        if not isinstance(prompt, str) or not prompt:
            raise ConfigError(
                f"prompts={str(path)!r} line {number}: expected a JSON string, or an object with 'prompt'"
            )
        prompts.append(prompt)
    return prompts


def tiny_prompts(count: int, seed: int) -> list[str]:
    """`count` questions of the embedded model's training split, of all tasks that have an answer."""
    from dllm.eval.tiny import tasks

    rng = random.Random(f"filter/{seed}")
    names = [name for name in tasks.TASKS if not name.startswith("fill_")]
    return [tasks.sample(rng.choice(names), rng).prompt + "\n" for _ in range(count)]
