"""The format of results: which fields a line may have, and of what kind. `docs/results.schema.json` says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VERSION = 1
Kinds = tuple[str, ...]
"""Names of JSON types."""
IDENTITY: dict[str, Kinds] = {
    "model": ("string",),
    "task": ("string",),
    "index": ("integer",),
    "key": ("string",),
    "block_length": ("integer",),
    "cache": ("string",),
}
"""What tells one sample from another; every sample has them."""
SAMPLE: dict[str, Kinds] = {
    **IDENTITY,
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
    fields, needed = (HEADER, HEADER) if "dllm_results" in line else (SAMPLE, IDENTITY)
    for name in needed:
        if name not in line:
            return f"the field {name!r} is missing"
    for name, value in line.items():
        if name not in fields:
            return f"the field {name!r} is unknown; it may be of a newer dllm"
        kinds = fields[name]
        if kinds and not any(_is(value, kind) for kind in kinds):
            return f"{name}={str(value)[:40]!r} is no {' or '.join(kinds)}"
    return None


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and not (isinstance(value, bool) and kind in ("integer", "number"))


def schema() -> dict[str, Any]:
    """The same as a JSON Schema of one line."""

    def record(fields: Mapping[str, Kinds], required: Mapping[str, Kinds]) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {name: {"type": list(kinds)} if kinds else {} for name, kinds in fields.items()},
            "required": list(required),
            "additionalProperties": False,
        }

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of dllm results, version {VERSION}: a header a session, or a sample",
        "oneOf": [record(HEADER, HEADER), record(SAMPLE, IDENTITY)],
    }
