"""How much of what people write a built-in grammar accepts: `python benchmarks/real_code.py FOLDER|FILE.jsonl[.gz]`.

A file has a JSON object a line: `text` and `corpus` (and `name`), or `snippet` and `expected` ("accept" or "reject",
what a compiler says). Of a folder, all such files and all sources are read, each folder of sources a corpus. By corpus
it prints

- files: those that the outside judge parses, and how many of them the grammar accepts;
- functions: the same for each function alone;
- wrong: files that are accepted and that all judges refuse for their syntax;

and for snippets, how many of those to accept are accepted, and how many of those to reject. Then the reasons of what is
refused: the lexeme at which `Grammar.explain` stops and the one before it, names and literals by their kind.

With `--mutations N` it takes N functions at random and loses, doubles, swaps or replaces one lexeme of each: none may
be accepted that all judges refuse for syntax. With `--list` each refused file is named with its place.

Judges are tree-sitter-cpp and, where that finds an error in what is accepted, `g++ -fsyntax-only`, which refuses for
syntax where the first of its errors is about that and not about a name that is not declared. For `--grammar python`
and `python_expr` the judge is `ast.parse`.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from dllm import Grammar
from dllm.grammars.explain.recogniser import Recogniser

SOURCES = {"cpp": (".cpp", ".cc", ".cxx", ".h", ".hpp"), "python": (".py",), "python_expr": (".py",)}
PIECES = ("function_definition", "template_declaration", "class_specifier", "struct_specifier", "enum_specifier")
"""Nodes of tree-sitter that are taken out of a file, from outside of classes."""
LONGEST = 400
"""Lexemes of a function that is changed, at most."""
SYNTAX = re.compile(r"expected|stray|missing|unterminated|two or more|two consecutive|'?else|case label|invalid suffix")
REASONS = 25
"""That are shown."""
SHOWN = 200
"""Characters of a text."""


class Judge(Protocol):
    """Somebody else who knows the language."""

    def parses(self, text: str) -> bool:
        """Whether it reads a text without a fault."""

    def refuses(self, text: str) -> bool:
        """Whether it is sure that a text that it does not parse is wrong for its syntax."""

    def pieces(self, text: str) -> Iterator[str]:
        """The functions and classes of a text that it parses, each a text of its own."""


class Cpp:
    """tree-sitter-cpp, with g++ where it is installed for a second opinion."""

    def __init__(self) -> None:
        import tree_sitter
        import tree_sitter_cpp

        self._parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_cpp.language()))
        self._compiler = shutil.which("g++")

    def parses(self, text: str) -> bool:
        return not self._parser.parse((text + "\n").encode()).root_node.has_error  # it wants an end of the last line

    def refuses(self, text: str) -> bool:
        if self._compiler is None:
            return True
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "text.cpp"
            file.write_text(text, encoding="utf-8")
            command = [self._compiler, "-std=c++17", "-w", "-fsyntax-only", "-fmax-errors=1", str(file)]
            said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
        errors = re.findall(r"(?:error|fatal error): (.*)", said)
        return bool(errors) and SYNTAX.match(errors[0]) is not None

    def pieces(self, text: str) -> Iterator[str]:
        data = text.encode()
        queue = [self._parser.parse(data).root_node]
        while queue:
            node = queue.pop()
            if node.type in PIECES:
                end = ";" if node.type.endswith("specifier") else ""
                yield data[node.start_byte : node.end_byte].decode() + end
            else:
                queue += node.children


class Python:
    """`ast.parse`."""

    def __init__(self, mode: str) -> None:
        self._mode = mode

    def parses(self, text: str) -> bool:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(text, mode=self._mode)
        except (SyntaxError, ValueError):
            return False
        return True

    def refuses(self, text: str) -> bool:
        return True

    def pieces(self, text: str) -> Iterator[str]:
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield ast.get_source_segment(text, node) or ""


@dataclass
class Tally:
    """What became of the texts of a corpus."""

    texts: int = 0
    parsed: int = 0
    accepted: int = 0
    functions: int = 0
    accepted_functions: int = 0
    wrong: list[str] = field(default_factory=list)

    def row(self, name: str) -> str:
        files = f"{self.accepted} of {self.parsed} ({share(self.accepted, self.parsed)})"
        functions = f"{self.accepted_functions} of {self.functions} ({share(self.accepted_functions, self.functions)})"
        return f"| {name} | {files} | {functions} | {len(self.wrong)} |"


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def texts(path: Path, suffixes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The lines of a file, or of all files of a folder, and its sources."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.name.endswith((".jsonl", ".jsonl.gz")):
            data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            yield from ({"corpus": file.name.partition(".")[0], **json.loads(line)} for line in data.splitlines())
        elif file.suffix in suffixes and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            yield {"corpus": str(file.parent.relative_to(path)), "name": file.name, "text": text}


@cache
def reader(name: str) -> Recogniser:
    return Recogniser(Grammar.builtin(name).rules, name)


def lexemes(name: str, data: bytes) -> list[tuple[int, int]]:
    """Where those lexemes are that mean something."""
    return [(one.start, one.end) for one in reader(name).lexemes(data) if one.terminals]


def reason(name: str, text: str) -> tuple[str, int]:
    """The kind of place at which a text is refused, and its offset in bytes."""
    data = text.encode()
    failure = reader(name).failure(data)
    assert failure is not None, "only of what is refused"
    before = [data[start:end] for start, end in lexemes(name, data) if end <= failure.start][-1:]
    found = data[failure.start : failure.end]
    return f"{kind(before[0]) if before else 'the start'}  ->  {kind(found) or 'the end'}", failure.start


def kind(lexeme: bytes) -> str:
    """A lexeme as reasons name it: names, numbers, strings and directives by their kind, all others as they are."""
    text = lexeme.decode(errors="replace").strip()
    if text.startswith("#"):
        return " ".join(text.split()[:1])
    if text[-1:] in "\"'":
        return "a string"
    if re.fullmatch(r"[0-9].*", text):
        return "a number"
    return text if len(text) < 10 and (not text.isidentifier() or text.islower()) else "a name"


def changed(name: str, text: str, rng: random.Random, pool: Sequence[bytes]) -> str | None:
    """A text with one lexeme lost, doubled, swapped with the next or replaced; None for one that is too long."""
    data = text.encode()
    places = lexemes(name, data)
    if not 2 <= len(places) <= LONGEST:
        return None
    at = rng.randrange(len(places) - 1)
    (start, end), (low, high) = places[at], places[at + 1]
    one, other = data[start:end], data[low:high]
    instead = rng.choice([b"", one + b" " + one, None, rng.choice(pool)])
    if instead is None:
        made = data[:start] + b" " + other + data[end:low] + b" " + one + b" " + data[high:]
    else:
        made = data[:start] + b" " + instead + b" " + data[end:]
    return made.decode(errors="replace")


def mutations(name: str, judge: Judge, functions: Sequence[str], count: int, seed: int) -> Iterator[str]:
    """A line for what is accepted and refused by all judges, then the numbers."""
    rng = random.Random(seed)
    drawn = [text.encode() for text in rng.sample(functions, min(200, len(functions)))]
    pool = [data[start:end] for data in drawn for start, end in lexemes(name, data)]
    tried = accepted = doubted = wrong = 0
    while tried < count:
        text = changed(name, rng.choice(functions), rng, pool)
        if text is None:
            continue
        tried += 1
        if not reader(name).accepts(text.encode()):
            continue
        accepted += 1
        if not judge.parses(text):
            doubted += 1
            if judge.refuses(text):
                wrong += 1
                yield f"accepted, refused by all judges: {text!r:.{SHOWN}}"
    yield f"\n{tried} mutations, {accepted} accepted, {doubted} not parsed by the first judge, {wrong} by none"


def snippets(name: str, items: Iterable[dict[str, Any]]) -> Iterator[str]:
    counts: Counter[tuple[str, bool]] = Counter()
    for item in items:
        accepted = reader(name).accepts(item["snippet"].encode())
        counts[item["expected"], accepted] += 1
        if accepted != (item["expected"] == "accept"):
            yield f"{'accepted' if accepted else 'refused'}: {item.get('construct', '')}: {item['snippet']!r:.{SHOWN}}"
    good, bad = (counts[expected, True] + counts[expected, False] for expected in ("accept", "reject"))
    yield f"snippets: {counts['accept', True]} of {good} accepted, and {counts['reject', True]} of {bad} that are wrong"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--grammar", choices=sorted(SOURCES), default="cpp")
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    name = given.grammar
    judge: Judge = Cpp() if name == "cpp" else Python("eval" if name == "python_expr" else "exec")
    items = [item for path in given.paths for item in texts(path, SOURCES[name])]
    tallies: dict[str, Tally] = defaultdict(Tally)
    reasons: Counter[str] = Counter()
    functions: list[str] = []
    for item in (item for item in items if "text" in item):
        text, own = item["text"], tallies[item["corpus"]]
        own.texts += 1
        accepted, parsed = reader(name).accepts(text.encode()), judge.parses(text)
        if not parsed:
            if accepted and judge.refuses(text):
                own.wrong.append(item.get("name", ""))
            continue
        own.parsed += 1
        own.accepted += accepted
        if not accepted:
            why, at = reason(name, text)
            reasons[why] += 1
            if given.list:
                line = text.encode()[:at].count(b"\n") + 1
                print(f"{item['corpus']}: {item.get('name', '')}:{line}: {why}")
        for piece in judge.pieces(text):
            functions.append(piece)
            own.functions += 1
            own.accepted_functions += reader(name).accepts(piece.encode())
    if tallies:
        print("| corpus | files accepted | functions and classes | wrong |\n|---|---|---|---|")
        whole = Tally()
        for corpus, own in sorted(tallies.items()):
            print(own.row(corpus))
            for part in ("parsed", "accepted", "functions", "accepted_functions", "wrong"):
                setattr(whole, part, getattr(whole, part) + getattr(own, part))
        print(whole.row("all"))
    for why, count in reasons.most_common(REASONS):
        print(f"{count:5} {why}")
    small = [item for item in items if "snippet" in item]
    for line in snippets(name, small) if small else ():
        print(line)
    if given.mutations and functions:
        for line in mutations(name, judge, functions, given.mutations, given.seed):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
