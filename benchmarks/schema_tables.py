"""What the tables of real schemas' grammars take with a vocabulary, nothing kept on disk."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.grammar_speed import load_vocabulary
from benchmarks.schema_limits import TooLong, cpu_limit, spread
from dllm import Grammar, GrammarError
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.vocabulary import Vocabulary


def tables(items: Iterable[dict[str, Any]], path: Path, seconds: float) -> Iterator[str]:
    """A line for each schema that takes over a second or has no tables, then a table."""
    words, _ = load_vocabulary(path)
    cost(Grammar.from_choices(["a"]), words, seconds)  # compiles the loops, or loads them
    found, without = [], 0
    for index, item in enumerate(items):
        name = f"{index} {item['source'].partition('---')[0]}"
        try:
            grammar = Grammar.from_json_schema(item["schema"])
        except GrammarError:
            continue
        try:
            found.append(cost(grammar, words, seconds))
        except (GrammarError, TooLong) as error:
            without += 1
            yield f"no tables: {name}: {error or 'too long'!s:.150}"
            continue
        if found[-1][0] > 1:
            yield f"{found[-1][0]:.2f} s, {found[-1][1]:.0f} MB: {name}"
    yield ""
    yield "| schemas with tables | without | CPU ms (median / p95 / most) | MB (median / p95 / most) |"
    yield "|---|---|---|---|"
    times, sizes = [1000 * one for one, _ in found], [one for _, one in found]
    yield f"| {len(found)} | {without} | {spread(times)} | {spread(sizes)} |"


def cost(grammar: Grammar, words: Vocabulary, seconds: float) -> tuple[float, float]:
    """CPU seconds, and megabytes at most, which are counted in a run of their own, since that is slow."""
    began = time.process_time()
    with cpu_limit(seconds):
        CompiledGrammar.make(grammar.rules, words)
    spent = time.process_time() - began
    tracemalloc.start()
    try:
        with cpu_limit(4 * seconds):
            CompiledGrammar.make(grammar.rules, words)
        return spent, tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
