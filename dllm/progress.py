"""The bar that long lists of requests, and large checkpoints, show on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

PROGRESS_FROM = 16
"""Requests from which a progress bar is shown on a terminal."""


class progress_bar:
    """A rich progress bar, or nothing: `with progress_bar(...) as done: done()`.

    Args:
        total: how often `done` is called.
        wanted: None: on a terminal, from `PROGRESS_FROM` on.
        doing: what stands before the bar.
    """

    def __init__(self, total: int, wanted: bool | None, doing: str = "denoising") -> None:
        self.total, self.doing = total, doing
        self.wanted = (total >= PROGRESS_FROM and sys.stderr.isatty()) if wanted is None else wanted

    def __enter__(self) -> Callable[[], None]:
        if not self.wanted:
            return lambda: None
        from rich.console import Console
        from rich.progress import Progress

        # a command makes harmless what stderr gets, and its stream is to go on doing so for all but the bar
        console = Console(file=getattr(sys.stderr, "rich_proxied_file", sys.stderr), stderr=True)
        self.bar = Progress(console=console, redirect_stdout=False, redirect_stderr=False)
        self.bar.start()
        task = self.bar.add_task(self.doing, total=self.total)
        return lambda: self.bar.advance(task)

    def __exit__(self, *_: object) -> None:
        if self.wanted:
            self.bar.stop()
