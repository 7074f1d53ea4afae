"""What a batcher hands out: a ticket for a request, and events of what a round did to its rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dllm.engine.answer import Answer, Document
from dllm.errors import DllmError
from dllm.outputs import RequestOutput, StepEvent
from dllm.trace import Trace, TraceStep


@dataclass(eq=False)
class Ticket:
    """A request on its way. It holds no canvas and no K/V, so tickets may be kept.

    Attributes:
        samples: the output of each of the `n` samples, None where it is not finished.
        output: the finished request, with all its samples; None before.
        error: why there will be no output; a request fails alone.
        cancelled: it was taken back.
    """

    samples: list[RequestOutput | None]
    output: RequestOutput | None = field(default=None, init=False)
    error: DllmError | None = field(default=None, init=False)
    cancelled: bool = field(default=False, init=False)

    @property
    def done(self) -> bool:
        """Whether nothing more will come: there is an output or an error, or it was cancelled."""
        return self.output is not None or self.error is not None or self.cancelled

    @property
    def so_far(self) -> RequestOutput | None:
        """The output, or that of the samples that are finished already."""
        finished = [sample for sample in self.samples if sample is not None]
        return self.output or (replace(finished[0], more=tuple(finished[1:])) if finished else None)


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
        return "" if self._request is None else self._request.text_before(self._request.row.view.settled)

    @property
    def firm(self) -> str:
        """Of the text, what no later step changes, as `StepEvent.firm`."""
        return "" if self._request is None else self._request.text_before(self._request.row.firm)

    def told(self) -> StepEvent:
        """The event of a stream that follows this row alone."""
        assert self.step is not None, "the request has not failed"
        output = self.ticket.output
        text, firm = (self.text, self.firm) if output is None else (output.text, output.text)
        return StepEvent.of(self.step, text=text, firm=firm, canvas=self.canvas, output=output)

    @property
    def trace(self) -> Trace:
        """All steps of the row up to now, and what they began from; the row's own, so copy what is to be kept."""
        return Trace() if self._request is None else self._request.row.trace

    @property
    def canvas(self) -> list[int]:
        """Ids of the whole canvas, the mask id where nothing is committed."""
        return [] if self._request is None else self._request.row.canvas.tolist()
