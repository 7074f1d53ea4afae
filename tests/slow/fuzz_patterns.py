"""Random patterns against `re.fullmatch` (in schemas `re.search`): `python -m tests.slow.fuzz_patterns --minutes 10`.

A pattern is refused in bounded time with a `DllmError`, or its grammar accepts what `re` matches
(`tests.support.fuzzed_patterns`).
"""

from tests.support import fuzzing
from tests.support.fuzzed_patterns import check

if __name__ == "__main__":
    fuzzing.main(__doc__, check)
