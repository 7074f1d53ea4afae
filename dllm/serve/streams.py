"""Streams: steps become events. By default true deltas of the text that will stay; with `diffusing` the whole text.

Every event says in `diffusion` what its forward did, in the words of a saved trace (`dllm.trace`), so that who draws
one can draw the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.types import Receive, Scope
from starlette.types import Send as SendMessage

from dllm.engine.answer import first_stop
from dllm.errors import DllmError
from dllm.outputs import StepEvent
from dllm.serve.async_llm import Following
from dllm.serve.errors import Refusal, refusal_of
from dllm.serve.service import Service, written
from dllm.trace import Alternatives, Trace

MASK = "\N{LIGHT SHADE}"
"""Stands for a mask in a text that is being denoised."""
PING = 15
"""Seconds after which a stream in which nothing happens says so."""


class Prose:
    """The text of one answer, told piece by piece and never taken back.

    A piece is held back while it may become part of a stop string.

    Args:
        stops: strings before which the text ends.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._said = tuple(stops), ""

    def grown(self, text: str, *, ended: bool) -> str:
        """What is new of the text that is firm by now."""
        end = first_stop(text, self._stops)
        if end is not None:
            text = text[:end]
        elif not ended:
            text = text[: len(text) - self._held(text)]
        if not text.startswith(self._said):
            return ""
        piece, self._said = text[len(self._said) :], text
        return piece

    def _held(self, text: str) -> int:
        """Characters at the end that may begin a stop string."""
        lengths = (n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n]))
        return max(lengths, default=0)


class Settling:
    """The log-probabilities of one answer, told as its tokens settle."""

    def __init__(self) -> None:
        self._found: dict[int, Alternatives] = {}
        self._told = 0

    def grown(self, event: StepEvent, header: Trace) -> list[Alternatives | None]:
        """Those of the tokens that have settled since the last call."""
        if event.output is not None:
            new = (event.output.logprobs or [])[self._told :]
        else:
            self._found.update(zip(event.positions, event.logprobs, strict=False))
            answer = event.canvas[header.prompt_length :]
            settled = next((at for at, token in enumerate(answer) if token == header.mask_token_id), len(answer))
            new = [self._found.get(header.prompt_length + at) for at in range(self._told, settled)]
        self._told += len(new)
        return new


def header_of(header: Trace) -> dict[str, Any]:
    """What a stream began from, as the first line of a saved trace has it."""
    names = ("canvas", "prompt_length", "mask_token_id", "model", "params")
    texts = {str(token): text for token, text in header.texts.items()}
    return {**{name: getattr(header, name) for name in names}, "texts": texts}


def step_of(service: Service, event: StepEvent, number: int, header: Trace) -> dict[str, Any]:
    """What one forward did."""
    return {
        "step": number,
        "positions": event.positions,
        "token_ids": event.token_ids,
        "tokens": [service.spelled(token) for token in event.token_ids],
        "confidences": event.confidences,
        "revoked": event.revoked,
        "length": event.length,
        "seconds": event.seconds,
        "masks_left": event.canvas.count(header.mask_token_id) if header.mask_token_id is not None else 0,
    }


def noisy_text(service: Service, event: StepEvent, header: Trace) -> str:
    """The whole text as it is now, with a mark for each mask; at the end the answer."""
    if event.output is not None:
        return event.text
    pieces, run = list[str](), list[int]()
    decode = service.llm.engine.decode
    for token in event.canvas[header.prompt_length :]:
        if token != header.mask_token_id:
            run.append(token)
            continue
        pieces.append(decode(run, skip_special=True) if run else "")
        run = []
    return MASK.join([*pieces, decode(run, skip_special=True) if run else ""])


async def merged(service: Service, followings: Sequence[Following]) -> AsyncIterator[tuple[int, int, StepEvent]]:
    """(which of them, which of its steps, the step), as they come; all are closed at the end, however it comes."""
    loop, counts = asyncio.get_running_loop(), [0] * len(followings)
    end = None if service.timeout is None else loop.time() + service.timeout
    waiting = {asyncio.ensure_future(one.__anext__()): index for index, one in enumerate(followings)}
    try:
        while waiting:
            left = None if end is None else max(0.0, end - loop.time())
            done, _ = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise service.late()
            for task in sorted(done, key=waiting.__getitem__):
                index = waiting.pop(task)
                try:
                    event = task.result()
                except StopAsyncIteration:
                    continue
                waiting[asyncio.ensure_future(followings[index].__anext__())] = index
                counts[index] += 1
                yield index, counts[index] - 1, event
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for one in followings:
            one.close()


class Events(EventSourceResponse):
    """Server-sent events of chunks, one JSON object each, and `[DONE]` at the end.

    Args:
        chunks: what is told; an error among them is the last one.
        release: called when the response is over, even if it has never begun.
    """

    def __init__(self, service: Service, chunks: AsyncIterator[dict[str, Any]], release: Callable[[], None]) -> None:
        super().__init__(
            _events(chunks),
            ping=PING,
            sep="\n",
            ping_message_factory=lambda: ServerSentEvent(comment="ping", sep="\n"),
            shutdown_grace_period=service.drain,
        )
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()


def released(followings: Iterable[Following]) -> Callable[[], None]:
    """Closes them."""
    each = list(followings)

    def release() -> None:
        for one in each:
            one.close()

    return release


async def _events(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, str]]:
    try:
        async for chunk in chunks:
            yield {"data": written(chunk)}
    except Exception as error:
        yield {"data": written(failed(error).body())}
    yield {"data": "[DONE]"}


def failed(error: Exception) -> Refusal:
    """What is told of an error inside a stream; one that is our own is logged."""
    if not isinstance(error, DllmError | Refusal):
        logging.getLogger("dllm.serve").error("a stream failed", exc_info=error)
    return refusal_of(error)
