r"""JSON Schema as a grammar: the JSON texts whose values are valid under a schema.

Texts are those of RFC 8259, with white space anywhere between lexemes. Schemas are read as draft 2020-12. Nothing
invalid is ever accepted: what a grammar cannot say is refused by name, never ignored.

Supported:

- `type`, `const`, `enum`; `true` and `false` as schemas;
- `anyOf`; `allOf`, and keywords beside each other; `oneOf` if no value can be valid under two branches, because they
  differ by type, by a required key with different `const` or `enum`, by bounds or the like (patterns do not count);
- `$ref` to a place in the same document (`#`, `#/$defs/name`, `#anchor`), recursive or not; nothing is fetched;
- `properties`, `required`, `additionalProperties`: keys in any order for up to 8 required ones, beyond that only with
  `property_order="schema"`; `minProperties` and `maxProperties` where they follow from what is required, or where
  nothing is;
- `prefixItems`, `items`, `minItems`, `maxItems`;
- `pattern`, `minLength`, `maxLength`, all of the meant text, and `format`: date, date-time, time, uuid, ipv4, email;
- `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`; `multipleOf` divisors of 1000. 1.0 is an integer.

Counts go up to 256. `title`, `description`, `default`, `examples`, `$comment`, `deprecated`, `readOnly`, `writeOnly`
and OpenAPI's `discriminator` assert nothing and may stand anywhere. All other keywords and formats are refused, and so
are `uniqueItems: true`, `$id` below the root, and a schema under which nothing is valid.

A text whose value is valid is rejected only where

1. escape: a printable ASCII character other than `"`, `\` and `/` is written as an escape (`\u0041`); or a string
   with a length bound above 4 has `\uXXXX` at all; or there is half a surrogate pair;
2. number: a whole number has an exponent, or over 15 digits before `.0`; a number with bounds has an exponent, or is
   closer to an exclusive one than its 15th digit; one from `const` or `enum` has an exponent, or does not fit a
   double, and is not written as `json.dumps` does;
3. order: the keys of an object from `const` or `enum` are in another order than there; or, under
   `property_order="schema"`, keys are not in the order of `properties`, `required`, then the others, where those of a
   schema itself precede those of its `$ref`, `allOf`, `anyOf` and `oneOf`;
4. repetition: a required key comes twice, or repeated keys exceed `maxProperties`. An optional key may be repeated:
   the last one counts, and each is valid;
5. pattern: ECMA-262 and Python do not both match the text (`\d`, `\w`, `\s` outside ASCII, `$` before a line end);
6. format: it is asserted, which by default it is not; leap seconds, quoted local parts and address literals in e-mail
   addresses are left out;
7. discriminator: `oneOf` has a `discriminator`, and the key it names is missing.

How `json.loads` is limited is no part of this: by default Python reads no integer of over 4300 digits, and no deep
nesting.
"""

from __future__ import annotations

import json
from typing import Any

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.json_schema.demands import Keywords
from dllm.grammars.frontends.json_schema.productions import Productions
from dllm.grammars.rules import Rules

_ORDERS = ("any", "schema")
_TOO_DEEP = "JSON schema: its schemas are nested too deeply; move inner ones to $defs"


def rules_from_schema(schema: Any, *, property_order: str = "any") -> Rules:
    """A grammar of the JSON texts whose values are valid under a schema.

    Args:
        schema: a dict or bool, a str (the schema's JSON text), or a pydantic model class.
        property_order: "any"; or "schema": keys come in the order in which `properties` names them, and keys that it
            does not name come last. Then any number of keys may be required, and the grammar is much smaller.

    Raises:
        GrammarError: the schema is not JSON, not a schema, not supported, or no value is valid under it.
    """
    if property_order not in _ORDERS:
        raise GrammarError(
            f"property_order={property_order!r} is unknown; legal: {', '.join(map(repr, _ORDERS))}."
            + nearest(str(property_order), _ORDERS)
        )
    document = _document(schema)
    keywords = Keywords(document)
    try:
        rules = Productions(keywords, property_order == "schema").rules(keywords.wanted(document, "#"))
    except RecursionError:
        raise GrammarError(_TOO_DEEP) from None
    if not rules.productions:
        places = f" (none at {', '.join(keywords.impossible[:3])})" if keywords.impossible else ""
        raise GrammarError(
            f"JSON schema: no value is valid under it{places}; look for false, bounds that exclude each other, a "
            "required key that may not be there, or an object that must contain another of its kind without end"
        )
    return rules


def _document(schema: Any) -> Any:
    """The schema as plain JSON data, a copy."""
    if isinstance(schema, str):
        try:
            schema = json.loads(schema, parse_constant=_not_json)
        except (ValueError, RecursionError) as error:
            raise GrammarError(
                f"the JSON schema is a str but not JSON: {error}; pass its JSON text, or a dict"
            ) from None
    elif isinstance(schema, type) and callable(getattr(schema, "model_json_schema", None)):
        try:
            schema = schema.model_json_schema()  # type: ignore[attr-defined]  # pydantic is not imported here
        except Exception as error:  # its errors are no ValueErrors
            raise GrammarError(f"pydantic has no JSON schema for {schema.__name__}: {error}") from None
    elif not isinstance(schema, dict | bool):
        raise GrammarError(
            f"a JSON schema is a dict, a bool, a str of JSON or a pydantic model class, but this is "
            f"{type(schema).__name__} {schema!r}"
        )
    try:
        return json.loads(json.dumps(schema, allow_nan=False))
    except RecursionError:
        raise GrammarError(_TOO_DEEP) from None
    except (TypeError, ValueError) as error:
        raise GrammarError(f"the JSON schema holds what JSON does not have: {error}; use plain JSON data") from None


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
