"""Measure the engine and write docs/performance.md from what was measured, here and on cards.

python scripts/bench_engine.py                  everything on this machine (10 minutes), then the page
python scripts/bench_engine.py --page-only      the page from benchmarks/results/*.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/ is not in the wheel: it lies beside this folder

from dllm.bench.clock import threads
from dllm.bench.growth import growth
from dllm.bench.suite import full
from tools.performance_page import write

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    arguments = parser.parse_args()
    if not arguments.results.is_dir():
        parser.error(f"--results {arguments.results}: no such folder")
    if not arguments.page_only:
        found, _ = full(arguments.threads)
        with threads(arguments.threads):
            found["growth"] = {name: [asdict(point) for point in points] for name, points in growth().items()}
        (arguments.results / "cpu.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    write(arguments.results, arguments.page)


if __name__ == "__main__":
    main()
