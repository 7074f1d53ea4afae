"""The format of results: which fields a line may have, and of what kind. `docs/results.schema.json` says the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

RESULTS_VERSION = 1
Kinds = tuple[str, ...]
"""Names of JSON types."""
SAMPLE: dict[str, Kinds] = {
    "model": ("string",),
    "task": ("string",),
    "index": ("integer",),
    "key": ("string",),
    "block_length": ("integer",),
    "cache": ("string",),
    "scheduler": ("string",),
    "method": ("string",),
    "seed": ("integer",),
    "text": ("string",),
    "answer": (),
    "finish_reason": ("string",),
    "score": ("number", "null"),
    "score_strict": ("number",),
    "submetrics": ("object",),
    "reason": ("string", "null"),
    "n": ("integer",),
    "forwards": ("integer",),
    "refreshes": ("integer",),
    "tokens": ("integer",),
    "slots": ("integer",),
    "seconds": ("number",),
    "share_seconds": ("number",),
    "released": ("array",),
    "order": ("array",),
}
"""All fields of a sample. No kind: any value."""
OPTIONAL = ("score_strict", "submetrics", "reason", "n", "answer")
"""Fields that only some tasks have; every sample has the others."""
HEADER: dict[str, Kinds] = {"dllm_results": ("integer",), "settings": ("object",), "environment": ("object",)}

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "array": list,
    "null": type(None),
}


def fault(line: Mapping[str, Any]) -> str | None:
    """What is wrong with a line, or None: a field that is missing, unknown, or of another kind."""
    head = "dllm_results" in line
    fields = HEADER if head else SAMPLE
    for name in (name for name in fields if name not in OPTIONAL):
        if name not in line:
            return f"the field {name!r} is missing"
    for name, value in line.items():
        if name not in fields:
            return f"the field {name!r} is unknown; it may be of a newer dllm"
        kinds = fields[name]
        if kinds and not any(_is(value, kind) for kind in kinds):
            return f"{name}={str(value)[:40]!r} is no {' or '.join(kinds)}"
    if head:
        return None if {"seed", "batch_size"} <= set(line["settings"]) else "settings lack seed or batch_size"
    score = line["score"]
    if score is not None and not 0 <= score <= 1:
        return f"score={score} must be in 0...1"
    return None if line["forwards"] >= 1 else f"forwards={line['forwards']} must be at least 1"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return False
    return isinstance(value, _TYPES[kind])


def schema() -> dict[str, Any]:
    """The same as a JSON Schema of one line."""

    limits: dict[str, dict[str, int]] = {"score": {"minimum": 0, "maximum": 1}, "forwards": {"minimum": 1}}

    def record(fields: Mapping[str, Kinds]) -> dict[str, Any]:
        kinds_of = {name: {"type": list(kinds)} if kinds else {} for name, kinds in fields.items()}
        return {
            "type": "object",
            "properties": {name: {**kinds, **limits.get(name, {})} for name, kinds in kinds_of.items()},
            "required": [name for name in fields if name not in OPTIONAL],
            "additionalProperties": False,
        }

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of dllm results, version {RESULTS_VERSION}: a header a session, or a sample",
        "oneOf": [record(HEADER), record(SAMPLE)],
    }
