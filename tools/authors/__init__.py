"""The methods in their authors' own code, beside ours: what `benchmarks/authors.py` runs and `tests/data/authors` holds.

`methods` is the list: which file of which repository, how it is called, and which of our specs is meant to equal it.
`child` runs in the authors' environment and imports neither dllm nor anything of it; `compare` runs ours.
"""
