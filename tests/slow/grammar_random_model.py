"""A model that knows nothing, under grammars, judged from outside: every answer must be valid, in the canvas, and end.

Run by hand:

    python -m tests.slow.grammar_random_model --runs 2000 --seed 0 --vocabulary tiny
    python -m tests.slow.grammar_random_model --runs 200 --seed 0 --vocabulary qwen --qwen PATH/TO/qwen.tiktoken

(`qwen.tiktoken` comes with the PyPI package dashscope.) Judges: `json.loads` and `jsonschema`; tree-sitter-cpp, without
an error or a missing node; `ast.parse`; `g++ -fsyntax-only` for the closed programs; for SMILES, the molecule's graph.
Of documents in code, strings, comments and directives that a hole begins are looked for that go on over given text, by
a scanner that shares nothing with the engine's. Half of the runs are answers (of the closed programs, which are long,
one in 32), the others documents: texts of the grammar with spans or single tokens hidden.
"""

import argparse
import base64
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dllm import LLM, DllmError, Grammar, GrammarError, Hole, SamplingParams
from dllm.outputs import RequestOutput
from dllm.tokenizer import Tokenizer
from tests.grammars.test_builtin import RULES, WORDS, cpp_fault, json_fault, module_fault, smiles_fault
from tests.grammars.test_json_schema import validator
from tests.references.grammar_sampler import Sampler, SlowScanner
from tests.references.json_sampler import TextSampler
from tests.support.grammar_texts import JSON as JSON_TEXTS
from tests.support.grammar_texts import SMILES as SMILES_TEXTS
from tests.support.python_programs import MODULES, STATEMENTS
from tests.support.schema_cases import SCHEMAS

PYTHON_TEXTS = [text for text in MODULES + STATEMENTS if len(text) > 20 and Grammar.builtin("python").accepts(text)]
TABLE = 256
"""Rows of noise that a model's answers are drawn from."""
SCHEDULERS = (
    *("topk(2)", "topk(4, by=entropy)", "llada", "saber(2)", "dus", "factor(100)", "credit+topk(3)", "dream(origin)"),
    *("threshold(0.02)", "eb(9)", "topk(3, by=random)"),
)
CHOSEN = ("tree", "expression", "age", "short", "pattern", "date-time", "tuple", "five keys", "any of", "linked list")
"""Of `tests.support.schema_cases`."""


# --- a model and its vocabulary ---------------------------------------------------------------------------------------


class Noise:
    """Logits of a position: a row of fixed noise, picked by what is on the canvas; ends are a little more likely."""

    def __init__(self, vocab_size: int, mask: int, eos: tuple[int, ...], seed: int) -> None:
        self.vocab_size, self.mask_token_id, self.eos_token_ids = vocab_size, mask, eos
        self.noise = torch.randn(TABLE, vocab_size, generator=torch.Generator().manual_seed(seed)) * 3
        self.noise[:, list(eos)] += 4

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        at = torch.arange(input_ids.shape[1])
        picked = (input_ids.long() * 2654435761 % 1000003).sum(-1, keepdim=True) * 31 + at * 7919
        return self.noise[picked % TABLE]


class Ranks(Tokenizer):
    """Tokens of a `.tiktoken` file: base64 and rank, line by line. Texts are cut into the longest tokens."""

    def __init__(self, path: Path) -> None:
        lines = [line.split() for line in path.read_text().splitlines() if line]
        self.tokens = {int(rank): base64.b64decode(token) for token, rank in lines}
        self.ranks = {token: rank for rank, token in self.tokens.items()}
        self.longest = max(map(len, self.ranks))
        self.chat_template, self.named = None, {}

    @property
    def vocab_size(self) -> int:  # type: ignore[override]
        return max(self.tokens) + 1

    @property
    def special_ids(self) -> frozenset[int]:  # type: ignore[override]
        return frozenset()

    def encode(self, text: str) -> list[int]:
        data, found = text.encode(), list[int]()
        while data:
            size = next(n for n in range(min(self.longest, len(data)), 0, -1) if data[:n] in self.ranks)
            found.append(self.ranks[data[:size]])
            data = data[size:]
        return found

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        return b"".join(self.tokens.get(token, b"") for token in ids).decode(errors="replace")

    def decodable(self, vocab_size: int) -> Tensor:
        return torch.tensor([token in self.tokens for token in range(vocab_size)])

    def token_bytes(self, token_id: int) -> bytes | None:
        return self.tokens.get(token_id)


def make_llm(vocabulary: str, path: Path | None, seed: int) -> LLM:
    if vocabulary == "tiny":
        tokenizer = LLM("tiny").tokenizer
        return LLM(Noise(1664, 2, (1, 5), seed), tokenizer=tokenizer)
    assert path is not None, "--vocabulary qwen needs --qwen PATH"
    ranks = Ranks(path)
    eos, mask = ranks.vocab_size, ranks.vocab_size + 1
    return LLM(Noise(-(-(mask + 1) // 128) * 128, mask, (eos,), seed), tokenizer=ranks)


# --- what is asked, and who judges ------------------------------------------------------------------------------------


@dataclass
class Task:
    """A grammar, texts of it, and a judge that says what is wrong with a text, or None."""

    grammar: Grammar
    text: Callable[[random.Random], str]
    fault: Callable[[str], str | None]
    room: tuple[int, int] = (16, 48)
    answers: int = 2
    """One of so many runs is an answer; the others are documents."""
    loose: Grammar | None = None
    """Where holes may swallow given text: for documents of which the beginning of a string is hidden, and not all."""

    @cached_property
    def scanner(self) -> SlowScanner:
        return SlowScanner(self.grammar.rules.terminals)


def tasks() -> dict[str, Task]:
    found = {
        "json": Task(Grammar.builtin("json"), _drawn(Grammar.builtin("json").rules, JSON_TEXTS), json_fault),
        "smiles": Task(Grammar.builtin("smiles"), _sentence("smiles", 20, list(SMILES_TEXTS.values())), smiles_fault),
        "cpp": Task(
            Grammar.builtin("cpp"), _sentence("cpp", 20), cpp_fault, loose=Grammar.builtin("cpp", swallow=True)
        ),
        "python": Task(
            Grammar.builtin("python"),
            _sentence("python", 20, PYTHON_TEXTS),
            module_fault,
            loose=Grammar.builtin("python", swallow=True),
        ),
        "cpp_closed": Task(
            Grammar.builtin("cpp_closed"),
            _sentence("cpp_closed", 25),
            cpp_fault,
            (72, 96),
            32,
            Grammar.builtin("cpp_closed", swallow=True),
        ),
    }
    for name in CHOSEN:
        grammar = Grammar.from_json_schema(SCHEMAS[name])
        found[f"schema: {name}"] = Task(grammar, _drawn(grammar.rules, []), _judge(SCHEMAS[name]), (40, 64))
    return found


def _judge(schema: Any) -> Callable[[str], str | None]:
    judge = validator(schema)

    def fault(text: str) -> str | None:
        wrong = json_fault(text)
        if wrong is None and not judge.is_valid(json.loads(text)):
            wrong = "not valid under the schema"
        return wrong

    return fault


def _drawn(rules: Any, people: Sequence[str]) -> Callable[[random.Random], str]:
    sampler = TextSampler(rules)
    return lambda rng: rng.choice(people) if people and rng.random() < 0.3 else sampler.text(rng.randrange(1 << 30), 14)


def _sentence(name: str, size: int, people: Sequence[str] = ()) -> Callable[[random.Random], str]:
    @cache
    def sampler() -> Sampler:
        return Sampler(RULES[name], WORDS)

    def text(rng: random.Random) -> str:
        if people and rng.random() < 0.3:
            return rng.choice(people)
        while True:
            found = sampler().sentence(rng.randrange(1 << 30), size)
            if found and len(found) < 300:
                return found

    return text


def document(rng: random.Random, llm: LLM, text: str) -> list[Any]:
    """A text with one to three spans hidden, or single tokens anywhere; parts for `LLM.infill`."""
    assert llm.tokenizer is not None
    ids = llm.tokenizer.encode(text)
    hidden = set[int]()
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(ids))
            hidden |= set(range(start, min(len(ids), start + rng.randint(1, 12))))
    else:
        hidden = {at for at in range(len(ids)) if rng.random() < rng.choice([0.2, 0.5])} or {0}
    parts: list[Any] = []
    for at, token in enumerate(ids):
        if at in hidden and parts and isinstance(parts[-1], Hole):
            parts[-1] = Hole(parts[-1].width + 1)
        else:
            parts.append(Hole(1) if at in hidden else token)
    return parts


# --- runs -------------------------------------------------------------------------------------------------------------


@dataclass
class Line:
    """What is counted for a grammar and a kind of request."""

    runs: int = 0
    invalid: int = 0
    outside: int = 0
    swallowed: int = 0
    loose: int = 0
    failed: int = 0
    tokens: int = 0
    witness: int = 0
    grammar: float = 0.0
    slowest: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def add(self, out: RequestOutput, seconds: float) -> None:
        self.tokens += out.stats.slots
        self.witness += out.stats.witness_tokens
        self.grammar += out.stats.grammar_seconds
        self.slowest = max(self.slowest, out.stats.grammar_seconds / max(1, out.stats.slots))
        self.seconds += seconds


def misplaced(llm: LLM, out: RequestOutput, parts: list[Any] | None, params: SamplingParams) -> bool:
    """Whether masks are left, what was given has changed, or there are more tokens than masks."""
    mask = llm.model.mask_token_id
    if mask in out.token_ids or out.finish_reason not in ("stop", "length"):
        return True
    if parts is None:
        return len(out.token_ids) > params.max_new_tokens
    given = [token for part in parts for token in ([None] * part.width if isinstance(part, Hole) else [part])]
    same = all(was is None or was == now for was, now in zip(given, out.token_ids, strict=False))
    return len(given) != len(out.token_ids) or not same


def swallowed(llm: LLM, task: Task, out: RequestOutput, parts: list[Any]) -> str | None:
    """A lexeme of `Rules.text` that a hole has begun and that goes on over a given token."""
    rules, text = task.grammar.rules, out.text
    given = [not isinstance(part, Hole) for part in parts for _ in range(part.width if isinstance(part, Hole) else 1)]
    spelled = [llm.tokenizer.token_bytes(token) or b"" for token in out.token_ids]
    whose = [own for own, data in zip(given, spelled, strict=True) for _ in data]
    at = 0
    for names, piece in task.scanner.scan(text) or ():
        blank = len(piece) - len(piece.lstrip()) if rules.text.issuperset(names) else 0
        low, high = at + blank, at + len(piece.encode())
        if rules.text.issuperset(names) and not whose[low] and any(whose[low:high]):
            return piece
        at = high
    return None


def run_one(llm: LLM, task: Task, line: Line, rng: random.Random, fill: bool, programs: list[str] | None) -> None:
    params = SamplingParams(
        max_new_tokens=rng.randint(*task.room),
        block_length=rng.choice([8, 32]),
        scheduler=rng.choice(SCHEDULERS),
        temperature=rng.choice([0.0, 0.0, 0.0, 1.0]) if llm.model.vocab_size < 10_000 else 0.0,
        grammar=task.grammar,
        seed=rng.randrange(1 << 30),
    )
    text = task.text(rng)
    parts = document(rng, llm, text) if fill else None
    line.runs += 1
    began = time.perf_counter()
    guarded = task.loose is not None and parts is not None
    try:
        try:
            out = llm.generate("x", params) if parts is None else llm.infill(parts, params)
        except GrammarError as error:
            if task.loose is None or "swallow=True" not in str(error):
                raise
            guarded, line.loose = False, line.loose + 1
            out = llm.infill(parts, replace(params, grammar=task.loose))
    except (DllmError, AssertionError, IndexError) as error:
        line.failed += 1
        line.notes.append(f"{type(error).__name__}: {str(error)[:200]}; {params.scheduler}; {text!r}; {parts}")
        return
    line.add(out, time.perf_counter() - began)
    wrong = task.fault(out.text)
    if wrong is not None:
        line.invalid += 1
        line.notes.append(f"invalid: {out.text!r}: {wrong[:200]}; {params.scheduler}")
    if misplaced(llm, out, parts, params):
        line.outside += 1
        line.notes.append(f"outside the canvas: {out.text!r}; {params.scheduler}; {parts}")
    piece = swallowed(llm, task, out, parts) if guarded and parts is not None else None
    if piece is not None:
        line.swallowed += 1
        line.notes.append(f"swallowed: {out.text!r}: {piece!r}; {params.scheduler}; {parts}")
    if programs is not None:
        programs.append(out.text)


def compile_all(programs: Sequence[str]) -> list[str]:
    """The programs that g++ refuses; most are read in batches, and one by one only where a batch fails."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(programs), 50):
            files = []
            for number, text in enumerate(programs[start : start + 50]):
                files.append(Path(folder) / f"{start + number}.cpp")
                files[-1].write_text(text, encoding="utf-8")
            if not _compiles(files):
                wrong += [path.read_text(encoding="utf-8") for path in files if not _compiles([path])]
    return wrong


def _compiles(files: Sequence[Path]) -> bool:
    command = ["g++", "-std=c++17", "-w", "-fsyntax-only", *map(str, files)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def rows(lines: dict[tuple[str, str], Line]) -> Iterator[str]:
    names = (
        "runs",
        "invalid",
        "outside",
        "swallowed",
        "loose",
        "failed",
        "tokens",
        "witness %",
        "grammar ms/token",
        "worst row",
        "s/run",
    )
    yield f"{'grammar':22}{'kind':10}" + "".join(f"{name:>17}" for name in names)
    total = Line()
    for (name, kind), line in [*lines.items(), (("all", ""), total)]:
        if line is not total:
            for key in (*names[:7], "witness", "grammar", "seconds"):
                setattr(total, key, getattr(total, key) + getattr(line, key))
            total.slowest = max(total.slowest, line.slowest)
        share = 100 * line.witness / max(1, line.tokens)
        a_token, a_run = 1000 * line.grammar / max(1, line.tokens), line.seconds / max(1, line.runs)
        counts = "".join(f"{n:>17}" for n in (getattr(line, key) for key in names[:7]))
        yield f"{name:22}{kind:10}{counts}{share:>17.2f}{a_token:>17.2f}{1000 * line.slowest:>17.1f}{a_run:>17.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocabulary", choices=["tiny", "qwen"], default="tiny")
    parser.add_argument("--qwen", type=Path, help="the file qwen.tiktoken")
    parser.add_argument("--only", default="", help="grammars whose name holds this text")
    args = parser.parse_args()
    torch.set_num_threads(1)
    llm = make_llm(args.vocabulary, args.qwen, args.seed)
    chosen = {name: task for name, task in tasks().items() if args.only in name}
    lines: dict[tuple[str, str], Line] = defaultdict(Line)
    programs: list[str] = []
    turns: dict[str, int] = defaultdict(int)
    began = time.perf_counter()
    # half of the runs are of the large grammars, fewer of the closed programs, which take longest
    large = [name for name in chosen if not name.startswith("schema")]
    large += [name for name in large if name != "cpp_closed"]
    small = [name for name in chosen if name.startswith("schema")]
    for number in range(args.runs):
        pool = (large or small) if number % 4 < 2 else (small or large)
        name = pool[(number // 4 * 2 + number % 2) % len(pool)]
        fill = turns[name] % chosen[name].answers != 0
        turns[name] += 1
        rng = random.Random(args.seed * 1_000_003 + number)
        kept = programs if name == "cpp_closed" else None
        line = lines[name, "infill" if fill else "generate"]
        run_one(llm, chosen[name], line, rng, fill, kept)
        if line.notes:
            print(f"run {number} ({name}): {line.notes.pop()}", flush=True)
    refused = compile_all(programs) if shutil.which("g++") else []
    for text in refused:
        print(f"g++ refuses: {text!r}")
    print("\n".join(rows(lines)))
    compiled = f"{len(programs)} programs to g++, {len(refused)} refused" if shutil.which("g++") else "no g++ here"
    print(f"{args.vocabulary}, seed {args.seed}: {time.perf_counter() - began:.0f} s; {compiled}")
    bad = sum(line.invalid + line.outside + line.swallowed + line.failed for line in lines.values()) + len(refused)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
