"""The grammar `smiles` against RDKit: lists of molecules that come with it, and what a random model writes.

Run by hand: `python -m tests.slow.smiles_rdkit [--runs N] [--every N] [--vocabulary qwen --qwen PATH]`. Of the lists
(the molecules of RDKit's own data and examples that it reads itself) it counts what is accepted; of a model that knows
nothing, on canvases of 20 to 60 tokens, which molecules RDKit reads, and why not others. It fails under 99.5 % of a
list, under 60 % of the model's, or if one of these fails for another reason than valence.
"""

import argparse
import csv
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import rdkit
from rdkit import Chem, RDLogger

from dllm import Grammar, SamplingParams
from tests.slow.grammar_random_model import SCHEDULERS, make_llm

GRAMMAR = Grammar.builtin("smiles")
FOLDER = Path(rdkit.__file__).parent
COLUMNS = {
    "Data/NCI/first_5K.smi": 0,
    "Data/Pains/test_data/wehi_mols.csv": 0,
    "Contrib/FreeWilson/data/CHEMBL2321810.smi": 0,
    "Contrib/SA_Score/data/zim.100.txt": 0,
    "Contrib/Fastcluster/cdk2.smi": 1,
    "Contrib/fraggle/data/ChEMBL_11265_actives.smi": 0,
}
"""Files, and which word of a line is a molecule."""
EXAMPLES = "Contrib/NIBRSubstructureFilters/SubstructureFilter_HitTriaging_wPubChemExamples.csv"
LEAST_ACCEPTED, LEAST_READ = 0.995, 0.6


def lists() -> Iterator[tuple[str, list[str]]]:
    for name, column in COLUMNS.items():
        lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
        yield name, [re.split(r"[\s,]+", line)[column].strip('"') for line in lines if line.strip()]
    with (FOLDER / EXAMPLES).open(encoding="utf-8") as file:
        yield (
            EXAMPLES,
            [cell for row in csv.DictReader(file) for key, cell in row.items() if re.match(r"EX\d", key or "")],
        )


def reason(text: str) -> str | None:
    """Why RDKit does not take a molecule, in a word; None if it does."""
    molecule = Chem.MolFromSmiles(text, sanitize=False)
    if molecule is None:
        return "syntax or rings"
    try:
        Chem.SanitizeMol(molecule)
    except Chem.AtomValenceException:
        return "valence"
    except ValueError as error:
        return type(error).__name__
    return None


def count_lists(every: int) -> bool:
    fine = True
    for name, texts in lists():
        known = [text for text in dict.fromkeys(texts[::every]) if text and Chem.MolFromSmiles(text) is not None]
        refused = [text for text in known if not GRAMMAR.accepts(text)]
        share = 1 - len(refused) / len(known)
        print(
            f"{name}: {len(known) - len(refused)} of {len(known)} accepted ({share:.2%}); not {refused[:5]}", flush=True
        )
        fine = fine and share >= LEAST_ACCEPTED
    return fine


def count_runs(runs: int, seed: int, vocabulary: str, qwen: Path | None) -> bool:
    llm, reasons, tokens, used = make_llm(vocabulary, qwen, seed), Counter[str](), 0, 0.0
    examples: dict[str, str] = {}
    for number in range(runs):
        rng = random.Random(seed * 1_000_003 + number)
        params = SamplingParams(
            max_new_tokens=rng.randint(20, 60),
            block_length=rng.choice([8, 32]),
            scheduler=rng.choice(SCHEDULERS),
            grammar=GRAMMAR,
            seed=rng.randrange(1 << 30),
        )
        began = time.process_time()
        out = llm.generate("x", params)
        tokens, used = tokens + out.stats.slots, used + time.process_time() - began
        found = reason(out.text) or "read"
        reasons[found] += 1
        examples.setdefault(found, out.text)
    print(f"a random model: {dict(reasons)}; {1000 * used / max(1, tokens):.1f} ms of CPU a token; {examples}")
    return reasons["read"] >= LEAST_READ * runs and reasons["read"] + reasons["valence"] == runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--every", type=int, default=1, help="take one of so many molecules of a list")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocabulary", choices=["tiny", "qwen"], default="tiny")
    parser.add_argument("--qwen", type=Path, help="the file qwen.tiktoken")
    args = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    fine = count_lists(args.every)
    return 0 if count_runs(args.runs, args.seed, args.vocabulary, args.qwen) and fine else 1


if __name__ == "__main__":
    sys.exit(main())
