"""Train the embedded model by the recipe of tools/train_tiny: ``python scripts/train_tiny.py --minutes 75``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/ is not in the wheel: it lies beside this folder

from tools.train_tiny import tokenizer as bpe
from tools.train_tiny.train import TrainingOptions, train_model


def main() -> None:
    """Read the options, train the tokenizer if the folder has none, train the model."""
    defaults = {name: field.default for name, field in TrainingOptions.__dataclass_fields__.items()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/tiny"), help="checkpoints and the exported model")
    parser.add_argument("--minutes", type=float, default=75.0, help="wall-clock budget of all sessions together")
    parser.add_argument("--steps", type=int, default=0, help="step budget; 0: none")
    parser.add_argument("--workers", type=int, default=1, help="single-thread data-parallel processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--start", type=Path, help="an exported model to go on from: the second phase")
    parser.add_argument("--only", help="train on this task alone (to try the recipe)")
    for name in ("tokens", "layers", "muon", "adam", "eval_minutes", "eval_count", "copy_sequences", "decay", "hard"):
        value = defaults[name]
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    arguments = vars(parser.parse_args())
    out: Path = arguments["out"]
    if not (out / "tokenizer.json").exists():
        bpe.save_tokenizer(bpe.train_tokenizer(), out)
    train_model(TrainingOptions(tokenizer=out / "tokenizer.json", **arguments))


if __name__ == "__main__":
    main()
