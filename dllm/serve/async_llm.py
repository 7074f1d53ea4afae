"""`LLM` for asyncio: many requests at once, denoised together, each awaited where it is asked."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from dllm.arguments import in_range, whole
from dllm.engine.answer import AnswerDraft, draw_seed
from dllm.engine.batcher import Batcher, Checked
from dllm.engine.document import Part
from dllm.engine.infill import DocumentDraft, Draft, Sample
from dllm.errors import BusyError, ClosedError, ConfigError, DllmError
from dllm.grammars.grammar import Grammar
from dllm.grammars.tables.limits import checked as checked_limit
from dllm.grammars.tables.limits import limited
from dllm.llm import LLM
from dllm.outputs import RequestOutput, StepEvent
from dllm.params import SamplingParams, params_of
from dllm.serve.stepper import Errand, Observer, Stepper
from dllm.tokenizer import Message
from dllm.trace import Trace

T = TypeVar("T")

THREADS = 2
"""That make requests ready, and as many more for those under a grammar: one that takes long holds up its like only."""


class AsyncLLM:
    """Answers requests of any number of tasks, in any number of event loops, on one thread of its own.

        engine = AsyncLLM(LLM("tiny"))
        out = await engine.generate("...", SamplingParams(max_new_tokens=64))
        async for event in engine.stream("..."): ...
        await engine.close()

    A request is denoised together with others (`Batcher`), and its tokens are those of `LLM.generate`. When its task
    is cancelled, or its iterator closed, its rows are gone before the next forward. A request fails alone, with a
    `DllmError`. Prompts are checked, and grammars made ready, on other threads, so that nobody waits for them but who
    asked.

    Args:
        llm: an `LLM`, used by nobody else while this is open.
        max_batch_size, max_refreshes: as of `Batcher`.
        max_waiting: requests that may wait for their first forward; None: any number.
        grammar_limit: scanner states that the grammar of a request may take, which bounds time and memory; None: the
            usual one (`Grammar.compile`).
        observer: told of forwards and of requests that ended, for metrics; None: nobody.

    Raises:
        ConfigError: an argument that is out of range, or no `LLM`.
    """

    def __init__(
        self,
        llm: LLM,
        *,
        max_batch_size: int | None = None,
        max_refreshes: int | None = None,
        max_waiting: int | None = None,
        grammar_limit: int | None = None,
        observer: Observer | None = None,
    ) -> None:
        if not isinstance(llm, LLM):
            raise ConfigError(f"AsyncLLM takes an LLM, not {llm!r:.60}; write AsyncLLM(LLM({llm!r:.40}))")
        self.llm = llm
        self.max_waiting: int | None = whole("max_waiting", max_waiting, 1, optional=True)
        self._limit = None if grammar_limit is None else checked_limit(grammar_limit, "grammar_limit")
        batcher = Batcher(llm, max_batch_size=max_batch_size, max_refreshes=max_refreshes)
        self._stepper = Stepper(batcher, observer)
        self._plain = ThreadPoolExecutor(THREADS, thread_name_prefix="dllm-check")
        self._grammars = ThreadPoolExecutor(THREADS, thread_name_prefix="dllm-grammar")
        # for those who never close it: the thread holds the stepper, but not this object
        weakref.finalize(self, self._stepper.stop)

    def __repr__(self) -> str:
        return f"<AsyncLLM of {self.llm!r}, {self.running} rows, {self.waiting} waiting>"

    @property
    def running(self) -> int:
        """Rows of the last forward."""
        return self._stepper.live

    @property
    def waiting(self) -> int:
        """Requests that no forward has been made for."""
        return self._stepper.waiting

    @property
    def full(self) -> bool:
        """Whether as many wait as may."""
        return self.max_waiting is not None and self.waiting >= self.max_waiting

    @property
    def open(self) -> bool:
        """Whether it takes requests."""
        return self._stepper.dead is None

    async def generate(self, prompt: str | Sequence[int], params: SamplingParams | None = None) -> RequestOutput:
        """Continue one prompt; for several gather them.

        Raises:
            DllmError: what `LLM.generate` says.
            BusyError: too many wait.
            ClosedError: it has been closed.
        """
        return await self.ask(AnswerDraft.of, prompt, params)

    async def chat(self, messages: Sequence[Message], params: SamplingParams | None = None) -> RequestOutput:
        """Answer one conversation, as `LLM.chat`."""
        return await self.ask(AnswerDraft.of_chat, messages, params)

    async def infill(self, document: str | Sequence[Part], params: SamplingParams | None = None) -> RequestOutput:
        """Fill the holes of one document, as `LLM.infill`."""
        return await self.ask(DocumentDraft.of, document, params)

    def stream(
        self, prompt: str | Sequence[int], params: SamplingParams | None = None
    ) -> AsyncGenerator[StepEvent, None]:
        """Continue one prompt, with an event for every forward that changed it; the last one holds the output.

        Close it (`contextlib.aclosing`) to give up before its end; a task that is cancelled inside of it does.

        Raises:
            ConfigError: several samples.
        """
        return self.follow(AnswerDraft.of, prompt, params)

    def stream_chat(
        self, messages: Sequence[Message], params: SamplingParams | None = None
    ) -> AsyncGenerator[StepEvent, None]:
        """`chat`, step by step."""
        return self.follow(AnswerDraft.of_chat, messages, params)

    def stream_infill(
        self, document: str | Sequence[Part], params: SamplingParams | None = None
    ) -> AsyncGenerator[StepEvent, None]:
        """`infill`, step by step.

        Raises:
            ConfigError: several widths would have to be tried for a hole; a stream follows one canvas.
        """
        return self.follow(DocumentDraft.of, document, params)

    async def ask(self, checked: Checked, item: Any, params: SamplingParams | None) -> RequestOutput:
        """The output of whatever `checked` makes a draft of, as `Batcher.submit` takes it."""
        errand = await self._began(checked, item, params, streams=False)
        try:
            news = await errand.news.get()
        finally:
            self._stepper.drop(errand)
        if isinstance(news, DllmError):
            raise news
        assert isinstance(news, RequestOutput), "the end alone is told"
        return news

    async def follow(
        self, checked: Checked, item: Any, params: SamplingParams | None
    ) -> AsyncGenerator[StepEvent, None]:
        """The same, step by step."""
        async with aclosing(await self.begin(checked, item, params)) as steps:
            async for event in steps:
                yield event

    async def begin(self, checked: Checked, item: Any, params: SamplingParams | None) -> Following:
        """The same, once the request has been checked and made ready; close what this returns."""
        (params,) = params_of(params, 1)
        if params.n != 1:
            raise ConfigError(f"n={params.n}: a stream follows one sample; use n=1, or generate()")
        return Following(self._stepper, await self._began(checked, item, params, streams=True))

    async def ready(self, make: Callable[[], Grammar]) -> Grammar:
        """A grammar made and compiled for this model, off the thread that denoises.

        Raises:
            GrammarError: it cannot be made, or takes more than `grammar_limit`.
        """
        return await self._on(self._grammars, lambda: self._compiled(make()))

    async def call(self, work: Callable[[], T]) -> T:
        """What a function returns, called where requests are checked: for work that is short, but not for a loop."""
        return await self._on(self._plain, work)

    async def drain(self, seconds: float = 30.0) -> bool:
        """Take no more requests, and wait for those that were taken. Returns whether all came to their ends."""
        in_range("seconds", seconds, 0.0)
        self._stepper.close("the engine takes no more requests: it is being closed")
        end = time.monotonic() + seconds
        while self._stepper.open and time.monotonic() < end:
            await asyncio.sleep(min(0.02, seconds))
        return not self._stepper.open

    async def close(self) -> None:
        """Take no more requests and drop those that are left: they end with a ClosedError. Twice is no matter."""
        self._stepper.close()
        self._stepper.stop()
        for pool in (self._plain, self._grammars):
            pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.get_running_loop().run_in_executor(None, self._stepper.join)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _began(self, checked: Checked, item: Any, given: SamplingParams | None, *, streams: bool) -> Errand:
        """A request that has been made ready and given to the thread; `Stepper.drop` it, however it ends."""
        (params,) = params_of(given, 1)
        if self.full:
            raise BusyError(f"{self.waiting} requests wait, and max_waiting={self.max_waiting}; ask again later")
        errand = Errand(asyncio.get_running_loop(), streams)
        self._stepper.admit(errand)
        pool = self._plain if params.grammar is None else self._grammars
        try:
            draft, seeded = await self._on(pool, lambda: self._draft(checked, item, params, streams))
        except BaseException as error:
            errand.failed = isinstance(error, Exception)
            self._stepper.drop(errand)
            raise
        self._stepper.add(errand, draft, seeded)
        return errand

    def _draft(
        self, checked: Checked, item: Any, params: SamplingParams, streams: bool
    ) -> tuple[Draft, SamplingParams]:
        """A request made ready, with its seed: under a grammar up to its canvas, which is what may take long."""
        draft, seed = checked(self.llm.engine, item, params), draw_seed(params)
        if streams and isinstance(draft, DocumentDraft) and draft.candidates > 1:
            raise ConfigError(
                f"the document leaves the width of a hole open, so {draft.candidates} of its widths are tried; a "
                "stream follows one canvas: give each hole one width, as in <mask:12>, or use infill()"
            )
        if params.grammar is not None:
            self._compiled(params.grammar)
            with limited(self._limit):
                draft = Begun(draft, {seed: draft.sample(seed)})
        return draft, replace(params, seed=seed)

    def _compiled(self, grammar: Grammar) -> Grammar:
        grammar.compile(self.llm.vocabulary, limit=self._limit)
        return grammar

    async def _on(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except (asyncio.CancelledError, RuntimeError):
            task, closed = asyncio.current_task(), self._stepper.dead
            if closed is None or (task is not None and task.cancelling()):
                raise
            raise ClosedError(str(closed)) from None  # the pool is gone, and with it what it had not begun


class Following:
    """The steps of one request; closed with its last one, by `aclose`, or when nobody holds it any more."""

    def __init__(self, stepper: Stepper, errand: Errand) -> None:
        self._stepper, self._errand, self._over = stepper, errand, False

    @property
    def header(self) -> Trace:
        """What the steps began from: the trace without its steps. There with the first step."""
        found = self._errand.header
        assert found is not None, "a step has been told"
        return found

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StepEvent:
        if self._over:
            raise StopAsyncIteration
        news = await self._errand.news.get()
        self._over = isinstance(news, DllmError) or (isinstance(news, StepEvent) and news.output is not None)
        if isinstance(news, DllmError):
            raise news
        assert isinstance(news, StepEvent), "steps alone are told"
        return news

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Give up what is not done."""
        self._over = True
        self._stepper.drop(self._errand)

    def __del__(self) -> None:
        self._stepper.forget(self._errand)


@dataclass(frozen=True)
class Begun:
    """A draft some of whose samples are on their canvases already."""

    draft: Draft
    samples: dict[int, Sample] = field(default_factory=dict)

    @property
    def alike(self) -> None:
        return None

    def sample(self, seed: int) -> Sample:
        found = self.samples.pop(seed, None)
        return self.draft.sample(seed) if found is None else found
