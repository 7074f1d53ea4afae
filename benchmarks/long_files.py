"""What given text costs around a small hole: `python benchmarks/long_files.py PATH --vocabulary qwen.tiktoken`.

PATH is a folder of C++ files, or lines of JSON as `real_code.py` takes them. In each file of about so many tokens, one
hole of 30 is cut out of the middle half and filled with the file's own tokens in random order. Printed is CPU time: of
the first check, in milliseconds a commit, and in milliseconds for the masks of what is left of the hole; as median /
95th percentile / most. Files in which the hole hides the beginning of a string or a comment are left out.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.grammar_speed import Encode, load_vocabulary
from benchmarks.real_code import SOURCES, texts
from benchmarks.schema_limits import spread
from dllm import Grammar, GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.tables.compiled import CompiledGrammar

HOLE = 30
BYTES_A_TOKEN = (2, 6)
"""Files outside of this are not split into tokens at all."""
Times = tuple[list[float], list[float], list[float]]
"""Milliseconds of first checks, of commits, and of masks."""


def clock() -> float:
    """Milliseconds of this process's CPU time."""
    return 1000 * time.process_time()


def files(path: Path, grammar: Grammar, encode: Encode, tokens: int) -> Iterator[list[int]]:
    """Tokens of the files that the grammar takes, of a length within a fifth of `tokens`."""
    low, high = BYTES_A_TOKEN
    for one in texts(path, SOURCES["cpp"]):
        text = one.get("text", "")
        if low * tokens < len(text) < high * tokens:
            ids = encode(text.encode())
            if abs(len(ids) - tokens) <= tokens / 5 and grammar.accepts(text):
                yield ids


def filled(compiled: CompiledGrammar, ids: Sequence[int], rng: random.Random) -> Times | None:
    """Times for one hole; None where its canvas is not taken."""
    start = rng.randrange(len(ids) // 4, 3 * len(ids) // 4 - HOLE)
    hole = range(start, start + HOLE)
    canvas = Canvas((*ids[:start], *[MASK] * HOLE, *ids[start + HOLE :]))
    began = clock()
    try:
        state = GrammarConstraint.start(compiled, canvas, 0, ())
    except GrammarError:
        return None
    first, commits, masks = [clock() - began], [], []
    for at in rng.sample(hole, HOLE):
        began = clock()
        left = [place for place in hole if state.canvas.ids[place] == MASK]
        state.allowed(torch.tensor(left))
        masks.append(clock() - began)
        began = clock()
        after = state.commit({at: ids[at]})
        commits.append(clock() - began)
        state = after or state  # it may be given up
    return first, commits, masks


def main() -> None:
    """Read the options, measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--vocabulary", type=Path, help="lines of base64(token) rank")
    parser.add_argument("--tokens", type=int, nargs="+", default=(1000, 2000, 4000))
    parser.add_argument("--count", type=int, default=5, help="files of a length")
    given = parser.parse_args()
    torch.set_num_threads(1)
    words, encode = load_vocabulary(given.vocabulary)
    grammar = Grammar.builtin("cpp")
    compiled = grammar.compile(words)
    filled(compiled, encode(b"int f() { return 1; }\n" * 20), random.Random(0))  # compiles the loops, or loads them
    print("| tokens | files | first check | a commit | masks of a step |\n|---|---|---|---|---|")
    for tokens in given.tokens:
        rng, done = random.Random(tokens), list[Times]()
        for ids in files(given.path, grammar, encode, tokens):
            times = filled(compiled, ids, rng)
            done += [times] if times else []
            if len(done) == given.count:
                break
        columns = [spread([value for times in done for value in times[kind]]) for kind in range(3)]
        print(f"| {tokens} | {len(done)} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
