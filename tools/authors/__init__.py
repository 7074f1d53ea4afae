"""The methods in their authors' own code, beside ours: what `benchmarks/authors.py` runs.

`method` says what a method is, `own_rules` and `step_rules` list them: which file of which repository, how it is
called, and which of our specs is meant to equal it. `child` runs in the authors' environment and imports nothing of
dllm; `compare` runs ours. What theirs did is kept in tests/data/authors.
"""
