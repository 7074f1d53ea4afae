"""JSON Schema as a grammar: the JSON texts whose values are valid under a schema.

Texts are those of RFC 8259, with white space anywhere between lexemes unless `whitespace` says otherwise. Schemas are
read by the draft that `$schema` names. Nothing invalid is ever accepted: what a grammar cannot say is refused by name;
what asserts nothing is noted.

Which keywords there are, and which texts are rejected although their values are valid, is listed in
docs/json-schema.md; the file of a type says more of the latter. A schema under which nothing is valid is refused.

How `json.loads` is limited is no part of this: by default Python reads no integer of over 4300 digits, and no deep
nesting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema.demands import Demands
from dllm.grammars.frontends.json_schema.forms import Options
from dllm.grammars.frontends.json_schema.layout import DEEPEST, WhiteSpace
from dllm.grammars.frontends.json_schema.productions import Productions
from dllm.grammars.frontends.pydantic_types import is_type, schema_of
from dllm.grammars.rules import Rules
from dllm.grammars.tables.limits import naming

_ORDERS = ("auto", "any", "schema")
_UNKNOWN = ("note", "refuse")
_FORMATS = ("assert", "note")
_WHITE_SPACE = ("any", "compact", "pretty")
_INTEGERS = ("any", "plain")
_TOO_DEEP = "JSON schema: its schemas are nested too deeply; move inner ones to $defs"


def rules_from_schema(schema: Any, **options: Any) -> Rules:
    """The rules of `rules_and_notes`, without the notes."""
    return rules_and_notes(schema, **options)[0]


def rules_and_notes(
    schema: Any,
    *,
    property_order: str = "auto",
    unknown: str = "note",
    formats: str = "assert",
    whitespace: str = "any",
    integers: str = "any",
    in_order: Iterable[str] = (),
    around: Callable[[Rules], Rules] | None = None,
) -> tuple[Rules, tuple[str, ...]]:
    """A grammar of the JSON texts whose values are valid under a schema, and sentences about what was read past.

    Args:
        schema: a dict or bool, a str (the schema's JSON text), or a type that pydantic knows.
        property_order: "any"; or "schema": keys come in the order in which `properties` names them, and keys that it
            does not name come last; or "auto": any, but where over 64 keys are required, that of the schema.
        unknown: "note": keywords of no draft and formats that nobody knows are annotations; or "refuse".
        formats: "assert": strings have the formats that are asked for; or "note": they are annotations.
        whitespace: "any"; or "compact" or "pretty", just what `json.dumps` puts between lexemes (`layout`).
        integers: "any": 8.0 is an integer, as JSON Schema has it; or "plain": integers, among them those of `const` and
            `enum`, are digits alone.
        in_order: places of schemas; the keys of objects there come in the order of the schema in any case.
        around: what is made of the rules at last.

    Raises:
        GrammarError: the schema is not JSON, not a schema, not supported, or no value is valid under it.
    """
    _check("property_order", property_order, _ORDERS)
    _check("unknown", unknown, _UNKNOWN)
    _check("formats", formats, _FORMATS)
    _check("whitespace", whitespace, _WHITE_SPACE)
    _check("integers", integers, _INTEGERS)
    document = as_document(schema)
    try:
        options = Options(
            "refuse" if unknown == "refuse" else "note",
            "note" if formats == "note" else "assert",
            plain_integers=integers == "plain",
        )
        demands = Demands(document, options)
        layout: WhiteSpace = "compact" if whitespace == "compact" else "pretty" if whitespace == "pretty" else "any"
        rules = _rules(demands, Productions(demands.places, property_order, layout, in_order), around)
    except RecursionError:
        raise GrammarError(_TOO_DEEP) from None
    if not rules.productions:
        places = f" (none at {', '.join(demands.impossible[:3])})" if demands.impossible else ""
        raise GrammarError(
            f"JSON schema: no value is valid under it{places}; look for false, bounds that exclude each other, a "
            "required key that may not be there, or an object that must contain another of its kind without end"
            + (f" (or {DEEPEST} times, under whitespace='pretty')" if layout == "pretty" else "")
        )
    return rules, demands.notes.sentences()


def _check(name: str, value: str, legal: tuple[str, ...]) -> None:
    """Raises a GrammarError if an option has none of its values."""
    if not isinstance(value, str) or value not in legal:
        raise GrammarError(
            f"{name}={value!r:.60} is unknown; legal: {', '.join(map(repr, legal))}." + nearest(str(value)[:60], legal)
        )


def _rules(demands: Demands, grammar: Productions, around: Callable[[Rules], Rules] | None) -> Rules:
    """The grammar of the whole document, for which `grammar` is yet empty, and what is made of it."""
    start = grammar.value(demands.demand(demands.document, "#"))
    for demand, name in grammar.pending():
        with naming(f"JSON schema at {grammar.place}"):
            for form in demands.checked_forms(demand):
                if form.possible(demands):
                    grammar.add(name, *form.bodies(grammar, demands, name))
    return grammar.rules(start, around)


def as_document(schema: Any) -> Any:
    """A schema as plain JSON data, a copy.

    Raises:
        GrammarError: it is not JSON, or of no kind that a schema is given as.
    """
    if isinstance(schema, str):
        try:
            schema = json.loads(schema, parse_constant=_not_json)
        except (ValueError, RecursionError) as error:
            raise GrammarError(
                f"the JSON schema is a str but not JSON: {error}; pass its JSON text, or a dict"
            ) from None
    elif is_type(schema):
        schema = schema_of(schema)
    elif not isinstance(schema, dict | bool):
        raise GrammarError(
            f"a JSON schema is a dict, a bool, a str of JSON, a type such as list[int] or a pydantic model class, but "
            f"this is {type(schema).__name__} {schema!r:.60}"
        )
    try:
        return json.loads(json.dumps(schema, allow_nan=False))
    except RecursionError:
        raise GrammarError(_TOO_DEEP) from None
    except (TypeError, ValueError) as error:
        raise GrammarError(f"the JSON schema holds what JSON does not have: {error}; use plain JSON data") from None


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
