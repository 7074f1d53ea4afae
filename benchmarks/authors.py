"""Run published sampling functions in their authors' own code on the weights of `tiny`, and ours beside them.

python benchmarks/authors.py --checkout klass=DIR wino=DIR --python ENV/bin/python          a table on the screen
python benchmarks/authors.py --checkout klass=DIR wino=DIR --python ENV/bin/python --out tests/data/authors
python benchmarks/authors.py --kept                                      ours beside what was kept of theirs

The checkouts are yours: `--list` prints repository, commit and file of each method. The other Python needs torch,
transformers 4.49, safetensors and einops. Float32 on the CPU, temperature 0. With --out, what theirs did is written as
data, which tests/schedulers/test_authors.py holds ours to.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/ is not in the wheel: it lies beside this folder

import torch

from dllm import LLM
from dllm.eval.tiny import tasks
from tools.authors.compare import EXCEPTIONS, ROUNDING, judge, load_ours, recording_of_theirs, run_ours
from tools.authors.method import EOS, Method
from tools.authors.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]
GOLDENS = ROOT / "tests" / "data" / "authors"
Kept = list[list[list[Any]]]
"""A case, a prompt: [answer ids, forwards, steps], as `tools.authors.compare.Recording` has them."""


def make_prompts(llm: LLM, number: int, seed: int) -> list[list[int]]:
    """Ids of questions of every task of `tiny` that has an answer, in turn, of its held-out split; for a model that
    has no tokenizer, any ids."""
    if llm.tokenizer is None:
        # with answers of 20 tokens and blocks of 8, the last block is a whole one
        rng = random.Random(f"authors/ids/{seed}")
        return [rng.choices(range(240), k=4 + 8 * (i % 4)) for i in range(number)]
    names = [name for name in tasks.TASKS if not name.startswith("fill_")]
    rng = random.Random(f"authors/{seed}")
    examples = [tasks.sample(names[i % len(names)], rng, test=True) for i in range(number)]
    return [list(llm.tokenizer.encode(one.prompt + "\n")) for one in examples]


def run_theirs(python: str, method: Method, checkouts: dict[str, str], prompts: list[list[int]], as_is: bool) -> Kept:
    """A row a prompt for every case of the method, from a process of the authors' environment."""
    job = {"method": method.name, "checkouts": checkouts, "prompts": prompts, "as_is": as_is}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [python, "-m", "tools.authors.child"]
    done = subprocess.run(
        command, input=json.dumps(job), capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(f"{method.name}: the child failed\n{done.stderr[-3000:]}")
    rows: Kept = json.loads(done.stdout)
    return rows


def golden(method: Method, prompts: list[list[int]], rows: Kept) -> dict[str, Any]:
    """What is kept: where it comes from, what it was run with, and what came out."""
    weights = hashlib.sha256((ROOT / method.checkpoint.folder / "model.safetensors").read_bytes()).hexdigest()
    cases = [{"theirs": dict(case.theirs), "rows": got} for case, got in zip(method.cases, rows, strict=True)]
    return {
        "source": method.source,
        "function": method.function,
        "weights": weights,
        "prompts": prompts,
        "cases": cases,
    }


def write(path: Path, value: dict[str, Any]) -> None:
    """JSON, packed; the same bytes for the same value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def compare(method: Method, prompts: list[list[int]], rows: Kept, show: int, as_is: bool) -> Counter[str]:
    """Print a line a case, and the first `show` differences; what all rows came to."""
    llm, all_cases = load_ours(method.checkpoint), Counter[str]()
    rounding = ROUNDING if as_is and method.precision == "float32" else 0.0
    for case, kept in zip(method.cases, rows, strict=True):
        theirs = [recording_of_theirs(one, method, case, [EOS]) for one in kept]
        ours = run_ours(llm, case, prompts)
        findings = [judge(llm, case, *row, rounding) for row in zip(prompts, theirs, ours, strict=True)]
        counted = Counter(one.kind for one in findings)
        forwards = f"forwards {sum(one.forwards for one in theirs)}, ours {sum(one.forwards for one in ours)}"
        tokens = sum(one.ids == our.ids for one, our in zip(theirs, ours, strict=True))
        print(f"{method.name} {case.told()}: {dict(counted)}; tokens equal {tokens}; {forwards}", flush=True)
        wrong = [(i, one) for i, one in enumerate(findings) if one.kind not in ("equal", *EXCEPTIONS)]
        for i, one in wrong[:show]:
            print(f"    prompt {i}: {one.kind}: {one.told}")
        all_cases += counted
    return all_cases


def table(found: dict[str, Counter[str]]) -> str:
    """Markdown: a line a method, of all its settings and prompts."""
    lines = [
        f"| method | settings | rows | equal | {' | '.join(EXCEPTIONS)} | differ |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, counted in found.items():
        rows, apart = counted.total(), sum(counted[kind] for kind in ("equal", *EXCEPTIONS))
        cells = [len(METHODS[name].cases), rows, *(counted[kind] for kind in ("equal", *EXCEPTIONS)), rows - apart]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", nargs="+", default=[], metavar="NAME=DIR", help="where each repository lies")
    parser.add_argument("--python", default=sys.executable, help="of an environment with transformers 4.49")
    parser.add_argument("--only", nargs="+", choices=METHODS, help="methods (default: all whose checkout is named)")
    parser.add_argument("--prompts", type=int, default=42, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts")
    parser.add_argument("--out", type=Path, help="folder for the goldens")
    parser.add_argument("--as-is", action="store_true", help="do not hand float64 logits to rules in float32")
    parser.add_argument("--kept", action="store_true", help="run nothing of theirs: read tests/data/authors")
    parser.add_argument("--show", type=int, default=0, help="differences to print in full, a case")
    parser.add_argument("--list", action="store_true", help="print the methods and where their files are")
    arguments = parser.parse_args()
    if arguments.list:
        for one in METHODS.values():
            print(f"{one.name:12} {one.checkout:12} {one.repository}@{one.commit} {one.file}: {one.function}")
        return
    checkouts = dict(one.split("=", 1) for one in arguments.checkout)
    torch.set_num_threads(1)
    found: dict[str, Counter[str]] = {}
    for name in arguments.only or METHODS:
        method = METHODS[name]
        if arguments.kept:
            kept = json.loads(gzip.decompress((GOLDENS / f"{name}.json.gz").read_bytes()))
            rows = [case["rows"] for case in kept["cases"]]
            found[name] = compare(method, kept["prompts"], rows, arguments.show, as_is=False)
            continue
        if missing := {method.checkout, method.modelling[0]} - set(checkouts):
            print(f"{name}: left out, no --checkout {' '.join(f'{one}=DIR' for one in sorted(missing))}")
            continue
        prompts = make_prompts(load_ours(method.checkpoint), arguments.prompts, arguments.seed)
        rows = run_theirs(arguments.python, method, checkouts, prompts, arguments.as_is)
        if arguments.out:
            write(arguments.out / f"{name}.json.gz", golden(method, prompts, rows))
        found[name] = compare(method, prompts, rows, arguments.show, arguments.as_is)
    print(f"\n{table(found)}")


if __name__ == "__main__":
    main()
