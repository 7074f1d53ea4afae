"""Run published sampling functions in their authors' own code on the weights of `tiny`, and ours beside them.

python benchmarks/authors.py --checkout klass=DIR wino=DIR --python ENV/bin/python          a table on the screen
python benchmarks/authors.py --checkout klass=DIR wino=DIR --python ENV/bin/python --out tests/data/authors

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
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/ is not in the wheel: it lies beside this folder

import torch

from dllm import LLM
from dllm.eval.tiny import tasks
from tools.authors.compare import EXCEPTIONS, ROUNDING, count, judge, load_ours, row_of_theirs, run_ours
from tools.authors.method import EOS, Method
from tools.authors.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]
Kept = list[list[list[Any]]]
"""A case, a prompt: [answer ids, forwards, steps], as `tools.authors.compare.Row` has them."""


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


def compare(llm: LLM, method: Method, prompts: list[list[int]], rows: Kept, show: int, as_is: bool) -> None:
    """Print a line a case, and the first `show` differences."""
    for case, theirs in zip(method.cases, rows, strict=True):
        try:
            ours = run_ours(llm, case, prompts)
        except Exception as error:  # a spec that this tree does not have yet: the other cases go on
            print(f"{method.name:12} {case.scheduler}: {type(error).__name__}: {error}")
            continue
        rounding = ROUNDING if as_is and method.precision == "float32" else 0.0
        pairs = [(row_of_theirs(one, method, case, [EOS]), our) for one, our in zip(theirs, ours, strict=True)]
        verdicts = [judge(llm, case, prompt, *pair, rounding) for prompt, pair in zip(prompts, pairs, strict=True)]
        forwards = f"forwards {sum(one.forwards for one, _ in pairs)}, ours {sum(our.forwards for _, our in pairs)}"
        tokens = sum(one.ids == our.ids for one, our in pairs)
        print(f"{method.name} {case.told()}: {dict(count(verdicts))}; tokens equal {tokens}; {forwards}", flush=True)
        wrong = [(i, one) for i, one in enumerate(verdicts) if one.kind not in ("equal", *EXCEPTIONS)]
        for i, one in wrong[:show]:
            print(f"    prompt {i}: {one.kind}: {one.told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", nargs="+", default=[], metavar="NAME=DIR", help="where each repository lies")
    parser.add_argument("--python", default=sys.executable, help="of an environment with transformers 4.49")
    parser.add_argument("--only", nargs="+", choices=METHODS, help="methods (default: all whose checkout is named)")
    parser.add_argument("--prompts", type=int, default=42, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts")
    parser.add_argument("--out", type=Path, help="folder for the goldens")
    parser.add_argument("--as-is", action="store_true", help="do not hand float64 logits to rules in float32")
    parser.add_argument("--show", type=int, default=0, help="differences to print in full, a case")
    parser.add_argument("--list", action="store_true", help="print the methods and where their files are")
    arguments = parser.parse_args()
    if arguments.list:
        for one in METHODS.values():
            print(f"{one.name:12} {one.checkout:12} {one.repository}@{one.commit} {one.file}: {one.function}")
        return
    checkouts = dict(one.split("=", 1) for one in arguments.checkout)
    torch.set_num_threads(1)
    for method in METHODS.values():
        if (arguments.only and method.name not in arguments.only) or not {method.checkout, method.modelling[0]} <= set(
            checkouts
        ):
            continue
        llm = load_ours(method.checkpoint)
        prompts = make_prompts(llm, arguments.prompts, arguments.seed)
        rows = run_theirs(arguments.python, method, checkouts, prompts, arguments.as_is)
        if arguments.out:
            write(arguments.out / f"{method.name}.json.gz", golden(method, prompts, rows))
        compare(llm, method, prompts, rows, arguments.show, arguments.as_is)


if __name__ == "__main__":
    main()
