"""What becomes of real schemas: `python benchmarks/json_schemas.py FOLDER|FILE.jsonl[.gz]`.

A file has a JSON object a line: `schema`; `valid` and `invalid`, lists of instances; and `source`, whose part before
`---`, without numbers at its end, names the data set (without one, the file's name does). Of a folder, all such files
are read. By data set it prints

- compiled: schemas of which `Grammar.from_json_schema` makes a grammar;
- right: of all schemas, those that are compiled, accept every valid instance and refuse every invalid one;
- wrong accepts, wrong rejects: instances, of those of compiled schemas;
- undecided: schemas that took more than `--seconds` of CPU time (or `--gigabytes` of memory), compilation included;
- ms: what `from_json_schema` takes, median / 95th percentile / most, for those that are refused too.

With `--tables VOCABULARY` (a file as `grammar_speed.py` takes it) a second table says what the tables of a grammar and
that vocabulary take, with nothing kept on disk: CPU time and the most memory at once, median / 95th percentile / most.

Then the reasons of what is refused, by keyword and by how many schemas have it as their first; and with `--list` each
schema that is refused or wrong.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import resource
import signal
import sys
import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

from dllm import Grammar, GrammarError
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.vocabulary import Vocabulary

SUFFIXES = (".jsonl", ".jsonl.gz")
REASONS = (
    (r"the keyword '([^']*)'", r"\1"),
    (r"branches \d+ and \d+ of (oneOf)", "oneOf with overlap"),
    (r": pattern '.*' has ([a-z -]+)", r"pattern: \1"),
    (r": pattern ", "pattern"),
    (r"(\w[\w ]*) at \S+ is too large", r"\1 over the limit of states"),
    (r"no value is valid", "no value is valid"),
    (r"\d+ required keys in any order", "required keys in any order"),
    (r": format=(\S+?),", r"format=\1"),
    (r": (\$ref|\$schema|type|items)=", r"\1"),
    (r": ([$\w]+)=", r"\1"),
)
"""In what is said of a refused schema, and the reason that is counted."""


class TooLong(Exception):
    """A schema took all of its time."""


@dataclass
class Verdict:
    """What became of one schema; `seconds` are of CPU, for `from_json_schema`; `tables` are seconds and megabytes."""

    source: str
    seconds: float
    refused: str | None = None
    undecided: bool = False
    wrong_accepts: int = 0
    wrong_rejects: list[Any] = field(default_factory=list)
    tables: tuple[float, float] | None = None

    @property
    def compiled(self) -> bool:
        return self.refused is None

    @property
    def right(self) -> bool:
        return self.compiled and not (self.undecided or self.wrong_accepts or self.wrong_rejects)


def schemas(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file, or of all files of a folder, in the order of their names."""
    files = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES)) if path.is_dir() else [path]
    for file in files:
        text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for line in text.splitlines():
            yield {"source": file.name.partition(".")[0], **json.loads(line)}


def table_cost(grammar: Grammar, words: Vocabulary, seconds: float) -> tuple[float, float]:
    """CPU seconds of making the tables, and megabytes, which are counted in a run of their own, since that is slow."""
    began = time.process_time()
    CompiledGrammar.make(grammar.rules, words)
    spent = time.process_time() - began
    signal.setitimer(signal.ITIMER_VIRTUAL, 4 * seconds)
    tracemalloc.start()
    try:
        CompiledGrammar.make(grammar.rules, words)
        return spent, tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)


def judged(item: dict[str, Any], seconds: float, words: Vocabulary | None = None) -> Verdict:
    """One schema and its instances; and its tables, if there is a vocabulary."""
    began = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    found = Verdict(item["source"], 0.0)
    try:
        try:
            grammar = Grammar.from_json_schema(item["schema"])
        except GrammarError as error:
            found.refused = str(error)
            return found
        finally:
            found.seconds = time.process_time() - began
        if words is not None:
            found.tables = table_cost(grammar, words, seconds)
        for kind in ("valid", "invalid"):
            for instance in item.get(kind, ()):
                accepted = grammar.accepts(json.dumps(instance, ensure_ascii=False))
                if accepted and kind == "invalid":
                    found.wrong_accepts += 1
                elif not accepted and kind == "valid":
                    found.wrong_rejects.append(instance)
    except GrammarError as error:  # tables that outgrow the limit, found out by the first text
        found.refused = str(error)
    except (TooLong, MemoryError):
        found.undecided = True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return found


def reason(error: str) -> str:
    """The kind of a refusal."""
    for pattern, name in REASONS:
        match = re.search(pattern, error)
        if match:
            return match.expand(name)
    return re.sub(r"JSON schema at \S+ ?", "", error)[:60]


def row(name: str, verdicts: list[Verdict]) -> str:
    times = [1000 * one.seconds for one in verdicts]
    compiled, right = (sum(map(test, verdicts)) for test in (lambda one: one.compiled, lambda one: one.right))
    cells = [
        name,
        len(verdicts),
        f"{100 * compiled / len(verdicts):.1f}",
        f"{100 * right / len(verdicts):.1f}",
        sum(one.wrong_accepts for one in verdicts),
        sum(len(one.wrong_rejects) for one in verdicts),
        sum(one.undecided for one in verdicts),
        spread(times),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def spread(values: Iterable[float]) -> str:
    """Median / 95th percentile / most."""
    ordered = sorted(values)
    return f"{median(ordered):.1f} / {ordered[int(0.95 * (len(ordered) - 1))]:.1f} / {ordered[-1]:.0f}"


def table_rows(sets: Mapping[str, Iterable[Verdict]]) -> Iterator[str]:
    """What the tables of each data set took, if they were made."""
    costs = {name: [one.tables for one in own if one.tables is not None] for name, own in sets.items()}
    if any(costs.values()):
        yield from ("", "| data set | tables made | ms | MB |", "|---|---|---|---|")
    for name, own in costs.items():
        if own:
            spent, size = zip(*own, strict=True)
            yield f"| {name} | {len(own)} | {spread(1000 * one for one in spent)} | {spread(size)} |"


def report(verdicts: list[Verdict], most: int) -> Iterator[str]:
    """The lines to print."""
    sets: dict[str, list[Verdict]] = defaultdict(list)
    for one in verdicts:
        sets[re.sub(r"(_[0-9]+)+$", "", one.source.partition("---")[0])].append(one)
    yield "| data set | schemas | compiled % | right % | wrong accepts | wrong rejects | undecided | ms |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from (row(name, sets[name]) for name in sorted(sets))
    yield row("all", verdicts)
    yield from table_rows({**{name: sets[name] for name in sorted(sets)}, "all": verdicts})
    yield ""
    yield "| refused for | schemas |"
    yield "|---|---|"
    reasons = Counter(reason(one.refused) for one in verdicts if one.refused is not None)
    yield from (f"| {why} | {count} |" for why, count in reasons.most_common(most))


def listed(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """A line for each schema that is not right."""
    for one in verdicts:
        if one.refused is not None:
            yield f"refused: {one.source}: {one.refused:.300}"
        elif one.undecided:
            yield f"undecided: {one.source}"
        elif one.wrong_accepts:
            yield f"accepts {one.wrong_accepts} invalid instances: {one.source}"
        for instance in one.wrong_rejects:
            yield f"rejects: {one.source}: {json.dumps(instance):.300}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0, help="CPU time for one schema (default 20)")
    parser.add_argument("--gigabytes", type=float, default=6.0, help="address space of this process (default 6)")
    parser.add_argument("--reasons", type=int, default=40, help="how many reasons are listed (default 40)")
    parser.add_argument("--list", action="store_true", help="name each schema that is not right")
    parser.add_argument("--every", type=int, default=1, help="take one schema of so many")
    parser.add_argument("--tables", type=Path, metavar="VOCABULARY", help="lines of base64(token) rank")
    options = parser.parse_args()

    size = int(options.gigabytes * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGVTALRM, _ring)
    words = None
    if options.tables is not None:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        from benchmarks.grammar_speed import load_vocabulary  # needs torch, which all else here does not

        words, _ = load_vocabulary(options.tables)
        table_cost(Grammar.from_choices(["a"]), words, options.seconds)  # compiles the loops, or loads them
    verdicts = [judged(item, options.seconds, words) for item in list(schemas(options.path))[:: options.every]]
    if not verdicts:
        parser.error(f"{options.path} holds no schemas; give a file {' or '.join(SUFFIXES)}, or a folder of them")
    if options.list:
        print(*listed(verdicts), sep="\n")
    print(*report(verdicts, options.reasons), sep="\n")


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise TooLong


if __name__ == "__main__":
    main()
