"""Count how often each token occurs in a text, for the scheduler `pc`: a JSON file in PC-Sampler's format.

python scripts/token_frequencies.py --out dllm/schedulers/frequencies/tiny.json            the one that comes with dllm
python scripts/token_frequencies.py --model FOLDER --out FILE --text CORPUS.txt NOTES/     files, and files in folders
python scripts/token_frequencies.py --model FOLDER --out FILE          what the installed packages say of themselves

For `tiny` without --text, its training tasks are counted: questions and answers, none that is held out for tests.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from dllm import LLM
from dllm.eval.tiny import tasks

TASKS_EACH = 400
"""Examples of every task of `tiny`."""


def texts_of_tiny() -> Iterator[str]:
    for name in tasks.TASKS:
        rng = random.Random(f"frequencies/{name}")
        for _ in range(TASKS_EACH):
            example = tasks.sample(name, rng, test=False)
            yield f"{example.prompt}\n{example.answer}\n"


def texts_of_packages() -> Iterator[str]:
    for package in sorted(metadata.distributions(), key=lambda one: one.metadata["Name"] or ""):
        yield package.read_text("METADATA") or ""


def texts_of_files(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                yield file.read_text(encoding="utf-8", errors="ignore")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="whose tokenizer counts")
    parser.add_argument("--text", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    arguments = parser.parse_args()
    tokenizer = LLM(arguments.model).tokenizer
    if tokenizer is None:
        raise SystemExit(f"{arguments.model} has no tokenizer")
    if arguments.text:
        texts = texts_of_files(arguments.text)
    else:
        texts = texts_of_tiny() if arguments.model == "tiny" else texts_of_packages()
    counts: Counter[int] = Counter()
    for text in texts:
        counts.update(tokenizer.encode(text))
    table = {str(token): count for token, count in sorted(counts.items())}
    arguments.out.write_text(json.dumps({"num_token": counts.total(), "p_baseline_dict": table}) + "\n")
    print(f"{counts.total()} tokens, {len(counts)} of them different: {arguments.out}")


if __name__ == "__main__":
    main()
