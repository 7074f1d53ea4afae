"""Mutated JSON Schemas against `jsonschema`: `python -m tests.slow.fuzz_schemas --minutes 10`.

A schema is refused in bounded time with a `DllmError`; or what its grammar writes is valid, and it accepts what is
valid and nothing else, but for what docs/json-schema.md lists (`tests.support.fuzzed_schemas`).
"""

from tests.support import fuzzing
from tests.support.fuzzed_schemas import check

if __name__ == "__main__":
    fuzzing.main(__doc__, check)
