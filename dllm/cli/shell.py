"""How a command ends: its exit code, and one line on stderr instead of a traceback for whatever is not our bug.

Below the line for a text that a grammar does not allow, the place is shown as it was drawn.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from dllm.errors import CapabilityError, ConfigError, DllmError, GrammarError, PromptError

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
_USERS_OWN = (ConfigError, PromptError, CapabilityError)
_PYTHON_FIX = re.compile(r"LLM\(\.\.\., (\w+)=([\w.]+)\)")


class UsageError(DllmError):
    """A mistake on the command line that the engine never gets to see."""


class Shell(TyperGroup):
    """The root of all commands; every way out of them goes through `main`."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        parent = super().main
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # an answer that the terminal's encoding cannot show is no failure
                stream.reconfigure(errors="backslashreplace")
        sys.exit(ending(lambda: parent(args, prog_name, complete_var, False, windows_expand_args, **extra)))


def ending(command: Callable[[], Any]) -> int:
    """Run a command to its exit code. Bugs keep their traceback; nothing else has one."""
    try:
        code = command()
        sys.stdout.flush()
    except DllmError as error:
        said, _, drawn = str(error).partition("\n") if isinstance(error, GrammarError) else (str(error), "", "")
        return _say(_for_shell(said), MISUSED if isinstance(error, (*_USERS_OWN, UsageError)) else FAILED, drawn)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return FAILED
    except (OSError, MemoryError) as error:
        return _say(str(error) or "out of memory", FAILED)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own usage errors, whose class has moved between its versions
            return _say(f"{error.format_message()}{_see_help(error)}", MISUSED)
        if _is_out_of_memory(error):
            return _say(str(error), FAILED)
        raise
    if code == INTERRUPTED:
        return _say("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else DONE


def _say(message: str, code: int, drawn: str = "") -> int:
    """One line on stderr, and below it what is drawn and must keep its lines."""
    print("dllm:", " ".join(message.split()), file=sys.stderr)
    if drawn:
        print(drawn, file=sys.stderr)
    return code


def _for_shell(message: str) -> str:
    """Library errors name the fix in Python; here it is an option."""
    return _PYTHON_FIX.sub(lambda match: f"--{match[1].replace('_', '-')} {match[2].replace('...', 'FOLDER')}", message)


def _see_help(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f" (see {context.command_path} --help)" if context is not None else ""


def _abandon_stdout() -> None:
    """The reader is gone: keep the interpreter's last flush from complaining about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)
