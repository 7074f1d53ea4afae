"""Broken and hostile checkpoints, for as long as you like: `python -m tests.slow.fuzz_folders --minutes 10`.

Each is a small checkpoint of one of the families with one file changed, at times two (`tests.support.fuzzed_folders`).
It must load or raise a `DllmError`, in bounded time and memory, and open no file outside its folder. What does not is
printed with its seed, which repeats it: `--seed N --runs 1`.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import torch

from dllm.testing.configs import EXAMPLES
from tests.support.fuzzed_folders import broken_folder, check, whole_folders

MEMORY = 12 << 30
"""Bytes of address space, of which torch's libraries alone take several."""
PATIENCE = 120
"""Seconds after which a folder hangs."""
GROWTH = 1 << 30
"""Bytes by which all folders together may raise the most that the process has held."""


def main() -> None:
    """Read the options, try folders, print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=1 << 30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _hangs)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    end, tried, found, ends = time.monotonic() + 60 * given.minutes, 0, 0, Counter[str]()
    with tempfile.TemporaryDirectory() as home:
        sources = whole_folders(tuple(EXAMPLES), Path(home) / "whole")
        ends.update(check(source) for source in sources)
        held = _held()
        while tried < given.runs and time.monotonic() < end:
            seed = given.seed + tried
            ends[_outcome(seed, sources, Path(home) / "broken")] += 1
            tried += 1
        found = ends["violation"]
        growth = _held() - held
    print(f"{tried} folders, seeds from {given.seed} on: {found} violations; the process grew by {growth >> 20} MiB")
    for outcome, count in ends.most_common():
        print(f"{count:>8} {outcome}")
    sys.exit(found > 0 or growth > GROWTH)


def _held() -> int:
    """Bytes that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _outcome(seed: int, sources: list[Path], home: Path) -> str:
    rng = random.Random(seed)
    source = rng.choice(sources)
    shutil.rmtree(home, ignore_errors=True)
    done = broken_folder(rng, source, home / source.name)
    signal.alarm(PATIENCE)
    try:
        return check(home / source.name)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        print(f"seed {seed}: {source.name}: {'; '.join(done)}")
        traceback.print_exception(error, limit=-4)
        return "violation"
    finally:
        signal.alarm(0)


def _hangs(number: int, frame: object) -> None:
    raise TimeoutError(f"not done after {PATIENCE} s")


if __name__ == "__main__":
    main()
