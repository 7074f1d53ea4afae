"""Schemas of `not`, `if`, `oneOf`, `contains` and the like against `jsonschema`, on all of some small texts:
`python -m tests.slow.fuzz_negated --minutes 10`.
"""

import json
import random
from collections import Counter

from jsonschema.exceptions import SchemaError

from tests.grammars.test_json_schema import validator
from tests.support import fuzzing, negated_schemas


def attempt(rng: random.Random) -> Counter[str]:
    """One schema, in one of the two orders of keys."""
    schema = negated_schemas.in_draft(rng, negated_schemas.schema(rng, rng.choice((2, 2, 3))))
    told = json.dumps(schema)
    if "2019" in told and "unevaluated" in told:  # there jsonschema takes keywords of additionalProperties for keys
        return Counter(no_judge=1)
    try:
        judge = validator(schema)
    except SchemaError:  # another draft has other forms
        return Counter(no_schema=1)
    # of what readers disagree about, and of 1.0 in draft 4, nothing may be accepted on either side of a negation
    complete = "\\\\w" not in told and '$"' not in told and "draft-04" not in told
    return negated_schemas.check(schema, judge, order=rng.choice(("any", "any", "schema")), complete=complete)


if __name__ == "__main__":
    fuzzing.main(__doc__, attempt)
