"""What stands before every endpoint: the request's id, the key, the size of the body, and the log."""

from __future__ import annotations

import hmac
import json
import logging
import re
import time
import traceback
import uuid
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dllm.serve.errors import Refusal, refusal_of
from dllm.serve.service import path_of, written

FREE = frozenset({"/", "/health", "/ready"})
"""Paths that ask for no key: what a probe asks, and the page, which holds nothing but itself."""
LOG = logging.getLogger("dllm.serve")
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Guard:
    """An ASGI application in front of another.

    Args:
        app: what is guarded.
        keys: any of which lets a request in; none: all are let in.
        max_body: bytes.
    """

    def __init__(self, app: ASGIApp, *, keys: tuple[str, ...] = (), max_body: int) -> None:
        self.app, self.max_body = app, max_body
        self._keys = tuple(key.encode() for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        path = path_of(scope)
        visit = _Visit(scope, send, given if _ID.fullmatch(given) else uuid.uuid4().hex)
        scope.setdefault("state", {})["request_id"] = visit.id
        try:
            self._check_key(path, headers)
            if path.startswith("/api/") and "origin" not in headers:
                scope = {**scope, "headers": _as_json(scope["headers"])}
            await self.app(scope, self._limited(headers, receive), visit.send)
        except Exception as error:
            refusal = refusal_of(error)
            visit.error = None if refusal is error else "".join(traceback.format_exception(error))
            if visit.status is not None:  # it has begun to answer
                raise
            await visit.refuse(refusal)
        finally:
            visit.log()

    def _check_key(self, path: str, headers: dict[str, str]) -> None:
        if not self._keys or path in FREE:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        key = given.strip().encode() if scheme.lower() == "bearer" else b""
        # every key is compared, so that the time tells nothing
        if not any([hmac.compare_digest(key, own) for own in self._keys]):
            raise Refusal(
                "this server asks for a key: Authorization: Bearer KEY",
                401,
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _limited(self, headers: dict[str, str], receive: Receive) -> Receive:
        """`receive` that counts what it gives."""
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:18]) > self.max_body:
            raise self._too_large()
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.max_body:  # of its kind are the ones that FastAPI lets through
                raise HTTPException(413, self._too_large().message)
            return message

        return counted

    def _too_large(self) -> Refusal:
        return Refusal(f"the body is larger than {self.max_body} bytes, which is the limit here", 413)


def _as_json(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Ollama's interface is asked by `curl -d`, which says that it sends a form. Browsers, which must not be able to
    ask without a preflight, always name their origin."""
    kept = [(name, value) for name, value in headers if name.lower() != b"content-type"]
    return [*kept, (b"content-type", b"application/json")]


class _Visit:
    """One request, as the log has it: never what was asked or answered, nor keys."""

    def __init__(self, scope: Scope, send: Send, id: str) -> None:
        self.id = id
        self.status: int | None = None
        self.error: str | None = None
        self._scope, self._send, self._began = scope, send, time.monotonic()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.id.encode())]
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        body = written(refusal.body(path_of(self._scope))).encode("utf-8", "replace")
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})

    def log(self) -> None:
        client = self._scope.get("client")
        LOG.log(
            logging.ERROR if self.error else logging.INFO,
            "request",
            extra={
                "told": {
                    "id": self.id,
                    "client": client[0] if client else None,
                    "method": self._scope["method"],
                    "path": self._scope["path"],
                    "status": self.status,
                    "seconds": round(time.monotonic() - self._began, 4),
                    **({"error": self.error} if self.error else {}),
                }
            },
        )


def log_handler() -> logging.Handler:
    """Writes one line of JSON a record to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    return handler


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "told", None)
        found = {"time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), "level": record.levelname.lower()}
        found |= {"logger": record.name, "message": record.getMessage()} if told is None else {}
        if record.exc_info:
            found["error"] = self.formatException(record.exc_info)
        return json.dumps({**found, **(told or {})})
