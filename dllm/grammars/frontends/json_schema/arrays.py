"""The keywords of JSON Schema that speak of arrays or objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.forms import ArrayForm, Form, ObjectForm, Wanted
from dllm.grammars.frontends.json_schema.reading import MAX_COUNT, checked, counts, shown, too_many, wrong
from dllm.grammars.frontends.json_schema.references import inside

Read = Callable[[Any, str], Wanted]
"""A schema and its place -> the demand it makes."""


def arrays(schema: dict[str, Any], place: str, wanted: Read) -> Form | None:
    prefix: tuple[Wanted, ...] = ()
    if "prefixItems" in schema:
        listed = checked(schema, place, "prefixItems", list, "a list of schemas")
        if len(listed) > MAX_COUNT:
            raise too_many(place, "prefixItems", len(listed))
        prefix = tuple(wanted(one, inside(place, "prefixItems", at)) for at, one in enumerate(listed))
    if schema.get("uniqueItems", False) is not False:
        raise GrammarError(
            f"JSON schema at {place}: uniqueItems={shown(schema['uniqueItems'])} is not supported: no context-free "
            "grammar compares items; remove it"
        )
    rest = wanted(schema["items"], inside(place, "items")) if "items" in schema else ()
    low, high = counts(schema, place, "minItems", "maxItems")
    return ArrayForm(prefix, rest, low, high) if high is None or low <= high else None


def objects(schema: dict[str, Any], place: str, wanted: Read) -> Form | None:
    properties = checked(schema, place, "properties", dict, "an object of schemas", {})
    named = {key: wanted(one, inside(place, "properties", key)) for key, one in properties.items()}
    free: Wanted = ()
    if "additionalProperties" in schema:
        free = wanted(schema["additionalProperties"], inside(place, "additionalProperties"))
    required = checked(schema, place, "required", list, "a list of keys", [])
    if not all(isinstance(key, str) for key in required):
        raise wrong(place, "required", required, "a list of keys")
    for key in required:
        named.setdefault(key, free)
    low, high = counts(schema, place, "minProperties", "maxProperties")
    form = ObjectForm(tuple(named.items()), tuple(key for key in named if key in required), free, low, high)
    return form if high is None or max(low, len(form.required)) <= high else None
