"""The `dllm` command line: one file a command, shared options in `options.py`, exit codes in `shell.py`.

To add a command, write a file with one function and register it in `app.py`. Nothing that imports torch is imported
before a command runs, so that `dllm --help` is quick.
"""

from dllm.cli.app import main

__all__ = ["main"]
