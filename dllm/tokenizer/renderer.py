"""Chat templates rendered in a process of their own.

A template comes with a checkpoint and is a program: it may loop without end or ask for 9 ** 9 ** 9. Inside our own
process neither can be stopped. A signal or a trace function waits for the instruction to end; a list of operators,
filters and methods to watch is as long as Python; deep nesting overflows the C stack of its compiler. A process can be
ended by the kernel at any instruction, has memory of its own, and takes nothing with it. It is started at the first
chat, in a tenth of a second (importing transformers, which also renders templates, takes more than one), serves all
threads, and is replaced when it ends.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dllm.errors import PromptError

SECONDS = 5.0
"""Time for one rendering; usual ones take a millisecond."""
MEMORY = 512 << 20
"""Bytes that a rendering may take, beyond the 25 MB of an idle process. macOS keeps no such limit."""
LONGEST_TEMPLATE = 250_000
"""Characters. Published templates have up to about 30,000."""
LONGEST_TEXT = 2_000_000
"""Characters of a rendered conversation: more than any model's context holds."""
LONGEST_REQUEST = 32 << 20
"""Bytes of messages and template, as JSON."""

_PATIENCE = 30.0
"""Seconds beyond `SECONDS` after which a process that does not answer is ended from here. It ends itself; this is for
one that was stopped, or whose start hangs."""
_START = """
import runpy, sys
sys.path.extend(sys.argv.pop(1).splitlines())
runpy.run_path(sys.argv.pop(1), None, "__main__")
"""


class Renderer:
    """A process that renders chat templates, one at a time; any number of threads may ask.

    Args:
        seconds, memory: see `SECONDS` and `MEMORY`.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.seconds = seconds
        self.memory = memory
        self.process: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        """What a template makes of its variables.

        Args:
            template: Jinja source, of at most `LONGEST_TEMPLATE` characters.
            variables: name -> what JSON can hold.

        Raises:
            PromptError: the template refuses the variables, is no Jinja, is too long or writes too much, takes too
                long or too much memory; or the variables are no JSON; or there can be no such process.
        """
        if len(template) > LONGEST_TEMPLATE:
            raise PromptError(
                f"the chat template has {len(template)} characters; at most {LONGEST_TEMPLATE} are read: set "
                "tokenizer.chat_template to a shorter one"
            )
        reply = self._reply(_request(template, variables))
        if "text" in reply:
            return reply["text"]
        raise PromptError(self._explained(reply["wrong"], reply["said"]))

    def close(self) -> None:
        """End the process, if there is one; the next rendering starts another."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            _close_pipes(process)

    def forget(self) -> None:
        """Leave the process to whom it belongs: we are a fork of that one."""
        process, self.process = self.process, None
        if process is not None:
            _close_pipes(process)
            process.poll()  # it is no child of ours: from now on it counts as ended

    def _explained(self, wrong: str, said: str) -> str:
        return {
            "syntax": f"the chat template is not valid Jinja: {said}",
            "refused": f"the chat template refuses these messages: {said}",
            "long": f"the chat template writes more than {LONGEST_TEXT} characters",
            "memory": f"the chat template takes more than {self.memory >> 20} MB of memory",
        }[wrong] + ("" if wrong == "refused" else "; set tokenizer.chat_template to another one")

    def _reply(self, request: bytes) -> dict[str, str]:
        """The process's answer. One that ended before its time was ended from outside, and gets a second chance."""
        with self._one_at_a_time:
            for _ in range(2):
                process, began = self._started(), time.monotonic()
                line = self._asked(process, request)
                if line.endswith(b"\n"):
                    reply: dict[str, str] = json.loads(line)
                    return reply
                self.close()
                if time.monotonic() - began >= self.seconds:
                    raise PromptError(
                        f"the chat template takes longer than {self.seconds:g} s; set tokenizer.chat_template to "
                        "another one"
                    )
        raise PromptError(
            f"the process that renders the chat template ended (exit code {process.returncode}): the template is too "
            "deeply nested, or no such process can run here"
        )

    def _asked(self, process: subprocess.Popen[bytes], request: bytes) -> bytes:
        """What the process writes: a line, or less where it ended."""
        watchdog = threading.Timer(self.seconds + _PATIENCE, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            with contextlib.suppress(OSError):  # it ended, or everything is ending
                _write(process, request)
                return _read_line(process)
        except BaseException:  # Ctrl-C: the answer to this request must not be read as that to the next
            self.close()
            raise
        finally:
            watchdog.cancel()
        return b""

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is not None and self.process.poll() is None:
            return self.process
        self.close()
        program = Path(__file__).with_name("sandbox.py")
        limits = [str(self.seconds), str(self.memory), str(LONGEST_TEXT)]
        try:
            self.process = subprocess.Popen(
                # without the user's environment and site: only what the program imports is to be found
                [
                    sys.executable or "python3",
                    "-I",
                    "-S",
                    "-c",
                    _START,
                    "\n".join(_where_jinja_is()),
                    str(program),
                    *limits,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # Ctrl-C on the terminal is not for it
            )
        except (OSError, ValueError) as error:
            raise PromptError(f"the process that renders chat templates does not start: {error}") from error
        return self.process


def _request(template: str, variables: Mapping[str, Any]) -> bytes:
    try:
        request = json.dumps({"template": template, "variables": dict(variables)}).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise PromptError(f"messages and template_variables must be what JSON can hold: {error}") from error
    if len(request) > LONGEST_REQUEST:
        raise PromptError(f"the conversation has {len(request)} bytes; a chat template gets at most {LONGEST_REQUEST}")
    return request


def _where_jinja_is() -> list[str]:
    """The folders that Jinja and what it needs are imported from."""
    found = [importlib.util.find_spec(name) for name in ("jinja2", "markupsafe")]
    files = [spec.origin for spec in found if spec is not None and spec.origin is not None]
    if len(files) < len(found):
        raise PromptError("chat templates need jinja2, which is not installed: pip install jinja2")
    return sorted({str(Path(file).parents[1]) for file in files})


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    pipe, left = process.stdin.fileno(), memoryview(data)
    while left:
        left = left[os.write(pipe, left) :]


def _read_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    pipe, read = process.stdout.fileno(), bytearray()
    while not read.endswith(b"\n") and (piece := os.read(pipe, 1 << 16)):
        read += piece
    return bytes(read)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


_renderer = Renderer()


def render(template: str, variables: Mapping[str, Any]) -> str:
    """`Renderer.render` of the one that this process has."""
    return _renderer.render(template, variables)


def _renew() -> None:
    """In a fork: another renderer, with a lock that nobody holds."""
    global _renderer
    _renderer.forget()
    _renderer = Renderer()


atexit.register(lambda: _renderer.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
