"""Text and ids from arguments, stdin and files. No newline is added, removed or changed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from dllm.cli.shell import UsageError

_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\\": "\\"}


def unescape(text: str) -> str:
    r"""Turn `\n`, `\t`, `\r` and `\\` into what they stand for; other backslashes stay."""
    return re.sub(r"\\[ntr\\]", lambda match: _ESCAPES[match.group()], text)


def read_argument(argument: str, name: str, *, escape: bool, stdin: bool = True) -> str:
    """The argument itself, or, unless `stdin` is false, all of stdin where it is `-` (verbatim, never unescaped)."""
    if argument == "-" and stdin:
        if sys.stdin is None:  # the caller closed it
            raise UsageError(f"{name} - reads stdin, which is closed; give the text as an argument")
        return _decoded(sys.stdin.buffer.read(), "stdin")
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{name} is not valid UTF-8; pass text{', or - and the text on stdin' if stdin else ''}"
        ) from None
    return unescape(argument) if escape else argument


def read_file(path: Path, option: str) -> str:
    """A whole text file. Raises UsageError if there is none."""
    try:
        return _decoded(path.read_bytes(), f"{option} {path}")
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from None


def read_ids(text: str, option: str) -> list[int]:
    """Token ids separated by commas or spaces."""
    pieces = [piece for piece in re.split(r"[,\s]+", text) if piece]
    if not pieces:
        raise UsageError(f"{option} is empty; give ids such as '1,2,3'")
    wrong = next((piece for piece in pieces if not re.fullmatch(r"-?[0-9]{1,18}", piece)), None)
    if wrong is not None:
        raise UsageError(f"{option}: {wrong!r} is not a token id; give whole numbers such as '1,2,3'")
    return [int(piece) for piece in pieces]


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} is not valid UTF-8 (byte {error.start})") from None
