"""Files that a kill leaves whole: written in one go, or lengthened by whole lines."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dllm import __version__
from dllm.errors import DllmError


def mark_of(settings: Mapping[str, Any]) -> str:
    """What tells files of one run from those of others: 12 digits of its settings (JSON values) and dllm's version."""
    said = json.dumps({"dllm": __version__, **settings}, sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file that is, at any moment, either what it was before or all of `data`.

    What is no ordinary file, such as a pipe, is written to as it is.
    """
    raw = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    target = path.resolve()  # a link stays one
    if target.exists() and not target.is_file():
        target.write_bytes(raw)
        return
    part = target.with_name(f".{target.name}.part")
    with part.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, target)


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Lengthen a file by lines; they are on disk when this returns.

    Raises:
        DllmError: they cannot be written.
    """
    text = "".join(f"{line}\n" for line in lines)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DllmError(
            f"{path} could not be written ({error.strerror}); what it holds already is kept: make room and run the "
            "same again"
        ) from error


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file, without one at its end that a kill has torn."""
    return path.read_bytes().split(b"\n")[:-1]


def drop_torn_line(path: Path) -> None:
    """Cut off what stands behind the last whole line, so that the file can be lengthened."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
