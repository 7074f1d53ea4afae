"""The one thread that steps a `Batcher`. Requests come to it through a queue; what becomes of them goes back to the
event loop of whoever asked.

It takes all that waits in the queue before every forward, so a request that is dropped has no row in the next one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Literal, Protocol

from dllm.engine.batcher import Batcher
from dllm.engine.failures import let_go
from dllm.engine.infill import Draft
from dllm.engine.tickets import Event, Ticket
from dllm.errors import ClosedError, DllmError, StepError
from dllm.outputs import RequestOutput, StepEvent
from dllm.params import SamplingParams
from dllm.trace import Trace

News = StepEvent | RequestOutput | DllmError
"""What is told of a request: a step of a stream, whose last one holds the output; else the output; or its error."""
Outcome = Literal["stop", "length", "error", "cancelled"]


@dataclass(eq=False)
class Errand:
    """A request on its way.

    Attributes:
        loop: the event loop that waits for it.
        news: where it is told; used in that loop only.
        streams: whether every step is told, or the end alone.
        came, began, ended: when it was asked, when its first forward was done, when it was over (`time.monotonic`).
        output: where it was finished.
        header: of a stream, from its first step on: what it began from, with the texts of its ids.
        failed: it ended with an error.
        added: it has been given to the thread.
    """

    loop: asyncio.AbstractEventLoop
    streams: bool
    news: asyncio.Queue[News] = field(default_factory=asyncio.Queue)
    came: float = field(default_factory=time.monotonic)
    began: float | None = None
    ended: float | None = None
    ticket: Ticket | None = None
    output: RequestOutput | None = None
    header: Trace | None = None
    failed: bool = False
    added: bool = False

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        if self.output is not None:
            return self.output.finish_reason
        return "error" if self.failed else "cancelled"


class Observer(Protocol):
    """What is told of the work, on the thread that does it; for metrics."""

    def forwarded(self, rows: int, seconds: float) -> None:
        """A round of so many rows took so long."""

    def ended(self, errand: Errand) -> None:
        """A request is over."""


class Stepper:
    """Owns a `Batcher` and its thread, which starts with the first request.

    Args:
        batcher: used by nobody else from now on.
        observer: told of the work, or None.
    """

    def __init__(self, batcher: Batcher, observer: Observer | None = None) -> None:
        self._batcher, self._observer = batcher, observer
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._errands: dict[Ticket, Errand] = {}
        self._open: set[Errand] = set()
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed: ClosedError | None = None
        self._running = True
        self.live = 0

    @property
    def waiting(self) -> int:
        """Requests that no forward has been made for."""
        with self._changing:
            return sum(errand.began is None for errand in self._open)

    @property
    def open(self) -> int:
        """Requests that are not over."""
        return len(self._open)

    @property
    def dead(self) -> ClosedError | None:
        """Why no more requests are taken, if so."""
        return self._closed

    def admit(self, errand: Errand) -> None:
        """Count a request that is being made ready. Raises ClosedError where no more are taken."""
        with self._changing:
            if self._closed is not None:
                raise ClosedError(str(self._closed))
            self._open.add(errand)

    def add(self, errand: Errand, draft: Draft, params: SamplingParams) -> None:
        """Have a request denoised."""
        errand.added = True
        self._inbox.put(lambda: self._add(errand, draft, params))
        with self._changing:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="dllm-stepper", daemon=True)
                self._thread.start()

    def drop(self, errand: Errand) -> None:
        """Forget a request: it has no row in the next forward. One that is over is no matter."""
        with self._changing:
            self._open.discard(errand)
        if errand.added and errand.ended is None:
            self._inbox.put(lambda: self._drop(errand))
        elif errand.ended is None:  # the thread does not know it, and may not even have begun
            self._over(errand)

    def forget(self, errand: Errand) -> None:
        """`drop`, for finalizers: those may run in the middle of anything, so no lock is taken."""
        self._inbox.put(lambda: self.drop(errand))

    def close(self, reason: str = "the engine was closed; make a new AsyncLLM") -> None:
        """Take no more requests."""
        with self._changing:
            self._closed = self._closed or ClosedError(reason)

    def stop(self) -> None:
        """Take no more requests, drop what is left and let the thread end; takes no lock, as `forget`."""
        self._inbox.put(self._stop)

    def join(self, seconds: float | None = None) -> None:
        """Wait for the thread to end."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    # what follows runs on the thread

    def _work(self) -> None:
        try:
            while self._running:
                self._take()
                if self._batcher.busy:
                    self._round()
        except BaseException as error:  # a bug: nobody may wait for ever
            let_go(error)
            died = StepError(f"the thread that denoises died of {type(error).__name__}: {error}")
            died.__cause__ = error
            self.close(str(died))
            self._end_all(died)

    def _take(self) -> None:
        """Do all that has been asked; where there is nothing to denoise, wait for it."""
        if not self._batcher.busy:
            self._inbox.get()()
        while self._running and not self._inbox.empty():
            self._inbox.get()()
        self.live = self._batcher.live

    def _round(self) -> None:
        began = time.monotonic()
        events = self._batcher.step()
        self.live = self._batcher.live
        found = defaultdict[asyncio.AbstractEventLoop, list[tuple[Errand, News]]](list)
        took_part = 0
        for event in events:
            took_part += event.step is not None
            errand = self._errands.get(event.ticket)
            if errand is not None:
                found[errand.loop] += [(errand, news) for news in self._news(errand, event)]
        if self._observer is not None and took_part:
            self._observer.forwarded(took_part, time.monotonic() - began)
        for loop, told in found.items():
            self._tell(loop, told)

    def _news(self, errand: Errand, event: Event) -> list[News]:
        """What an event means for whoever waits."""
        ticket = event.ticket
        errand.began = errand.began or time.monotonic()
        if ticket.done:
            errand.failed = ticket.error is not None
            self._over(errand)
        if ticket.error is not None:
            return [ticket.error]
        if errand.streams:
            if errand.header is None:
                found = replace(event.trace, steps=[])
                errand.header = replace(found, texts=self._batcher.engine.texts_of(found))
            return [event.told()]
        return [] if ticket.output is None else [ticket.output]

    def _over(self, errand: Errand) -> None:
        if errand.ticket is not None:
            self._errands.pop(errand.ticket, None)
            errand.output = errand.ticket.output
        errand.ended = time.monotonic()
        if self._observer is not None:
            self._observer.ended(errand)

    def _tell(self, loop: asyncio.AbstractEventLoop, told: list[tuple[Errand, News]]) -> None:
        def tell() -> None:
            for errand, news in told:
                errand.news.put_nowait(news)

        try:
            loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop is closed: nobody waits any more
            for errand, _ in told:
                self.drop(errand)

    def _add(self, errand: Errand, draft: Draft, params: SamplingParams) -> None:
        with self._changing:
            if errand not in self._open:  # dropped before it came
                return
        errand.ticket = self._batcher.submit(lambda *_: draft, None, params)
        self._errands[errand.ticket] = errand

    def _drop(self, errand: Errand) -> None:
        if errand.ended is None:
            if errand.ticket is not None:
                self._batcher.cancel(errand.ticket)
            self._over(errand)

    def _stop(self) -> None:
        self._running = False
        self.close()
        self._end_all(ClosedError("the engine was closed before the request was done"))

    def _end_all(self, error: DllmError) -> None:
        """Tell all that wait."""
        with self._changing:
            left, self._open = [*self._open], set()
        for errand in left:
            if errand.ended is None:
                errand.failed = True
                self._drop(errand)
                self._tell(errand.loop, [(errand, error)])
