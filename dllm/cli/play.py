"""Draws a stream of steps on stderr: an animation on a terminal, a line a step elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dllm.cli.show import Run, as_line, as_text, given_positions, runs

if TYPE_CHECKING:
    from dllm import LLM, RequestOutput, StepEvent

FRAME_SECONDS = 0.06
"""A frame stays at least this long; a small model would otherwise be done before the eye sees anything."""


def play(llm: LLM, events: Iterable[StepEvent]) -> RequestOutput:
    """Draw every event; returns the output that the last one carries."""
    last: list[RequestOutput] = []
    frames = _frames(llm, events, last)
    if sys.stderr.isatty():
        _animate(frames)
    else:
        for step, canvas in enumerate(frames, start=1):
            print(as_line(step, canvas), file=sys.stderr)
    return last[0]


def _frames(llm: LLM, events: Iterable[StepEvent], last: list[RequestOutput]) -> Iterator[list[Run]]:
    mask_token_id = llm.model.mask_token_id
    assert mask_token_id is not None, "LLM refuses models without a mask id"
    given: frozenset[int] | None = None
    for event in events:
        given = given_positions(event, mask_token_id) if given is None else given
        yield runs(event, given, mask_token_id, lambda ids: _decode(llm, ids))
        if event.output is not None:
            last.append(event.output)


def _decode(llm: LLM, ids: Sequence[int]) -> str:
    """Special tokens included: on a canvas they matter. Without a tokenizer, the ids."""
    if llm.tokenizer is None:
        return " ".join(map(str, ids)) + " "
    return llm.tokenizer.decode(list(ids), skip_special=False)


def _animate(frames: Iterable[list[Run]]) -> None:
    """The frames in one place, wiped at the end: the answer itself goes to stdout."""
    from rich.live import Live

    from dllm.cli.console import screen

    with Live(console=screen(), auto_refresh=False, transient=True) as live:
        for canvas in frames:
            live.update(as_text(canvas), refresh=True)
            time.sleep(FRAME_SECONDS)
