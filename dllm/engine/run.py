"""What `LLM.generate`, `chat`, `infill` and the streams share: a batcher is run to the end of what was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Required, TypedDict

from dllm.arguments import one_of, switch
from dllm.engine.batcher import Batcher, Checked
from dllm.engine.failures import let_go, original
from dllm.engine.text_model import TextModel
from dllm.engine.tickets import Ticket
from dllm.errors import ConfigError, DllmError, GrammarError, PromptError
from dllm.outputs import Interrupted, RequestOutput, StepEvent
from dllm.params import params_of
from dllm.progress import progress_bar

OnError = Literal["raise", "return"]


class _Common(TypedDict, total=False):
    """Keywords that `generate`, `chat` and `infill` share."""

    max_batch_size: int | None
    progress: bool | None


class Raising(_Common, total=False):
    """With these an error is raised."""

    on_error: Literal["raise"]


class Returning(_Common):
    """With these an error is returned in the place of the output."""

    on_error: Required[Literal["return"]]


class Either(_Common, total=False):
    """Where types cannot tell one document from a list of them."""

    on_error: OnError


def run(
    engine: TextModel,
    checked: Checked,
    items: Sequence[Any],
    params: Any,
    max_batch_size: int | None,
    progress: bool | None,
    on_error: OnError,
) -> list[RequestOutput | DllmError]:
    """All items to their ends, in their order.

    Raises:
        DllmError: a parameter of the call; with "raise" also the first of the items' errors, those that need no forward
            before the first forward.
        Interrupted: Ctrl-C after the first forward has begun; it holds what was finished.
    """
    one_of("on_error", on_error, ("raise", "return"))
    switch("progress", progress, optional=True)
    raises = on_error == "raise"
    batcher = Batcher(engine, max_batch_size=max_batch_size, keep_frames=raises)
    each = params_of(params, len(items))
    tickets = list[Ticket | DllmError]()
    for index, (item, own) in enumerate(zip(items, each, strict=True)):
        try:
            tickets.append(batcher.submit(checked, item, own))
        except DllmError as error:
            if raises:
                raise _named(error, index, len(items)) from error
            let_go(error)
            tickets.append(error)
    if raises:
        _raise_early(batcher, tickets)
    try:
        with progress_bar(sum(own.n for own in each), progress) as done:
            while batcher.busy:
                for event in batcher.step():
                    if event.finished:
                        done()
                    if raises and event.ticket.error is not None:
                        raise original(event.ticket.error)
    except KeyboardInterrupt as stopped:
        raise Interrupted([_so_far(ticket) for ticket in tickets]) from stopped
    return [_result(ticket) for ticket in tickets]


def stream(engine: TextModel, checked: Checked, item: Any, params: Any) -> Iterator[StepEvent]:
    """One item, step by step; it is checked at once.

    Raises:
        ConfigError: several samples, or a document for which several widths would be tried.
    """
    (params,) = params_of(params, 1)
    if params.n != 1:
        raise ConfigError(f"n={params.n}: a stream follows one sample; use n=1, or generate()")
    batcher = Batcher(engine, max_batch_size=1, keep_frames=True)
    ticket = batcher.submit(checked, item, params)
    _raise_early(batcher, [ticket])
    if batcher.waiting:
        raise ConfigError(
            f"the document leaves the width of a hole open, so {1 + batcher.waiting} of its widths are tried; "
            "a stream (--show) follows one canvas: give each hole one width, as in <mask:12>, or use infill()"
        )

    def events() -> Iterator[StepEvent]:
        while batcher.busy:
            for event in batcher.step():
                if ticket.error is not None:
                    raise original(ticket.error)
                yield event.told()

    return events()


def _raise_early(batcher: Batcher, tickets: Sequence[Ticket | DllmError]) -> None:
    """Raise what a request raises on its way to a canvas, before the first forward."""
    failed = [(event.ticket, event.ticket.error) for event in batcher.enter()]
    for ticket, error in failed or batcher.rehearse():
        assert error is not None
        found = original(error) if isinstance(error, DllmError) else error
        raise _named(found, tickets.index(ticket), len(tickets)) from found


def _named(error: Exception, index: int, count: int) -> Exception:
    """The error of a prompt, with its number where there are several."""
    if count == 1 or not isinstance(error, PromptError | GrammarError):
        return error
    return type(error)(f"item {index} of {count}: {error}")


def _result(ticket: Ticket | DllmError) -> RequestOutput | DllmError:
    found = ticket if isinstance(ticket, DllmError) else ticket.output or ticket.error
    assert found is not None, "nothing is left to do"
    return found


def _so_far(ticket: Ticket | DllmError) -> RequestOutput | DllmError | None:
    return ticket if isinstance(ticket, DllmError) else ticket.error or ticket.so_far
