"""How much memory loading takes above the weights: python benchmarks/load_memory.py FOLDER [DTYPE]"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from dllm import load_model
from dllm.testing.checkpoints import make_checkpoint

MIB = 2**20


def resident() -> float:
    """MiB in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        load_model(make_checkpoint("sdar", Path(folder) / "x"))  # what importing takes
    before = resident()
    folder, dtype = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "auto"
    network = load_model(folder, dtype=dtype, device="cpu")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters()) / MIB
    shard = max(path.stat().st_size for path in Path(folder).glob("*.safetensors")) / MIB
    print(f"weights {weights:.0f} MiB, largest shard {shard:.0f}, peak {peak:.0f}, limit {1.1 * weights + shard:.0f}")


if __name__ == "__main__":
    main()
