"""Compare schedulers: `python scripts/compare_schedulers.py --help`, the same as `dllm compare`."""

from __future__ import annotations

import sys

from dllm.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["compare"]
    main()
