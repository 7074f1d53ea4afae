"""A canvas as people see it. Pure functions from StepEvents to text; `play.py` puts them on a screen.

Colours: grey blocks are masks; what a step commits is red below 0.3 confidence, orange below 0.7, green above; what
earlier steps committed is blue; what was given has no colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from dllm.cli.terminal import harmless

if TYPE_CHECKING:
    from rich.text import Text

    from dllm.outputs import StepEvent

Decode = Callable[[Sequence[int]], str]
Look = Literal["mask", "given", "unsure", "fair", "sure", "settled"]

MASK_BLOCK = "░"
STYLES: dict[Look, str] = {
    "mask": "grey50",
    "given": "none",
    "unsure": "red",
    "fair": "dark_orange",
    "sure": "green",
    "settled": "blue",
}
FAIR_FROM, SURE_FROM = 0.3, 0.7
GIVEN_ON_SCREEN, GIVEN_ON_LINE = 400, 40


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring positions of one kind, as text; a mask is one block a token."""

    kind: Look
    text: str


def given_positions(first: StepEvent, mask_token_id: int) -> frozenset[int]:
    """Positions that held a token before the first step: what the event neither left masked nor committed."""
    kept = {at for at, token in enumerate(first.canvas) if token != mask_token_id}
    return frozenset(kept - set(first.positions))


def runs(event: StepEvent, given: frozenset[int], mask_token_id: int, decode: Decode) -> list[Run]:
    """The canvas after a step. Runs are decoded whole, so that characters of several tokens stay together."""
    fresh = dict(zip(event.positions, event.confidences, strict=True))

    def kind(at: int) -> Look:
        if event.canvas[at] == mask_token_id:
            return "mask"
        return level(fresh[at]) if at in fresh else "given" if at in given else "settled"

    found = []
    for name, members in groupby(range(len(event.canvas)), key=kind):
        positions = list(members)
        text = MASK_BLOCK * len(positions) if name == "mask" else decode([event.canvas[at] for at in positions])
        found.append(Run(name, text))
    return found


def level(confidence: float) -> Look:
    """How sure the model was of a token when it was committed."""
    return "unsure" if confidence < FAIR_FROM else "fair" if confidence < SURE_FROM else "sure"


def as_text(canvas: Sequence[Run]) -> Text:
    """Coloured, for a terminal."""
    from rich.text import Text

    return Text.assemble(*((harmless(_fitting(run, GIVEN_ON_SCREEN)), STYLES[run.kind]) for run in canvas))


def as_line(step: int, canvas: Sequence[Run]) -> str:
    """Plain, one line a step: `step   3 | the cat ░░░ the ░░`."""
    body = "".join(_fitting(run, GIVEN_ON_LINE) for run in canvas)
    return f"step {step:>3} | {harmless(body).replace(chr(10), chr(92) + 'n')}"


def _fitting(run: Run, longest: int) -> str:
    """Given text shortened in its middle, so that what changes stays in view."""
    if run.kind != "given" or len(run.text) <= longest:
        return run.text
    half = (longest - 3) // 2
    return f"{run.text[:half]}...{run.text[-half:]}"
