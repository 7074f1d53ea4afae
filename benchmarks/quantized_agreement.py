"""How far int8 and int4 weights are from bfloat16: logits of the golden checkpoints and of `tiny`, and tiny's tasks.

python benchmarks/quantized_agreement.py [--items N] [--threads N]
python benchmarks/quantized_agreement.py --memory

`--memory` prints what the weights of published sizes take instead, from the shapes in their configs.

Everything computes in bfloat16 on the CPU; float32, unquantized, is there for the scale of things. Logits are compared
on canvases with masks: of a golden checkpoint (random weights) random ids, of `tiny` its own prompts.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter, defaultdict
from pathlib import Path

import torch
from torch import Tensor

from dllm import LLM
from dllm.eval.compare import Plan, compare
from dllm.eval.metrics import wilson
from dllm.eval.tiny import tasks
from dllm.eval.tiny.items import tiny_task
from dllm.models.base import Denoiser
from dllm.models.families.config import ConfigReader
from dllm.models.families.family import Family
from dllm.models.families.table import family_of
from dllm.models.loading import load_model
from dllm.models.network.native import Backbone
from dllm.models.network.quantized import METHODS, kept_bytes, takes
from dllm.testing.configs import EXAMPLES

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
WAYS: dict[str, tuple[str, str | None]] = {
    "bfloat16": ("bfloat16", None),
    "float32": ("float32", None),
    "int8": ("bfloat16", "int8"),
    "int4": ("bfloat16", "int4"),
}
"""Name of a way to load -> `dtype` and `quantize`."""
CANVASES, LENGTH = 64, 32


def random_canvases(network: Denoiser) -> list[Tensor]:
    """`CANVASES` times `[1, LENGTH]` ids; half of the later half is the mask, where the files name one."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, network.vocab_size, (CANVASES, LENGTH), generator=generator)
    masked = torch.rand(CANVASES, LENGTH, generator=generator) < 0.5
    masked[:, : LENGTH // 2] = False
    return list(ids.masked_fill(masked, network.mask_token_id or 0).unsqueeze(1).unbind())


def tiny_canvases() -> list[Tensor]:
    """Prompts of every task that has one, with 32 masks behind each, `[1, length]` ids."""
    llm = LLM("tiny", device="cpu")
    assert llm.tokenizer is not None and llm.model.mask_token_id is not None
    found = []
    for name in tasks.TASKS:
        for item in tiny_task(name, 4, seed=1).items:
            if item.kind == "prompt":
                found.append(torch.tensor([llm.tokenizer.encode(item.question) + [llm.model.mask_token_id] * LENGTH]))
    return found


def agreement(folder: str | Path, canvases: list[Tensor] | None = None) -> str:
    """A line of the first table: top-1 agreement in percent and mean |logit| difference, of each way with bfloat16."""
    block = 8 if Path(folder).name == "llada2_moe" else None
    networks = {
        way: load_model(folder, dtype=dtype, device="cpu", block_length=block, quantize=quantize)
        for way, (dtype, quantize) in WAYS.items()
    }
    canvases = random_canvases(networks["bfloat16"]) if canvases is None else canvases
    logits = {way: [network.logits(ids)[0] for ids in canvases] for way, network in networks.items()}
    base = torch.cat(logits.pop("bfloat16"))
    cells = []
    for others in logits.values():
        other = torch.cat(others)
        same = (other.argmax(-1) == base.argmax(-1)).float().mean().item()
        cells.append(f"{100 * same:.1f} % / {(other - base).abs().mean().item():.3f}")
    return f"| {Path(folder).name} | {len(base)} | {base.std().item():.2f} | {' | '.join(cells)} |"


def accuracy(items: int) -> list[str]:
    """Lines of the second table: percent of tiny's tasks that are right, of each way."""
    chosen = [tiny_task(name, items, seed=0) for name in tasks.TASKS]
    models = {way: LLM("tiny", dtype=dtype, device="cpu", quantize=quantize) for way, (dtype, quantize) in WAYS.items()}
    lines = compare(Plan.make(models, chosen, ["threshold(0.9)"]))
    right: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in lines:
        right[line["model"]][line["task"]] += line["score"]
    rows = [f"| task | {' | '.join(WAYS)} |", f"|---|{'---|' * len(WAYS)}"]
    for task in chosen:
        rows.append(f"| {task.name} | {' | '.join(f'{100 * right[way][task.name] / items:.0f}' for way in WAYS)} |")
    cells = []
    for way in WAYS:
        of = items * len(chosen)
        share = sum(right[way].values()) / of
        low, high = wilson(share, of)
        cells.append(f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
    return [*rows, f"| all | {' | '.join(cells)} |"]


def memory(example: str) -> str:
    """A line of the third table: GB of weights of a published size, blocks and the rest, of each way."""
    config = EXAMPLES[example].published
    settings = ConfigReader(config, example)
    family = family_of(settings)
    assert isinstance(family, Family), f"{example} is not a family of ours"
    with torch.device("meta"):
        network = Backbone(family.spec(settings), family)
    rest = sum(2 * p.numel() for name, p in network.named_parameters() if not takes(network, name))
    shapes = Counter(tuple(p.shape) for name, p in network.named_parameters() if takes(network, name))
    cells = [f"{2e-9 * sum(count * math.prod(shape) for shape, count in shapes.items()):.2f}"]
    for quantize in METHODS.values():
        kept = {shape: kept_bytes(quantize(torch.zeros(shape, dtype=torch.bfloat16))) for shape in shapes}
        blocks = 1e-9 * sum(kept[shape] * count for shape, count in shapes.items())
        cells.append(f"{blocks:.2f} ({blocks + 1e-9 * rest:.2f})")
    cells[0] += f" ({float(cells[0]) + 1e-9 * rest:.2f})"
    return f"| {example} | {1e-9 * rest:.2f} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100, help="of each task of tiny")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory", action="store_true", help="print the table of memory only")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.memory:
        print("| GB of weights | not quantized | blocks in bfloat16 (all) | int8 (all) | int4 (all) |")
        print("|---|---|---|---|---|")
        for example in ("llada", "dream"):
            print(memory(example), flush=True)
        return
    print("| model | positions | spread of logits | " + " | ".join(list(WAYS)[1:]) + " |")
    print(f"|---|---|---|{'---|' * (len(WAYS) - 1)}")
    for folder in sorted(path for path in GOLDEN.iterdir() if path.is_dir()):
        print(agreement(folder), flush=True)
    print(agreement("tiny", tiny_canvases()), flush=True)
    print()
    print("\n".join(accuracy(given.items)))


if __name__ == "__main__":
    main()
