"""`dllm serve`: an OpenAI-compatible server of one model."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

from typer import Option

from dllm.cli.grouping import grouped
from dllm.cli.options import ModelOptions
from dllm.cli.shell import UsageError

DRAIN = 30
"""Seconds that requests under way have once the server is told to stop."""
_LIMITS = "Limits"


@grouped
def serve(
    host: Annotated[str, Option(help="Address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0: one that is free.")] = 8000,
    name: Annotated[
        list[str] | None, Option(metavar="NAME", help="What clients call the model; may be repeated.")
    ] = None,
    api_key: Annotated[
        list[str] | None,
        Option(
            metavar="KEY",
            envvar="DLLM_API_KEY",
            show_envvar=True,
            help="What clients must show; may be repeated. The variable is not seen in lists of processes.",
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        Option(metavar="ORIGIN", help="A web page that may ask, such as https://a.example, or *; may be repeated."),
    ] = None,
    max_batch_size: Annotated[
        int | None,
        Option(min=1, help="Rows denoised together; else up to 32, as memory allows.", rich_help_panel=_LIMITS),
    ] = None,
    max_waiting: Annotated[
        int, Option(min=1, help="Requests that may wait; more are told 503.", rich_help_panel=_LIMITS)
    ] = 256,
    timeout: Annotated[float, Option(help="Seconds a request may take.", rich_help_panel=_LIMITS)] = 600.0,
    drain: Annotated[
        float, Option(min=0, help="Seconds for requests under way at the end.", rich_help_panel=_LIMITS)
    ] = DRAIN,
    *,
    model: ModelOptions,
) -> None:
    """Serve a model under OpenAI's interface, and under Ollama's; needs the extra `serve`.

    dllm serve --port 8000, then in Python:
    OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")

    SIGTERM and Ctrl-C let requests under way come to their ends. The log is one JSON object a line, on stderr.
    """
    try:
        import uvicorn

        from dllm.serve import app
    except ModuleNotFoundError as error:
        raise UsageError(f"dllm serve needs {error.name}: pip install 'dllm-engine[serve]'") from error
    from dllm.serve.guard import log_handler

    door = _listening(host, port)
    names = name or (None if Path(model.model).is_dir() else [model.model])
    made = app(
        model.load(),
        name=names,
        api_key=api_key or None,
        max_batch_size=max_batch_size,
        max_waiting=max_waiting,
        timeout=timeout,
        drain=drain,
        cors=cors or (),
    )
    logging.basicConfig(level=logging.INFO, handlers=[log_handler()])
    _tell(made.state.service.names[0], door, keyed=bool(api_key))
    # uvicorn raises the signal that ended it again, when all is done
    signal.signal(signal.SIGTERM, lambda *_: None)
    config = uvicorn.Config(
        made, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=max(1, round(drain))
    )
    uvicorn.Server(config).run(sockets=[door])


def _listening(host: str, port: int) -> socket.socket:
    """An open door, before the model is loaded: an address that is taken is told at once."""
    if not host:
        raise UsageError("--host is empty; give an address, 0.0.0.0 for all of this machine")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: {error.strerror or error}; choose another") from error


def _tell(name: str, door: socket.socket, *, keyed: bool) -> None:
    host, port = door.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"dllm: {name} at http://{shown}:{port} (OpenAI clients: http://{shown}:{port}/v1)", file=sys.stderr)
    if not keyed and not ipaddress.ip_address(host).is_loopback:
        print("dllm: warning: no --api-key, so whoever reaches this address may ask", file=sys.stderr)
    sys.stderr.flush()
