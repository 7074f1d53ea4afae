"""What a batcher hands out and keeps: tickets, events, and the seats of live rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dllm.engine.answer import Answer, Document
from dllm.engine.infill import Draft, Request
from dllm.engine.row import Row
from dllm.errors import DllmError
from dllm.outputs import RequestOutput
from dllm.params import SamplingParams
from dllm.trace import TraceStep


class Ticket:
    """A request on its way. It holds no canvas and no K/V, so tickets may be kept.

    Attributes:
        output: the finished request, with all its samples; None before.
        error: why there will be no output; a request fails alone.
        cancelled: it was taken back.
    """

    def __init__(self, draft: Draft, params: SamplingParams, seed: int) -> None:
        self.output: RequestOutput | None = None
        self.error: DllmError | None = None
        self.cancelled = False
        self._draft: Draft | None = draft
        self._seed, self._entered = seed, 0
        self._samples: list[RequestOutput | None] = [None] * params.n
        self._left = params.n

    @property
    def done(self) -> bool:
        """Whether nothing more will come: there is an output or an error, or it was cancelled."""
        return self._draft is None

    @property
    def so_far(self) -> RequestOutput | None:
        """The output, or that of the samples that are finished already."""
        finished = [sample for sample in self._samples if sample is not None]
        return self.output or (replace(finished[0], more=tuple(finished[1:])) if finished else None)

    def _end(self, *, output: RequestOutput | None = None, error: DllmError | None = None) -> None:
        self.output, self.error, self._draft = output, error, None


@dataclass(slots=True, eq=False)
class Sample:
    """A request with its rows, of which so many are not finished."""

    ticket: Ticket
    number: int
    request: Request
    left: int


@dataclass(slots=True, eq=False)
class Seat:
    """A row with the request that shows what is on it; `bytes` as in `row_bytes`."""

    sample: Sample
    request: Answer | Document
    bytes: int | None

    @property
    def row(self) -> Row:
        return self.request.row


@dataclass(frozen=True, slots=True)
class Event:
    """What a round did to one row of a request; use it before the next `step()`, and then let go of it.

    Attributes:
        ticket: whose row.
        sample: which of the request's `n` samples.
        step: what changed; None where the request failed.
        finished: the sample is finished, or the request has failed.
    """

    ticket: Ticket
    sample: int
    step: TraceStep | None
    finished: bool
    _request: Answer | Document | None = None

    @property
    def text(self) -> str:
        """Everything settled left of the first mask, as `StepEvent.text`."""
        return "" if self._request is None else self._request.text_so_far()

    @property
    def canvas(self) -> list[int]:
        """Ids of the whole canvas, the mask id where nothing is committed."""
        return [] if self._request is None else self._request.row.canvas.tolist()
