"""Random grammars in Lark's notation against lark's own Earley parser: `python -m tests.slow.fuzz_lark --minutes 10`.

A grammar is refused in bounded time with a `DllmError`, or accepts what lark accepts (`tests.support.fuzzed_lark`). Of
broken ones that are read all the same only the time is looked at.
"""

from tests.support import fuzzing
from tests.support.fuzzed_lark import check

if __name__ == "__main__":
    fuzzing.main(__doc__, check)
