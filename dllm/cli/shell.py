"""How a command ends: its exit code, and one line on stderr instead of a traceback for whatever is not our bug.

Below the line for a text that a grammar does not allow, the place is shown as it was drawn. With `--debug`, which every
command takes, the traceback stands above the line.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from dllm.cli.terminal import UndeliveredError, harmless, open_doors
from dllm.errors import CapabilityError, ConfigError, DllmError, GrammarError, PromptError
from dllm.eval.user_code import UserCodeError

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
_USERS_OWN = (ConfigError, PromptError, CapabilityError)
_PYTHON_FIX = re.compile(r"LLM\(\.\.\., (\w+)=([\w.]+)\)")


Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of what fails.")]


@dataclass
class _Debugging:
    """Whether tracebacks are wanted, of the command that runs."""

    on: bool = False


debugging = _Debugging()


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
        open_doors()
        debugging.on = False
        sys.exit(ending(lambda: parent(args, prog_name, complete_var, False, windows_expand_args, **extra)))


def needs_command(context: typer.Context, debug: Debug = False) -> None:
    """Print the help of a group of commands and raise UsageError, where none of them is named."""
    debugging.on |= debug
    if context.invoked_subcommand is None:
        print(context.get_help())
        group: Any = context.command
        raise UsageError(f"{context.command_path}: name a command, one of {', '.join(group.commands)}")


def ending(command: Callable[[], Any]) -> int:
    """Run a command to its exit code. Bugs keep their traceback; nothing else has one, unless it is asked for."""
    code = _code(command)
    try:
        sys.stdout.flush()
    except UndeliveredError as error:
        return code or _undelivered(error)
    return code


def _code(command: Callable[[], Any]) -> int:
    try:
        code = command()
    except UndeliveredError as error:
        return _undelivered(error)
    except DllmError as error:
        said, _, drawn = str(error).partition("\n") if isinstance(error, GrammarError) else (str(error), "", "")
        _trace(error)
        if isinstance(error, UserCodeError):
            return _say(said if debugging.on or error.__cause__ is None else f"{said}; --debug shows more", FAILED)
        return _say(_for_shell(said), MISUSED if isinstance(error, (*_USERS_OWN, UsageError)) else FAILED, drawn)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (OSError, MemoryError) as error:
        _trace(error)
        return _say(str(error) or "out of memory", FAILED)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own usage errors, whose class has moved between its versions
            return _say(f"{error.format_message()}{_see_help(error)}", MISUSED)
        if _is_out_of_memory(error):
            _trace(error)
            return _say(str(error), FAILED)
        raise
    if code == INTERRUPTED:
        return _say("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else DONE


def _undelivered(error: UndeliveredError) -> int:
    """A reader that has left, as `head` does, is not told; it is gone."""
    return FAILED if error.gone else _say(str(error), FAILED)


def _trace(error: BaseException) -> None:
    if debugging.on:
        traceback.print_exception(error)


def tell(message: str) -> None:
    """One line on stderr."""
    print("dllm:", " ".join(message.split()), file=sys.stderr)


def _say(message: str, code: int, drawn: str = "") -> int:
    """One line on stderr, and below it what is drawn and must keep its lines."""
    tell(message)
    if drawn:
        print(harmless(drawn), file=sys.stderr)
    return code


def _for_shell(message: str) -> str:
    """Library errors name the fix in Python; here it is an option."""
    return _PYTHON_FIX.sub(lambda match: f"--{match[1].replace('_', '-')} {match[2].replace('...', 'FOLDER')}", message)


def _see_help(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f" (see {context.command_path} --help)" if context is not None else ""


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)
