"""The one door through which text leaves for stdout and stderr.

What is printed comes from models, files and arguments, and a terminal obeys what it is sent: `harmless` spells out
whatever could steer it. `open_doors` puts a `Door` before both standard streams. On stderr text is always made
harmless; on stdout where it is a terminal, while a pipe or a file gets the exact bytes of an answer. Consoles of rich
go past the doors, because their colours and moves are meant: `dllm.cli.console` makes the only ones there are.

A stream may be closed, full, or without a reader. Of stderr that is nobody's loss; of stdout it is an
`UndeliveredError`, once.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, TextIO, cast

from dllm.errors import DllmError

JOINERS = "\u200c\u200d"
"""Zero-width, and part of how Persian, Hindi and many emoji are written."""
_STEERS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of controls (C0 and C1), formats (bidi overrides among them), lone surrogates, and separators
of lines and of paragraphs."""
_MOVE = re.compile(r"\n*(?:\x1b\[A)*")
"""How tqdm, whose bars the Hub's downloads draw, goes to the line of another bar."""


class UndeliveredError(DllmError):
    """What a command had to say on stdout could not be written; `gone`: the reader of a pipe has left."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


def harmless(text: str, keep: str = "\n") -> str:
    """The text with every character that could steer a terminal spelled out as Python writes it; `keep` stays."""
    if text.isprintable():
        return text
    return "".join(char if char in keep or not _steers(char) else repr(char)[1:-1] for char in text)


def _steers(char: str) -> bool:
    return unicodedata.category(char) in _STEERS and char not in JOINERS


def _printed(text: str) -> str:
    return harmless(text, keep="\n\t")


def _said(text: str) -> str:
    """As `_printed`; but a bar may begin at the start of its line, and move to the line of another."""
    if _MOVE.fullmatch(text):
        return text
    start = "\r" if text.startswith("\r") else ""
    return start + _printed(text.removeprefix(start))


class Delivery:
    """A standard stream that may be closed, full, or without a reader. Text goes out as it is.

    Args:
        stream: None where the caller closed it.
        needed: whether it is an error when something cannot be written.
    """

    def __init__(self, stream: TextIO | None, *, needed: bool) -> None:
        self._needed, self._closed = needed, stream is None
        self._stream = _nowhere() if stream is None else stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Raises UndeliveredError where that is an error."""
        try:
            if self._closed and text:
                raise OSError(errno.EBADF, "it is closed")
            self._stream.write(text)
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Raises UndeliveredError where that is an error."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """From now on all goes nowhere, so that the interpreter's last flush has nothing to complain about."""
        needed, self._needed, self._closed = self._needed, False, False
        try:
            with _nowhere() as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
        except (OSError, ValueError):  # a stream without a descriptor
            self._stream = _nowhere()
        if needed:
            message = f"stdout could not be written: {error.strerror or error}"
            raise UndeliveredError(message, gone=error.errno == errno.EPIPE) from error


class Door:
    """A standard stream that makes harmless what it is given; all else is the stream's own.

    Args:
        guard: from what is written to what is shown of it.
    """

    def __init__(self, delivery: Delivery, guard: Callable[[str], str]) -> None:
        self._delivery, self._guard = delivery, guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._delivery, name)

    @property
    def rich_proxied_file(self) -> Delivery:
        """What a console of rich writes to instead."""
        return self._delivery

    def write(self, text: str) -> int:
        self._delivery.write(self._guard(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


def open_doors() -> None:
    """Put the doors up, unless they are. They stay: a bug's traceback is printed when all else is over."""
    _occupy_descriptors()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an answer that the terminal's encoding cannot show is no failure
            stream.reconfigure(errors="backslashreplace")
    if not isinstance(sys.stdout, Delivery | Door):
        out = Delivery(sys.stdout, needed=True)
        sys.stdout = cast(TextIO, Door(out, _printed) if out.isatty() else out)
    if not isinstance(sys.stderr, Delivery | Door):
        sys.stderr = cast(TextIO, Door(Delivery(sys.stderr, needed=False), _said))


def _occupy_descriptors() -> None:
    """Where the caller closed a standard stream, the next file that is opened would get its number, and with it what
    libraries print that know numbers only."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
