"""Instances that `hypothesis-jsonschema` draws for a schema, and values near them, against `jsonschema`:
`python -m tests.slow.fuzz_instances --minutes 10`.

What `fuzz_schemas` reads is written by the grammar or comes from nowhere; here what is valid is written by another.
"""

import json
import random
import re
import warnings
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.internal.conjecture.utils import many
from hypothesis_jsonschema import from_schema

from dllm import DllmError, Grammar
from tests.grammars.test_json_schema import validator
from tests.references import json_sampler
from tests.support import fuzzing
from tests.support.fuzzed_schemas import NARROW, UNREAD, Note, judged, schema


def more(elements: Any) -> bool:
    """Whether one more element is drawn: hypothesis-jsonschema 0.23 asks so what hypothesis answers to `for` alone."""
    if not hasattr(elements, "steps"):
        elements.steps = iter(elements.__enter__())
    return next(elements.steps, "over") is None


many.more = more  # type: ignore[attr-defined]
INSTANCES = 12
"""Of each schema."""


def drawn(rng: random.Random, found: Any) -> list[Any]:
    """Instances of a schema; none where `hypothesis-jsonschema` fails, as it does in many ways."""
    values: list[Any] = []
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")

        @seed(rng.randrange(1 << 32))
        @settings(
            max_examples=INSTANCES,
            database=None,
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=[*HealthCheck],
        )
        @given(from_schema(found))
        def collect(value: Any) -> None:
            values.append(value)

        collect()
    return values


def check(rng: random.Random) -> Note:
    """One schema. Raises AssertionError as `fuzzed_schemas.judged` does."""
    found = schema(rng)
    if not isinstance(found, dict):
        return Note(booleans=1)
    try:
        grammar = Grammar.from_json_schema(found)
        grammar.accepts("")
        judge = validator(found)
    except DllmError:
        return Note(refused=1)
    except UNREAD:
        return Note({"jsonschema refuses it": 1})
    instances = drawn(rng, found)
    near = [json_sampler.near(rng, value) for value in instances for _ in range(2)]
    values = [(False, value) for value in (*instances, *near)]
    complete = not re.search(NARROW, json.dumps(found))
    seen = judged(grammar, judge, values, repr(found)[:3000], complete=complete)
    return seen + Note({"schemas": 1, "without an instance": not instances})


if __name__ == "__main__":
    fuzzing.main(__doc__, check)
