"""Each scheduler's own time a step beside one cached forward: `python benchmarks/scheduler_overhead.py`.

The vocabulary is LLaDA's (126,464), the block 32 tokens, the network 8 layers of width 512 with random weights and the
cache `dual`. Own time is the time of a step without its forward (a table of logits answers at once) minus that of the
same step under a scheduler that does nothing, so that the proposal, the confidences and the loop are not counted, but
measures, transforms, further positions and all hooks are. Steps with as many masks are compared, so that a scheduler
that commits more at once gains nothing by it. Both are timed in turns; what is printed are medians over turns.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from dllm import LLM, SamplingParams
from dllm.models.base import RowInput
from dllm.models.network.native import Backbone
from dllm.schedulers import Scheduler, as_scheduler
from dllm.schedulers.base import State
from dllm.testing.networks import MASK, llada_8b, random_network
from dllm.views import StepView

FILTER = Path(__file__).parents[1] / "dllm" / "schedulers" / "filters" / "tiny.safetensors"
SPECS = (
    *("topk(1)", "topk(1, by=margin)", "topk(1, by=entropy)", "threshold", "factor(0.1)", "localleap", "hierarchy"),
    *("llada", "dream", "dus"),
    *(f"learn2pd(filter='{FILTER}')", "credit", "eotp", "adablock(delimiters='198 271')", "prophet", "saber", "wino"),
    *("eb", "klass"),
)
APART = ("eb", "klass")
"""They read whole distributions by definition, so they are reported apart."""
PROMPT, NEW, BLOCK = 64, 128, 32


class Idle(Scheduler):
    """Leaves the choice to the engine: the most confident position."""

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        return torch.zeros_like(view.active), state

    def __str__(self) -> str:
        return "idle"


class Instant:
    """The network, answering from a table."""

    def __init__(self, network: Backbone, table: Tensor) -> None:
        self._network, self._table = network, table

    def __getattr__(self, name: str) -> object:
        return getattr(self._network, name)

    def forward_rows(self, rows: Sequence[RowInput]) -> list[Tensor]:
        counts = [len(row.wanted) + (0 if row.shadows is None else len(row.shadows)) for row in rows]
        return [self._table[:count] for count in counts]


def seconds_by_masks(llm: LLM, scheduler: Scheduler) -> dict[int, float]:
    """Masks in the block -> seconds of a step. A block's first step, which feeds the whole canvas, is left out."""
    steps = NEW if scheduler.reads_steps else None
    params = SamplingParams(
        max_new_tokens=NEW, block_length=BLOCK, scheduler=scheduler, cache="dual", seed=0, ignore_eos=True, steps=steps
    )
    times: dict[int, list[float]] = {}
    masks, last = BLOCK, time.perf_counter()
    for event in llm.stream(list(range(2, 2 + PROMPT)), params):
        now = time.perf_counter()
        if masks < BLOCK:
            times.setdefault(masks, []).append(now - last)
        left = event.canvas[PROMPT:].count(MASK)
        masks = (left - 1) % BLOCK + 1
        last = time.perf_counter()
    return {count: sum(found) / len(found) for count, found in times.items()}


def own_seconds(with_it: dict[int, float], without: dict[int, float]) -> float:
    """Mean over its steps of what a step took longer than one with as many masks and no scheduler."""
    return sum(seconds - without[masks] for masks, seconds in with_it.items()) / len(with_it)


def main() -> None:
    """Read the options, measure, print a table (and a JSON object with --json)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--vocabulary", type=int, default=126_464)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    shape = replace(
        llada_8b(layers=8),
        columns=given.vocabulary,
        hidden_size=512,
        intermediate_size=1536,
        heads=8,
        kv_heads=8,
        head_dim=64,
    )
    network = random_network(shape, torch.device("cpu")).to(getattr(torch, given.dtype))
    network.eos_token_ids = (0,)
    table = torch.randn(NEW + BLOCK, given.vocabulary)
    real, instant = LLM(network), LLM(Instant(network, table))
    idle, found = Idle(), {spec: as_scheduler(spec) for spec in SPECS}
    own: dict[str, list[float]] = {spec: [] for spec in SPECS}
    forwards: list[float] = []
    for _ in range(given.turns):
        for spec, scheduler in found.items():
            base = seconds_by_masks(instant, idle)
            own[spec].append(own_seconds(seconds_by_masks(instant, scheduler), base))
        forwards.append(own_seconds(seconds_by_masks(real, idle), seconds_by_masks(instant, idle)))
    forward = median(forwards)
    rows = [(spec, median(times), median(times) / forward) for spec, times in own.items()]
    print(f"one cached forward: {1000 * forward:.2f} ms ({given.dtype}, {given.threads} threads)\n")
    print("| scheduler | own ms a step | of the forward |\n|---|---|---|")
    for spec, seconds, share in rows:
        name = spec.replace(str(FILTER), "FILTER") + (" (apart)" if spec in APART else "")
        print(f"| `{name}` | {1000 * seconds:.2f} | {100 * share:.1f} % |")
    if given.json:
        shares = {spec.replace(str(FILTER), "FILTER"): share for spec, _, share in rows}
        print(json.dumps({"forward_ms": 1000 * forward, "share": shares}))


if __name__ == "__main__":
    main()
