"""What a grammar costs: `python benchmarks/grammar_speed.py --vocabulary qwen.tiktoken`.

Canvases are cut from real texts: gaps at random places, or each token revealed at random. For each pattern it prints,
as median / 95th percentile in milliseconds:

- cold: is a fresh canvas completable (a witness included), and the masks of up to 32 of its positions;
- next: the same after one more token of the text was committed (three commits a canvas, each on its own);
- undecided: canvases whose search was given up, if any; their times are not counted.

With `--noisy PATH` it measures refused commits instead: see `noisy_oracle`.

Then the mean time of a commit when the whole text is generated in blocks of 32, in an order that is nearly from left to
right. A vocabulary is a file of lines `base64(token) rank`, as byte-level BPEs are published (Qwen's is in the PyPI
package dashscope, under resources/); by default the embedded model's.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import TypeVar

import torch

from benchmarks.noisy_oracle import table
from benchmarks.real_code import SOURCES
from benchmarks.real_code import texts as real_texts
from dllm import Grammar, GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.search.masks import Possible
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.vocabulary import Vocabulary, vocabulary, vocabulary_of
from dllm.hub import TINY, resolve_folder
from dllm.tokenizer import Tokenizer

TEXTS = Path(__file__).parent / "texts"
TEXT_NAMES = ("short.cpp", "middle.cpp", "long.cpp", "order.json")
GAPS, REVEALED = (1, 2, 3), (0.05, 0.15, 0.25, 0.5, 0.75, 0.95)
COMMITS = 3
"""Commits that are timed on each canvas, each as the first."""
Pattern = int | float
Encode = Callable[[bytes], list[int]]
Result = TypeVar("Result")


def load_vocabulary(path: Path | None) -> tuple[Vocabulary, Encode]:
    """A vocabulary, and how to split a text into its tokens; its last id is no text, and ends one."""
    if path is None:
        tokenizer = Tokenizer.from_folder(resolve_folder(TINY))
        words = vocabulary_of(tokenizer, tokenizer.vocab_size + 1, {tokenizer.vocab_size})
        return words, lambda text: tokenizer.encode(text.decode())
    tokens: list[bytes | None] = [base64.b64decode(line.split()[0]) for line in path.read_text().splitlines()]
    words = vocabulary([*tokens, None])
    return words, lambda text: merged(text, {token: rank for rank, token in enumerate(tokens) if token})


def merged(text: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Byte-pair merges by rank inside words; how words are split differs from the tokenizer's in trifles."""
    found: list[int] = []
    for word in re.findall(rb" ?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+\n*|\s+(?!\S)|\s", text):
        parts = [word[i : i + 1] for i in range(len(word))]
        while len(parts) > 1:
            rank, at = min((ranks.get(parts[i] + parts[i + 1], len(ranks)), i) for i in range(len(parts) - 1))
            if rank == len(ranks):
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        found += [ranks[part] for part in parts]
    return found


def with_gaps(ids: Sequence[int], pattern: Pattern, rng: random.Random) -> list[int]:
    """The ids with gaps: as many as said, or each token revealed with this probability."""
    if isinstance(pattern, float):
        return [token if rng.random() < pattern else MASK for token in ids]
    ends = sorted(rng.sample(range(len(ids) + 1), 2 * pattern))
    found = list(ids)
    for low, high in zip(ends[::2], ends[1::2], strict=True):
        found[low:high] = [MASK] * (high - low)
    return found


def compute_masks(compiled: CompiledGrammar, canvas: Canvas, count: int, rng: random.Random) -> None:
    """Those of `count` masked positions."""
    possible = Possible(compiled, canvas)
    masked = [at for at, token in enumerate(canvas.ids) if token == MASK]
    for at in sorted(rng.sample(masked, min(count, len(masked)))):
        gap = next(gap for gap in canvas.gaps if gap.start <= at < gap.stop)
        _ = possible(gap).groups(at - gap.start)[compiled.table.group_of]


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Milliseconds, and what came out."""
    began = time.perf_counter()
    found = work()
    return 1000 * (time.perf_counter() - began), found


def measure_pattern(compiled: CompiledGrammar, ids: list[int], pattern: Pattern, count: int) -> list[list[float]]:
    """Cold check, cold masks, next check, next masks: times of `count` canvases; then those that were not found out."""
    columns: list[list[float]] = [[], [], [], [], []]
    for seed in range(count):
        rng = random.Random(seed)
        canvas = Canvas(tuple(with_gaps(ids, pattern, rng)))
        if MASK not in canvas.ids:
            continue
        began = time.perf_counter()
        try:
            found = GrammarConstraint.start(compiled, canvas, 0, ())
        except GrammarError:
            columns[4].append(1000 * (time.perf_counter() - began))
            continue
        columns[0].append(1000 * (time.perf_counter() - began))
        columns[1].append(timed(partial(compute_masks, compiled, canvas, 32, rng))[0])
        masked = [at for at, token in enumerate(canvas.ids) if token == MASK]
        latest = found
        for at in rng.sample(masked, min(COMMITS, len(masked))):
            spent, after = timed(partial(found.commit, {at: ids[at]}))
            assert after is not None, "the text itself is a completion"
            columns[2].append(spent)
            latest = after
        if MASK in latest.canvas.ids:
            columns[3].append(timed(partial(compute_masks, compiled, latest.canvas, 32, rng))[0])
    return columns


def blockwise(compiled: CompiledGrammar, ids: list[int]) -> tuple[float, float, float, int]:
    """Mean and largest milliseconds of a commit, and mean milliseconds of the masks of a step of 8 commits.

    And the commits that were given up: their time is not counted, and their places stay masked.
    """
    room = len(ids) + 8
    state = GrammarConstraint.start(compiled, Canvas((MASK,) * room, ends=True), 0, (len(compiled.table.group_of) - 1,))
    rng = random.Random(0)
    commits, steps, given_up = [], [], 0
    for start in range(0, len(ids), 32):
        block = sorted(range(start, min(start + 32, len(ids))), key=lambda at: at + rng.gauss(0, 6))
        for number, at in enumerate(block):
            if number % 8 == 0:
                left = torch.tensor(sorted(block[number:]))
                steps.append(timed(partial(state.allowed, left))[0])
            spent, after = timed(partial(state.commit, {at: ids[at]}))
            if after is None:  # never because of the text, which is a completion
                given_up += 1
                continue
            commits.append(spent)
            state = after
    return mean(commits), max(commits), mean(steps), given_up


def given_list(words: Vocabulary, encode: Encode, numbers: int) -> tuple[int, float]:
    """Tokens of a JSON list of digits that is given, up to its last bracket; and milliseconds of the check."""
    compiled = Grammar.builtin("json").compile(words)
    ids = encode(b"[" + b", ".join(b"%d" % (i % 10) for i in range(numbers)))
    canvas = Canvas((*ids, MASK), False)
    return len(ids), timed(lambda: GrammarConstraint.start(compiled, canvas, 0, ()))[0]


def noisy(words: Vocabulary, encode: Encode, path: Path, count: int) -> Iterator[str]:
    """The lines of `noisy_oracle.table` for the first texts that the grammar takes; there are holes in everything."""
    grammar = Grammar.builtin("cpp", swallow=True)
    found = ((one["name"], one["text"]) for one in real_texts(path, SOURCES["cpp"]) if "text" in one)
    split = ((name, encode(text.encode())) for name, text in found if grammar.accepts(text))
    chosen = islice(((name, ids) for name, ids in split if 50 <= len(ids) <= 400), count)
    return table(grammar.compile(words), list(chosen))


def peak() -> float:
    """Megabytes of this process so far, at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def median_and_tail(times: Sequence[float]) -> str:
    ordered = sorted(times)
    return f"{median(ordered):.1f} / {ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]:.1f}" if ordered else "-"


def main() -> None:
    """Read the options, measure, print Markdown tables (and a JSON object with --json)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=Path, help="lines of base64(token) rank")
    parser.add_argument("--count", type=int, default=40, help="canvases a pattern")
    parser.add_argument("--texts", nargs="+", choices=TEXT_NAMES, default=TEXT_NAMES, help="of benchmarks/texts")
    parser.add_argument("--given", type=int, nargs="+", default=(), help="numbers of a JSON list that is all given")
    parser.add_argument(
        "--noisy",
        type=Path,
        metavar="PATH",
        help="instead: an oracle with errors fills C++ texts of 50 to 400 tokens; a folder, or lines of JSON",
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    words, encode = load_vocabulary(given.vocabulary)
    if given.noisy:
        for line in noisy(words, encode, given.noisy, given.count):
            print(line, flush=True)
        return
    idle = peak()
    schema = json.loads((TEXTS / "order.schema.json").read_text())
    small = CompiledGrammar.make(Grammar.from_choices(["a b"]).rules, words)  # compiles the loops, or loads them
    measure_pattern(small, encode(b"a b"), 0.5, 20)
    jobs = [
        # gaps hide the beginnings of strings and directives of which more is given
        ("cpp", Grammar.builtin("cpp", swallow=True), [text for text in given.texts if text.endswith(".cpp")]),
        (
            "JSON schema",
            Grammar.from_json_schema(schema, property_order="schema"),
            [t for t in given.texts if t == TEXT_NAMES[3]],
        ),
    ]
    results: dict[str, object] = {}
    for name, grammar, texts in (job for job in jobs if job[2]):
        spent, compiled = timed(partial(grammar.compile, words))
        print(f"\n{name}: {len(compiled.scanner.next)} scanner states, {len(compiled.grammar.names)} symbols, ", end="")
        print(f"{len(words)} tokens; prepared in {spent / 1000:.2f} s")
        results[f"{name} preparation s"] = spent / 1000
        for text in texts:
            ids = encode((TEXTS / text).read_bytes())
            print(f"\n{text}, {len(ids)} tokens\n")
            print("| canvas | cold check | cold masks | next check | next masks | undecided |")
            print("|---|---|---|---|---|---|")
            for pattern in (*GAPS, *REVEALED):
                label = f"{pattern} gaps" if isinstance(pattern, int) else f"{100 * pattern:g} % revealed"
                columns = measure_pattern(compiled, ids, pattern, given.count)
                lost = f" {len(columns[4])} |" if columns[4] else " |"
                print(f"| {label} | " + " | ".join(map(median_and_tail, columns[:4])) + f" |{lost}", flush=True)
                results[f"{text} {label}"] = columns
            average, worst, step, given_up = blockwise(compiled, ids)
            print(
                f"\nin blocks of 32: {average:.2f} ms a commit (at most {worst:.1f}), {step:.1f} ms masks a step",
                end="",
            )
            print(f"; {given_up} commits undecided" if given_up else "")
            results[f"{text} blockwise"] = (average, worst, step, given_up)
    for numbers in given.given:
        length, spent = given_list(words, encode, numbers)
        print(f"\na JSON list of {length} tokens, all but its end given: {spent / 1000:.2f} s")
    print(f"\npeak memory {peak():.0f} MB; {idle:.0f} MB of that were torch, the libraries and the vocabulary")
    if given.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
