"""A terminal for the commands: what they print to it, without one."""

import io
import sys

from dllm.cli import first_use
from dllm.cli.app import app


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, and keeps what it gets."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self):
        return True

    @property
    def shown(self):
        return self.buffer.getvalue().decode()


def on_terminal(monkeypatch, *arguments, stdin=""):
    """Run a command whose stdout and stderr are terminals; its exit code, and what either of them got."""
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    monkeypatch.setattr(first_use, "PATIENCE", 1e9)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    try:
        app([*map(str, arguments)], prog_name="dllm")
    except SystemExit as end:
        code = end.code
    return code, out.shown, err.shown
