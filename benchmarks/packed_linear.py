"""Packed weights against row-major ones: GFLOP/s by rows, and whether rows keep their bits.

python benchmarks/packed_linear.py [--threads N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dllm.models.network.packed import Fused, Linear

MATRICES = ((512, 1536), (512, 3072), (1536, 512), (512, 32_000))
ROW_COUNTS = (16, 32, 64, 256)


def seconds(call: Callable[[], object], rounds: int = 5) -> float:
    """The best of some rounds."""
    call()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)


def unstable(call: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """At how many numbers of rows, 2 to 199, the first rows differ from those of all rows together."""
    whole = call(x)
    return sum(not torch.equal(call(x[:rows]), whole[:rows]) for rows in range(2, 200))


def measure_matrix(dtype: torch.dtype, inputs: int, outputs: int) -> str:
    """One line of the table. Weights of about 32 MB in all, so that each call finds them as a forward does."""
    count = max(1, 8_000_000 // inputs // outputs)
    layers = [Linear(inputs, outputs, bias=False).to(dtype) for _ in range(count)]
    plain = [layer.weight.detach().clone() for layer in layers]
    packed = [Fused(layer) for layer in layers]
    for fused in packed:
        fused.pack()
    cells = [_cell(plain, packed, torch.randn(rows, inputs).to(dtype)) for rows in ROW_COUNTS]
    x = torch.randn(260, inputs).to(dtype)
    before, after = unstable(lambda y: F.linear(y, plain[0]), x), unstable(lambda y: packed[0](y)[0], x)
    return f"{str(dtype)[6:]} {inputs} -> {outputs}: {', '.join(cells)}; unstable {before} -> {after}"


def _cell(plain: list[Tensor], packed: list[Fused], x: Tensor) -> str:
    work = 2e-9 * len(x) * sum(weight.numel() for weight in plain)
    slow = work / seconds(lambda: [F.linear(x, weight) for weight in plain])
    fast = work / seconds(lambda: [fused(x) for fused in packed])
    return f"{len(x)} rows {slow:.0f} -> {fast:.0f} ({fast / slow:.2f})"


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    torch.set_num_threads(parser.parse_args().threads)
    print(f"{torch.get_num_threads()} threads; GFLOP/s row-major -> packed (x faster); unstable: numbers of rows")
    for dtype in (torch.float32, torch.bfloat16):
        for inputs, outputs in MATRICES:
            print(measure_matrix(dtype, inputs, outputs), flush=True)


if __name__ == "__main__":
    main()
