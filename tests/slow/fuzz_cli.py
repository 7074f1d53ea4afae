"""Random command lines, for as long as you like: never a traceback, no exit codes but 0, 1 and 2, nothing on stderr
that steers a terminal.

    python -m tests.slow.fuzz_cli --minutes 5

They run in this process, in a folder of their own, without the network.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from typer.testing import CliRunner

from dllm.cli.app import app
from tests.support.cli_arguments import arguments


@contextmanager
def in_a_folder(folder: Path) -> Iterator[None]:
    """The folder is the current one, and the Hub is never asked."""
    from huggingface_hub import constants

    before, offline = Path.cwd(), constants.HF_HUB_OFFLINE
    os.chdir(folder)
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        os.chdir(before)


def faults_of(words: Sequence[str]) -> list[str]:
    """What is wrong with how a command line ends."""
    result = CliRunner().invoke(app, list(words))
    found = []
    if not isinstance(result.exception, SystemExit | None):
        found.append("".join(traceback.format_exception(result.exception)))
    if result.exit_code not in (0, 1, 2):
        found.append(f"exit code {result.exit_code}")
    if "Traceback" in result.stderr and "--debug" not in words:
        found.append("a traceback")
    if any(not (char.isprintable() or char in "\n\t") for char in result.stderr if char != "\u00a0"):
        found.append(f"not harmless: {result.stderr!r:.500}")
    told = [line for line in result.stderr.splitlines() if line.startswith("dllm: ")]
    if result.exit_code and not told and words[0] not in ("doctor", "grammar"):
        found.append(f"ends with {result.exit_code} and says nothing: {result.stderr!r:.300}")
    return found


def main(given_arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(given_arguments)
    until = time.monotonic() + 60 * options.minutes
    codes, wrong, slowest = Counter[int](), list[tuple[list[str], list[str]]](), (0.0, [""])
    number = options.seed
    with tempfile.TemporaryDirectory() as name, in_a_folder(Path(name)):
        while time.monotonic() < until:
            number += 1

            @seed(number)
            @settings(
                max_examples=200,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(arguments())
            def run(words: list[str]) -> None:
                nonlocal slowest
                if time.monotonic() > until:
                    return
                began = time.monotonic()
                found = faults_of(words)
                slowest = max(slowest, (time.monotonic() - began, words))
                codes[len(found)] += 1
                if found:
                    wrong.append((words, found))
                    print(words, *found, sep="\n", flush=True)

            run()
    print(f"{sum(codes.values())} command lines, {len(wrong)} ended badly")
    print(f"the slowest took {slowest[0]:.1f} s: {slowest[1]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
