"""What all endpoints share: the engine, the names it goes by, and how a request is waited for."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Scope

from dllm.engine.batcher import Checked
from dllm.llm import LLM
from dllm.outputs import RequestOutput
from dllm.params import SamplingParams
from dllm.serve.async_llm import AsyncLLM, Following
from dllm.serve.errors import GONE, Refusal
from dllm.serve.grammars import ReadyGrammars
from dllm.serve.metrics import Metrics

T = TypeVar("T")


@dataclass(eq=False)
class Service:
    """What endpoints are made with.

    Attributes:
        engine: answers.
        names: of the model; a closed list, the first one is what answers are signed with.
        metrics: told by the engine.
        timeout: seconds a request may take, or None.
        drain: seconds that requests under way have when the server is to stop.
    """

    engine: AsyncLLM
    names: tuple[str, ...]
    metrics: Metrics
    timeout: float | None
    drain: float
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.grammars = ReadyGrammars(self.engine)
        decode = self.engine.llm.engine.decode

        @lru_cache(65_536)
        def spelled(token: int) -> str:
            try:
                return decode([token], skip_special=False)
            except Exception:  # a tokenizer from outside: what is only looked at must not fail a request
                return ""

        self.spelled = spelled
        """The text of an id alone."""

    @property
    def llm(self) -> LLM:
        return self.engine.llm

    def named(self, model: str | None) -> str:
        """The name under which a model was asked for. Raises a Refusal for one that is not served."""
        if model is None or model == "":
            return self.names[0]
        if model not in self.names:
            served = ", ".join(self.names)
            raise Refusal(
                f"the model {model[:80]!r} is not served here; there is {served}",
                404,
                param="model",
                code="model_not_found",
            )
        return model

    async def answer(self, request: Request, checked: Checked, item: Any, params: SamplingParams) -> RequestOutput:
        """The output of a request; given up when its client has gone or its time is over."""
        return await self.waited(request, self.engine.ask(checked, item, params))

    async def begin(self, request: Request, checked: Checked, item: Any, params: SamplingParams) -> Following:
        """The steps of a request, once it has been checked."""
        return await self.waited(request, self.engine.begin(checked, item, params))

    async def waited(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns, which is cancelled when nobody waits for it any more."""
        task, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
        try:
            await asyncio.wait({task, gone}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Refusal("the client has gone", GONE) if gone.done() else self.late()
        finally:
            for one in (task, gone):
                one.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)

    def late(self) -> Refusal:
        """Of a request whose time is over."""
        return Refusal(f"the request took longer than {self.timeout:g} s, which is the limit here", 504, code="timeout")


async def _gone(request: Request) -> None:
    """Ends when the client hangs up; the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def path_of(scope: Scope) -> str:
    """The path that is asked for, without the one under which all of this is mounted."""
    mounted: str = scope.get("root_path", "")
    return str(scope["path"]).removeprefix(mounted) or "/"


class Json(Response):
    """JSON that can always be written: half characters that a model or a client wrote become question marks."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return written(content).encode("utf-8", "replace")


def written(content: Any) -> str:
    """JSON on one line."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def new_id(kind: str) -> str:
    """As OpenAI's, `chatcmpl-...`."""
    return f"{kind}-{secrets.token_hex(12)}"
