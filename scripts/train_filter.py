"""Train the filter of learn2pd: `python scripts/train_filter.py --help`, the same as `dllm train-filter`."""

from __future__ import annotations

import sys

from dllm.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["train-filter"]
    main()
