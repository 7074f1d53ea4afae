"""What becomes of real schemas: `python benchmarks/json_schemas.py FOLDER|FILE.jsonl[.gz]`.

A file has a JSON object a line: `schema`; `valid` and `invalid`, lists of instances; and `source`, whose part before
`---`, without numbers at its end, names the data set (without one, the file's name does). Of a folder, all such files
are read. By data set it prints

- compiled: schemas of which `Grammar.from_json_schema` makes a grammar;
- right: of all schemas, those that are compiled, accept every valid instance and refuse every invalid one;
- wrong accepts, wrong rejects: instances, of those of compiled schemas;
- undecided: schemas that took more than `--seconds` of CPU time (or `--gigabytes` of memory), compilation included;
- ms: what `from_json_schema` takes, median / 95th percentile / most, for those that are refused too.

Then the reasons of what is refused, by keyword and by how many schemas have it as their first; and with `--list` each
schema that is refused or wrong.

With `--peers` the same for the engines of others that are installed, each schema in turn by all of them, each engine in
a process of its own; and a table that compares them. Of ours, ms is `from_json_schema` alone; of theirs, all that they
do before the first byte, on a vocabulary of bytes.

With `--generate N` it generates under the N largest schemas of those that compile and have a valid instance, with
random logits on a canvas 30 % longer than that instance, and has `jsonschema` judge each text; which formats that
checks depends on what it finds installed (`jsonschema[format-nongpl]` has them all). A line a schema, then a table.

With `--tables VOCABULARY` (lines of base64(token) and rank, as `grammar_speed.py` takes it) it says what the tables of
a grammar and that vocabulary take, with nothing kept on disk.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the parts of this benchmark lie in this folder

from benchmarks.schema_limits import cpu_limit, spread
from benchmarks.schema_peers import GRACE, Accepts, Worker, installed
from dllm import Grammar, GrammarError

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


@dataclass
class Verdict:
    """What became of one schema; `seconds` are of CPU, for `from_json_schema`."""

    source: str
    seconds: float
    refused: str | None = None
    undecided: bool = False
    wrong_accepts: int = 0
    wrong_rejects: list[Any] = field(default_factory=list)

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


def ours(schema: Any) -> Accepts:
    """Whether a text is an instance, by our grammar. Raises GrammarError."""
    return Grammar.from_json_schema(schema).accepts


def judged(item: dict[str, Any], seconds: float, make: Callable[[Any], Accepts] = ours) -> Verdict:
    """One schema and its instances. `make` raises GrammarError for what it refuses."""
    found = Verdict(item["source"], 0.0)
    began = time.process_time()
    try:
        with cpu_limit(seconds) as clock:
            try:
                accepts = make(item["schema"])
            finally:
                found.seconds = time.process_time() - began
            for kind in ("valid", "invalid"):
                for instance in item.get(kind, ()):
                    accepted = accepts(json.dumps(instance, ensure_ascii=False))
                    if accepted and kind == "invalid":
                        found.wrong_accepts += 1
                    elif not accepted and kind == "valid":
                        found.wrong_rejects.append(instance)
    except Exception as error:
        if not (clock.over or isinstance(error, GrammarError | MemoryError)):
            raise
        found.undecided = clock.over or isinstance(error, MemoryError)
        if not found.undecided:  # at the first text, too: tables that outgrow the limit
            found.refused = str(error)
    return found


def compared(items: Iterable[dict[str, Any]], seconds: float) -> dict[str, list[Verdict]]:
    """Our verdicts and those of the peers that are installed, by name: each schema in turn by all of them."""
    makers = {"dllm": ours, **installed()}
    plain = {"source": "", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}, "valid": [{"a": 1}]}
    workers: dict[str, Worker[dict[str, Any], Verdict]] = {
        name: Worker(partial(judged, seconds=seconds, make=make), [plain], seconds + GRACE)
        for name, make in makers.items()
    }
    found: dict[str, list[Verdict]] = {name: [] for name in workers}
    for item in items:
        for name, worker in workers.items():
            found[name].append(worker.ask(item) or Verdict(item["source"], seconds, undecided=True))
    for worker in workers.values():
        worker.stop()
    return found


def reason(error: str) -> str:
    """The kind of a refusal."""
    for pattern, name in REASONS:
        match = re.search(pattern, error)
        if match:
            return match.expand(name)
    return re.sub(r"JSON schema at \S+ ?", "", error)[:60]


def row(name: str, verdicts: list[Verdict]) -> str:
    compiled, right = (sum(map(test, verdicts)) for test in (lambda one: one.compiled, lambda one: one.right))
    cells = [
        name,
        len(verdicts),
        f"{100 * compiled / len(verdicts):.1f}",
        f"{100 * right / len(verdicts):.1f}",
        sum(one.wrong_accepts for one in verdicts),
        sum(len(one.wrong_rejects) for one in verdicts),
        sum(one.undecided for one in verdicts),
        spread([1000 * one.seconds for one in verdicts]),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def report(verdicts: list[Verdict], most: int) -> Iterator[str]:
    """The lines to print."""
    sets: dict[str, list[Verdict]] = defaultdict(list)
    for one in verdicts:
        sets[re.sub(r"(_[0-9]+)+$", "", one.source.partition("---")[0])].append(one)
    yield "| data set | schemas | compiled % | right % | wrong accepts | wrong rejects | undecided | ms |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from (row(name, sets[name]) for name in sorted(sets))
    yield row("all", verdicts)
    yield ""
    yield "| refused for | schemas |"
    yield "|---|---|"
    reasons = Counter(reason(one.refused) for one in verdicts if one.refused is not None)
    yield from (f"| {why} | {count} |" for why, count in reasons.most_common(most))


def summary(by_name: dict[str, list[Verdict]], items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The lines that compare engines: over all schemas, and over the instances of those that each compiles."""
    yield "\n## All\n"
    yield "| engine | schemas | compiled % | right % | valid accepted | invalid accepted | undecided | ms |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, verdicts in by_name.items():
        told = [(one, item) for one, item in zip(verdicts, items, strict=True) if one.compiled and not one.undecided]
        valid, invalid = (sum(len(item.get(kind, ())) for _, item in told) for kind in ("valid", "invalid"))
        accepted = valid - sum(len(one.wrong_rejects) for one, _ in told)
        wrong = sum(one.wrong_accepts for one, _ in told)
        schemas_wrong = sum(one.wrong_accepts > 0 for one, _ in told)
        cells = [
            name,
            len(verdicts),
            f"{100 * len(told) / len(verdicts):.1f}",
            f"{100 * sum(one.right for one in verdicts) / len(verdicts):.1f}",
            f"{accepted} of {valid}",
            f"{wrong} of {invalid} ({schemas_wrong} schemas)",
            sum(one.undecided for one in verdicts),
            spread([1000 * one.seconds for one in verdicts]),
        ]
        yield f"| {' | '.join(map(str, cells))} |"


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
    parser.add_argument("--peers", action="store_true", help="llguidance, xgrammar, outlines-core too, if installed")
    parser.add_argument(
        "--tables", type=Path, metavar="VOCABULARY", help="what tables take: lines of base64(token) rank"
    )
    parser.add_argument("--generate", type=int, metavar="N", help="generate under the N largest schemas instead")
    parser.add_argument("--limit", type=float, default=60.0, help="CPU time of a run of --generate (default 60)")
    parser.add_argument("--block-length", type=int, help="positions denoised at a time (default: the whole canvas)")
    parser.add_argument("--seed", type=int, default=0, help="of --generate (default 0)")
    options = parser.parse_args()

    size = int(options.gigabytes * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))
    items = list(schemas(options.path))[:: options.every]
    if not items:
        parser.error(f"{options.path} holds no schemas; give a file {' or '.join(SUFFIXES)}, or a folder of them")
    if options.generate:
        from benchmarks.schema_generation import generation  # needs jsonschema, and loads a model

        for said in generation(items, options.generate, options.limit, options.block_length, options.seed):
            print(said, flush=True)
        return
    if options.tables:
        from benchmarks.schema_tables import tables  # needs torch, which all else here does not

        for said in tables(items, options.tables, options.seconds):
            print(said, flush=True)
        return
    if options.peers:
        by_name = compared(items, options.seconds)
    else:
        by_name = {"dllm": [judged(item, options.seconds) for item in items]}
    for name, verdicts in by_name.items():
        if options.peers:
            print(f"\n## {name}\n")
        if options.list:
            print(*listed(verdicts), sep="\n")
        print(*report(verdicts, options.reasons), sep="\n")
    if options.peers:
        print(*summary(by_name, items), sep="\n")


if __name__ == "__main__":
    main()
