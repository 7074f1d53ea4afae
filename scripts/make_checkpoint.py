"""Write a checkpoint with random weights in a family's own layout.

python scripts/make_checkpoint.py --family sdar --out ck/sdar                            small, seconds
python scripts/make_checkpoint.py --family llada2 --out ck/llada2 --set num_experts=16   other values in config.json
python scripts/make_checkpoint.py --family llada --published --out ck/llada-8b           the published size (16 GB)
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from dllm.errors import DllmError
from dllm.testing.checkpoints import make_checkpoint
from dllm.testing.configs import EXAMPLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", required=True, choices=list(EXAMPLES))
    parser.add_argument("--out", required=True, type=Path, help="folder, made if it is not there")
    parser.add_argument("--published", action="store_true", help="the published size instead of a small one")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of config.json; VALUE is JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard-mb", type=int, default=4096)
    parser.add_argument("--no-tokenizer", action="store_true")
    arguments = parser.parse_args()
    try:
        made = make_checkpoint(
            arguments.family,
            arguments.out,
            small=not arguments.published,
            changes=dict(_pair(text) for text in arguments.set),
            seed=arguments.seed,
            shard_bytes=arguments.shard_mb << 20,
            tokenizer=not arguments.no_tokenizer,
        )
    except DllmError as error:
        sys.exit(str(error))
    print(made)


def _pair(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


if __name__ == "__main__":
    main()
