"""Check a device against the golden checkpoints and time denoising steps on it, in one call.

python scripts/gpu_check.py --out gpu_check.json        on a GPU: under --minutes for the table, plus the checks
python scripts/gpu_check.py --smoke                     anywhere, in seconds

Exit code 1 if a required check fails. Runs from a checkout, with nothing but torch, accelerate, safetensors and
tokenizers installed, nor dllm itself: a machine lent for one call has little more.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/ is not in the wheel: it lies beside this folder

import torch

from tools.gpu_check.everything import GpuCheckOptions, run_everything

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--golden", type=Path, default=GOLDEN, help="folder of golden checkpoints")
    parser.add_argument("--only", choices=("checks", "times"), help="one of the two parts")
    parser.add_argument("--smoke", action="store_true", help="a tiny network, to try the script")
    parser.add_argument("--layers", type=int, default=32, help="of LLaDA-8B's 32")
    parser.add_argument("--rows", type=int, nargs="+", help="batch sizes (default: 1 8 32)")
    parser.add_argument("--canvas", type=int, nargs="+", help="canvas lengths (default: 512 1024 4096)")
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=20, help="most timed calls a cell")
    parser.add_argument("--minutes", type=float, default=6.0, help="for the table")
    parser.add_argument("--caches", nargs="+", default=["dual"], help="of the whole generations (default: dual)")
    parser.add_argument("--blocks", type=int, default=4, help="of the whole generations")
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()
    rows = tuple(arguments.rows or ((1, 2) if arguments.smoke else (1, 8, 32)))
    canvases = tuple(arguments.canvas or ((128,) if arguments.smoke else (512, 1024, 4096)))
    for name, value in (("rows", min(rows)), ("layers", arguments.layers), ("block", arguments.block)):
        if value < 1:
            parser.error(f"--{name} {value} must be at least 1")
    if min(canvases) < 2 * arguments.block:
        parser.error(f"--canvas {min(canvases)} must be at least twice --block {arguments.block}")
    try:
        torch.empty(1, device=arguments.device)
    except (RuntimeError, AssertionError) as error:
        parser.error(f"--device {arguments.device} cannot be used here: {str(error).splitlines()[0]}")
    if arguments.out is not None and not arguments.out.parent.is_dir():
        parser.error(f"--out {arguments.out}: no such folder {arguments.out.parent}")
    options = GpuCheckOptions(
        golden=None if arguments.only == "times" else arguments.golden,
        device=torch.device(arguments.device),
        layers=arguments.layers,
        batches=() if arguments.only == "checks" else rows,
        canvases=canvases,
        block=arguments.block,
        repeats=arguments.repeats,
        caches=tuple(arguments.caches),
        blocks=1 if arguments.smoke else arguments.blocks,
        minutes=arguments.minutes,
        smoke=arguments.smoke,
        out=arguments.out,
    )
    return 0 if run_everything(options) else 1


if __name__ == "__main__":
    sys.exit(main())
