"""Random requests to small models: `python -m tests.slow.fuzz_runs --minutes 10`.

Composed schedulers, caches, parameters, grammars, prompts and documents, in batches of one to four. Each is refused
with a `DllmError`, or its answer keeps what is promised: it is the same alone, its trace leads to it, no mask is left,
what was given has not changed, the grammar accepts it, and the number of forwards is bounded
(`tests.support.fuzzed_runs`).
"""

import torch

from dllm import SamplingParams
from tests.support import fuzzing
from tests.support.fuzzed_runs import GRAMMARS, check, grammar, model

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in GRAMMARS:  # the first use compiles the loops, which is no hang
        model("tiny").generate("x", SamplingParams(max_new_tokens=24, grammar=grammar(name), seed=0))
    fuzzing.main(__doc__, check, patience=120.0)
