"""The program of the process that renders chat templates, a line of JSON in and one out; `renderer.py` starts it.

Three walls stand around a template. Jinja's sandbox keeps it from everything but its variables. The kernel keeps the
time: an alarm that nothing here handles ends the process, in the middle of a multiplication too. And the memory is the
process's own, with a limit where the system has one. So nothing of dllm is imported, only Jinja.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

SAID = 500
"""Characters of an error's text that are passed on: it is the template's, too."""
TEMPLATES = 8
"""Templates that are kept compiled."""
_OUT_OF_MEMORY: Final = {"wrong": "memory", "said": ""}


class Generation(Extension):
    """`{% generation %} ... {% endgeneration %}`: marks an answer for training; here only a scope of its own."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class PublicNamespace(Namespace):
    """Jinja's, without the names by which Python asks an object what it is."""

    def __init__(self, *items: Any, **named: Any) -> None:
        for name in dict(*items, **named):
            _check_public(name)
        super().__init__(*items, **named)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_public(name)
        super().__setitem__(name, value)


def _check_public(name: Any) -> None:
    if not isinstance(name, str) or name.startswith("_"):
        raise SecurityError(f"a namespace takes no name like {name!r}")


def raise_exception(message: Any) -> None:
    """How a template refuses messages."""
    raise TemplateError(str(message))


def strftime_now(form: str) -> str:
    """The local time."""
    return datetime.now().strftime(form)


def new_dict(*items: Any, **named: Any) -> dict[Any, Any]:
    return dict(*items, **named)


def tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON for a model to read. Jinja's own filter writes it for HTML, with `<` and `'` escaped."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@lru_cache(TEMPLATES)
def compiled(source: str) -> Template:
    """A template as transformers reads it, in an environment of its own: templates do not meet."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = tojson
    environment.globals.update(
        raise_exception=raise_exception, strftime_now=strftime_now, dict=new_dict, namespace=PublicNamespace
    )
    return environment.from_string(source)


def answer(line: bytes, longest: int) -> dict[str, str]:
    """What comes of a request: `{"text": ...}`, or `{"wrong": KIND, "said": ...}`.

    Args:
        line: JSON, `{"template": source, "variables": {name: value}}`.
        longest: characters that a template may write.

    The kinds: `syntax` (no Jinja), `refused` (the template raised), `long`, `memory`.
    """
    try:
        request = json.loads(line)
        pieces, length = list[str](), 0
        for piece in compiled(request["template"]).generate(request["variables"]):
            length += len(piece)
            if length > longest:
                return {"wrong": "long", "said": ""}
            pieces.append(piece)
        return {"text": "".join(pieces)}
    except MemoryError:
        return _OUT_OF_MEMORY
    except TemplateSyntaxError as error:
        return {"wrong": "syntax", "said": f"line {error.lineno}: {error.message}"[:SAID]}
    except TemplateError as error:
        return {"wrong": "refused", "said": (error.message or type(error).__name__)[:SAID]}
    except Exception as error:  # a template is a program: it may raise anything
        return {"wrong": "refused", "said": f"{type(error).__name__}: {str(error)[:SAID]}"}


def bound(memory: int) -> None:
    """At most so many bytes more, no file written, no core left: as far as the system has such limits."""
    with contextlib.suppress(ImportError):
        import resource

        held = _held_pages() * resource.getpagesize()
        for kind, most in ((resource.RLIMIT_AS, held + memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
            _, hard = resource.getrlimit(kind)
            limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (limit, limit))


def _held_pages() -> int:
    """Address space of this process, which has nothing to do with a template: some allocators reserve a lot of it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux
        return 0


def alarm(seconds: float) -> None:
    """End this process in so many seconds; 0: do not."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def serve(seconds: float, memory: int, longest: int) -> None:
    """Answer requests until the other side is gone, or until one has taken more memory than there is."""
    if hasattr(signal, "SIGALRM"):  # whoever started us may have been deaf to it
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    bound(memory)
    for line in sys.stdin.buffer:
        alarm(seconds)
        reply = answer(line, longest)
        sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
        sys.stdout.buffer.flush()
        alarm(0)
        if reply is _OUT_OF_MEMORY:
            return


def main(arguments: Sequence[str]) -> None:
    seconds, memory, longest = arguments
    serve(float(seconds), int(memory), int(longest))


if __name__ == "__main__":
    main(sys.argv[1:])
