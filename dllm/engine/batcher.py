"""Which rows are denoised together: requests wait, enter as rows when there is room, and leave when they are done.

    batcher = Batcher(llm)
    ticket = batcher.add("...", SamplingParams(max_new_tokens=64))
    while batcher.busy:
        for event in batcher.step():  # one forward
            ...

A request waits as checked ids; its canvas, its K/V and its grammar's state are made when it enters.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dllm.arguments import whole
from dllm.engine.answer import Answer, AnswerDraft, Document, draw_seed
from dllm.engine.denoise import step
from dllm.engine.failures import explained, is_out_of_memory, let_go
from dllm.engine.infill import DocumentDraft, Draft, Sample, rows_of
from dllm.engine.memory import MOST, budget, fetch, row_bytes, store_away
from dllm.engine.row import Row
from dllm.engine.text_model import HasTextModel, TextModel
from dllm.engine.tickets import Event, Ticket
from dllm.errors import ConfigError
from dllm.params import SamplingParams, params_of
from dllm.trace import TraceStep

Checked = Callable[[TextModel, Any, SamplingParams], Draft]
"""Checks a request without a canvas: `AnswerDraft.of` and its like. Raises a DllmError."""


@dataclass(slots=True, eq=False)
class _Pending:
    """A request that is not done. `entered` counts its samples that are or were on a canvas."""

    ticket: Ticket
    draft: Draft
    seed: int
    entered: int = 0

    @property
    def waits(self) -> bool:
        """Whether a sample has still to enter; then the request is in the queue."""
        return self.entered < len(self.ticket.samples)

    @property
    def alike(self) -> tuple[object, ...] | None:
        """As `Draft.alike`; None also where the parameters hold a component that cannot be hashed."""
        try:
            hash(self.draft.alike)
        except TypeError:
            return None
        return self.draft.alike


@dataclass(slots=True, eq=False)
class _Seat:
    """A row that is denoised, or is ready to be: sample `number` of a request, and which part of it is on the row.

    `bytes` is as in `row_bytes`.
    """

    pending: _Pending
    number: int
    sample: Sample
    part: Answer | Document
    bytes: int | None

    @property
    def row(self) -> Row:
        return self.part.row


class Batcher:
    """Denoises requests that come and go, one forward a `step()`. Not for several threads at once.

    A request's tokens depend neither on its mates nor on when it came: on the CPU in float32 they are those of the row
    alone, to the bit.

    Where memory runs out in a round, half the rows are put back and the round is made anew; that changes no tokens, and
    `max_batch_size` is lower from then on. A row that is too large alone fails alone.

    Args:
        llm: an `LLM`.
        max_batch_size: rows denoised together, also settable later; None: up to 32, as many as fit into 80 % of the
            memory that is free at the start, where the model can tell what a row takes.
        max_refreshes: rows that may recompute their whole canvas into their cache in one round; the others that are due
            wait for the next. It evens out the rounds' times. None = any number.
        keep_frames: an error keeps the local variables of its traceback, logits and K/V included, for a debugger.
    """

    def __init__(
        self,
        llm: HasTextModel | TextModel,
        *,
        max_batch_size: int | None = None,
        max_refreshes: int | None = None,
        keep_frames: bool = False,
    ) -> None:
        engine = llm if isinstance(llm, TextModel) else getattr(llm, "engine", None)
        if not isinstance(engine, TextModel):
            raise ConfigError(f"Batcher takes an LLM, not {llm!r:.60}; write Batcher(LLM({llm!r:.40}))")
        self.engine = engine
        given = whole("max_batch_size", max_batch_size, 1, optional=True)
        self.max_batch_size: int = MOST if given is None else given
        self.max_refreshes: int | None = whole("max_refreshes", max_refreshes, 1, optional=True)
        self._keep_frames = keep_frames
        self._by_memory = given is None
        self._budget: int | None = None
        self._queue: deque[_Pending] = deque()
        self._ready: deque[_Seat] = deque()
        """Rows without a seat: put back, or made together with one that has one."""
        self._seats: dict[int, _Seat] = {}
        """Live rows in their order, by id(row)."""

    def add(self, prompt: str | Sequence[int], params: SamplingParams | None = None) -> Ticket:
        """Queue a prompt, as `LLM.generate` takes it. Raises what can be said without a canvas: see `AnswerDraft`."""
        return self.submit(AnswerDraft.of, prompt, params)

    def add_chat(self, messages: Sequence[Mapping[str, Any]], params: SamplingParams | None = None) -> Ticket:
        """Queue a conversation, as `LLM.chat` takes it."""
        return self.submit(AnswerDraft.of_chat, messages, params)

    def add_infill(self, document: str | Sequence[Any], params: SamplingParams | None = None) -> Ticket:
        """Queue a document with holes, as `LLM.infill` takes it. Raises what `DocumentDraft` says."""
        return self.submit(DocumentDraft.of, document, params)

    def submit(self, checked: Checked, item: Any, params: SamplingParams | None) -> Ticket:
        """Queue whatever `checked` makes a draft of."""
        (params,) = params_of(params, 1)
        draft = checked(self.engine, item, params)
        ticket = Ticket([None] * params.n)
        self._queue.append(_Pending(ticket, draft, draw_seed(params)))
        return ticket

    @property
    def live(self) -> int:
        """Rows that the next forward is made for."""
        return len(self._seats)

    @property
    def waiting(self) -> int:
        """Requests with samples that have not entered, and rows without a seat."""
        return len(self._queue) + len(self._ready)

    @property
    def busy(self) -> bool:
        return bool(self._seats or self._ready or self._queue)

    def step(self) -> list[Event]:
        """One round: those that wait enter while there is room, then one forward is made for all live rows.

        Nothing a request does can raise here; it ends with `ticket.error`.
        """
        events = self.enter()
        if not self._seats:
            return events
        found = self._round()
        took_part = set[int]()
        for row, change in found:
            took_part.add(id(row))
            seat = self._seats.get(id(row))
            if seat is not None:  # else another row of its request has failed
                events.append(self._event(seat, change))
        if self.max_refreshes is not None:  # who sat out comes first in the next round
            order = sorted(self._seats.items(), key=lambda seat: seat[0] in took_part)
            self._seats = dict(order)
        return events

    def cancel(self, ticket: Ticket) -> None:
        """Take a request back: its rows and their K/V are gone at once. Of one that is done nothing changes."""
        known = (*(seat.pending for seat in self._all_seats()), *self._queue)
        pending = next((one for one in known if one.ticket is ticket), None)
        if pending is not None:
            ticket.cancelled = True
            self._drop(pending)

    def enter(self) -> list[Event]:
        """Give those that wait the free seats; `step` does so too. Returns the events of those that failed."""
        events = list[Event]()
        while (self._ready or self._queue) and len(self._seats) < self.max_batch_size:
            if not self._ready:
                events += self._make()
            elif not self._seat(events):
                break
        return events

    def rehearse(self) -> Iterator[tuple[Ticket, Exception]]:
        """Put requests that wait on a canvas and throw that away, those alike once; yields those that fail, and why.

        So that a mistake shows before the work begins; `enter` first, so that nothing is made twice without need.
        """
        seen = {seat.pending.alike for seat in self._all_seats()}
        for pending in list(self._queue):
            alike = pending.alike
            if pending.entered or (alike is not None and alike in seen):
                continue
            seen.add(alike)
            made = _sample(pending.draft, pending.seed)
            if isinstance(made, Exception):
                yield pending.ticket, made

    def _make(self) -> list[Event]:
        """The next sample of the first request that waits, as rows that are ready; the event if that fails."""
        pending = self._queue[0]
        number = pending.entered
        pending.entered += 1
        if not pending.waits:
            self._queue.popleft()
        sample = _sample(pending.draft, pending.seed + number)
        if isinstance(sample, Exception):
            return [self._fail(pending, number, sample, None)]
        model = self.engine.model
        self._ready.extend(
            _Seat(pending, number, sample, part, row_bytes(model, part.row) if self._by_memory else None)
            for part in rows_of(sample)
        )
        return []

    def _seat(self, events: list[Event]) -> bool:
        """Seat the first row that is ready; False where memory has no room for it beside the others."""
        seat = self._ready[0]
        if self._seats and not self._fits(seat):
            return False
        self._ready.popleft()
        try:
            fetch(seat.row, self.engine.model.device)
        except Exception as error:
            if self._seats and is_out_of_memory(error):
                self._ready.appendleft(seat)
                return False
            events.append(self._fail(seat.pending, seat.number, error, seat.row))
            return True
        self._seats[id(seat.row)] = seat
        return True

    def _fits(self, seat: _Seat) -> bool:
        if not self._by_memory or seat.bytes is None:
            return True
        taken = sum(other.bytes or 0 for other in self._seats.values())
        if self._budget is None:
            self._budget = budget(self.engine.model.device)
            if self._budget is None:
                self._by_memory = False
                return True
        return taken + seat.bytes <= self._budget

    def _round(self) -> list[tuple[Row, TraceStep | Exception]]:
        """One round of the loop; with fewer rows, as often as it takes, where memory runs out."""
        rows, before = [seat.row for seat in self._seats.values()], len(self._seats)
        while True:
            try:
                found = step(self.engine.model, rows, self.max_refreshes)
                break
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if len(rows) == 1:
                    return [(rows[0], error)]
            # only now are the frames gone that hold what the failed round had made
            rows = self._put_back()
        if len(rows) < before:
            self.max_batch_size = len(rows)
            warnings.warn(
                f"out of memory with {before} rows at once; going on with {len(rows)} (tokens do not change; to start "
                f"there give max_batch_size={len(rows)})",
                RuntimeWarning,
                stacklevel=3,
            )
        return found

    def _put_back(self) -> list[Row]:
        """Half of the rows go back to those that are ready, in front. Returns those that stay."""
        seats = list(self._seats.values())
        keep = len(seats) // 2
        for seat in reversed(seats[keep:]):
            del self._seats[id(seat.row)]
            store_away(seat.row)
            self._ready.appendleft(seat)
        if self.engine.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return [seat.row for seat in seats[:keep]]

    def _event(self, seat: _Seat, change: TraceStep | Exception) -> Event:
        if isinstance(change, Exception):
            return self._fail(seat.pending, seat.number, change, seat.row)
        finished = False
        if seat.row.finish_reason is not None:
            del self._seats[id(seat.row)]
            finished = all(part.row.finish_reason is not None for part in rows_of(seat.sample))
            error = self._finish(seat) if finished else None
            if error is not None:
                return self._fail(seat.pending, seat.number, error, seat.row)
        return Event(seat.pending.ticket, seat.number, change, finished, seat.part)

    def _finish(self, seat: _Seat) -> Exception | None:
        """Keep the output of a sample, and close its request with the last of them."""
        ticket = seat.pending.ticket
        try:
            ticket.samples[seat.number] = seat.sample.output()
        except Exception as error:
            return error
        if None not in ticket.samples:
            ticket.output = ticket.so_far
        return None

    def _fail(self, pending: _Pending, number: int, error: Exception, row: Row | None) -> Event:
        if not self._keep_frames:
            let_go(error)
        pending.ticket.error = explained(error, row)
        self._drop(pending)
        return Event(pending.ticket, number, None, True)

    def _drop(self, pending: _Pending) -> None:
        """Forget all rows of a request."""
        for seat in self._all_seats():
            if seat.pending is pending:
                seat.row.lanes, seat.row.question = [], None
        self._seats = {key: seat for key, seat in self._seats.items() if seat.pending is not pending}
        self._ready = deque(seat for seat in self._ready if seat.pending is not pending)
        if pending.waits:
            self._queue.remove(pending)

    def _all_seats(self) -> list[_Seat]:
        return [*self._seats.values(), *self._ready]


def _sample(draft: Draft, seed: int) -> Sample | Exception:
    """The request on a canvas, or why there is none."""
    try:
        return draft.sample(seed)
    except Exception as error:
        return error
