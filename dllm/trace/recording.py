"""What happened to a row, step by step. Always recorded: a few numbers a token."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from dllm.errors import ConfigError, quoted
from dllm.trace.drawing import Cell, as_html

VERSION = 2
Alternatives: TypeAlias = tuple[tuple[int, float], ...]
"""A token and its natural log-probability at a step, then those of the most probable ids, in descending order."""


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One forward that changed the row.

    Attributes:
        positions: canvas positions committed (prompt included in the count), ascending.
        token_ids: what was written there.
        confidences: probability of each token when it was committed.
        revoked: canvas positions masked again.
        seconds: wall time of the round this forward was part of.
        length: of the canvas after the step, which an EOS or a stop string shortens; None in older recordings.
        logprobs: the `Alternatives` at each position, where `SamplingParams.logprobs` asks for them; else empty.
    """

    positions: tuple[int, ...]
    token_ids: tuple[int, ...]
    confidences: tuple[float, ...]
    revoked: tuple[int, ...] = ()
    seconds: float = 0.0
    length: int | None = None
    logprobs: tuple[Alternatives, ...] = ()


@dataclass(slots=True)
class Trace:
    """All steps of one row, in order, and what they began from: it can be replayed and shown with nothing beside it.

    Attributes:
        canvas: ids of the whole canvas before the first step, `mask_token_id` where there is a mask. On a block-causal
            model it is longer than what was asked for, up to the end of its last block.
        prompt_length: tokens in front of the answer; 0 for a document.
        texts: the text of each id that occurs, alone; empty without a tokenizer.
        model: its name.
        params: what was asked for (`SamplingParams.to_dict`).
    """

    steps: list[TraceStep] = field(default_factory=list)
    canvas: list[int] = field(default_factory=list)
    prompt_length: int = 0
    mask_token_id: int | None = None
    texts: dict[int, str] = field(default_factory=dict)
    model: str = ""
    params: dict[str, Any] = field(default_factory=dict)

    def replay(self, canvas: Sequence[int] | None = None, mask_token_id: int | None = None) -> Iterator[list[int]]:
        """The canvas after each step.

        Args:
            canvas, mask_token_id: what it began from, for a recording of version 1, which does not hold it.

        Raises:
            ConfigError: neither the recording nor the arguments say what it began from, or not what these steps did.
        """
        try:
            now = list(self.canvas if canvas is None else canvas)
        except TypeError:
            raise ConfigError(f"canvas={quoted(canvas)} must be a list of ids") from None
        mask = self.mask_token_id if mask_token_id is None else mask_token_id
        if mask is None or not now:
            raise ConfigError("this trace does not say what it began from; give replay(canvas, mask_token_id)")
        for number, step in enumerate(self.steps):
            try:
                for position in step.revoked:
                    now[position] = mask
                for position, token in zip(step.positions, step.token_ids, strict=True):
                    now[position] = token
                now = now[: step.length]
            except (IndexError, TypeError, ValueError) as error:
                raise ConfigError(f"step {number} of the trace does not fit a canvas of {len(now)} ids") from error
            yield list(now)

    def render(self, mask: str = "\N{LIGHT SHADE}") -> Iterator[str]:
        """The canvas after each step as text, `mask` for each mask. Bytes that are no character alone are U+FFFD."""
        if not isinstance(mask, str):
            raise ConfigError(f"mask={quoted(mask)} must be a string, which stands for each mask")
        for ids in self.replay():
            yield "".join(mask if token == self.mask_token_id else self.texts.get(token, "") for token in ids)

    def cells(self, count: int | None = None) -> list[Cell]:
        """The canvas after `count` steps, or after all, with the step that wrote each token; without texts, ids.

        Raises:
            ConfigError: as `replay`.
        """
        *_, ids = [self.canvas, *islice(self.replay(), count)]
        written = dict[int, tuple[int, float]]()
        for number, step in enumerate(self.steps[:count], start=1):
            for position in step.revoked:
                written.pop(position, None)
            for position, confidence in zip(step.positions, step.confidences, strict=False):
                written[position] = number, confidence
        return [
            Cell() if token == self.mask_token_id else Cell(self._text(token), *written.get(at, ()))
            for at, token in enumerate(ids)
        ]

    def _text(self, token: int) -> str:
        """Of an id; where no texts were recorded, the id."""
        return self.texts.get(token, "") if self.texts else f"{token} "

    def drawn(self, caption: str | None = None) -> str:
        """What has become of the canvas as static HTML, coloured by step. Raises ConfigError as `replay`."""
        cells = self.cells()
        filled = sum(cell.step > 0 for cell in cells)
        return as_html(cells, len(self.steps), caption or f"{filled} positions filled in {len(self.steps)} steps")

    def _repr_html_(self) -> str | None:
        """For notebooks; a recording that does not say what it began from has none."""
        try:
            return self.drawn()
        except ConfigError:
            return None

    @property
    def logprobs(self) -> dict[int, Alternatives]:
        """Canvas position -> what `TraceStep.logprobs` has of the token that stands there for good."""
        pairs = (zip(step.positions, step.logprobs, strict=True) for step in self.steps if step.logprobs)
        return {position: found for step in pairs for position, found in step}

    def to_jsonl(self) -> str:
        """A header line with the format's version and what the steps began from, then a line a step."""
        header = {name: getattr(self, name) for name in _HEADER}
        lines = [json.dumps({"dllm_trace": VERSION, **header})]
        lines += [json.dumps(_written(step)) for step in self.steps]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_jsonl(cls, text: str) -> Trace:
        """Read what `to_jsonl` wrote, now or in version 1. Raises ConfigError on another format or version."""
        try:
            header, *rows = [json.loads(line) for line in text.split("\n") if line.strip()]
            if header.pop("dllm_trace", None) not in (1, VERSION):
                raise ConfigError(f"the trace is not of version 1 or {VERSION}; record it again")
            listed = ("positions", "token_ids", "confidences", "revoked")
            steps = [TraceStep(**{**row, **{name: tuple(row[name]) for name in listed}, **_read(row)}) for row in rows]
            texts = {int(token): said for token, said in header.pop("texts", {}).items()}
            return _sound(cls(steps, texts=texts, **header))
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"not a dllm trace: {error}") from error


_HEADER = ("canvas", "prompt_length", "mask_token_id", "texts", "model", "params")


def _sound(trace: Trace) -> Trace:
    """The trace, if what is drawn and counted is of the kind it should be: a file comes from anywhere."""
    of_steps = [one for step in trace.steps for one in (*step.positions, *step.token_ids, *step.revoked)]
    numbers = [one for step in trace.steps for one in (*step.confidences, step.seconds)]
    if not all(isinstance(one, int) for one in (*trace.canvas, *of_steps, trace.prompt_length)):
        raise ConfigError("not a dllm trace: ids and positions must be whole numbers")
    if not all(isinstance(one, int | float) for one in numbers):
        raise ConfigError("not a dllm trace: confidences and seconds must be numbers")
    if not all(isinstance(one, str) for one in (*trace.texts.values(), trace.model)):
        raise ConfigError("not a dllm trace: texts and the model's name must be strings")
    return trace


def _written(step: TraceStep) -> dict[str, Any]:
    """A step as JSON holds it; what few ask for is not there where it is empty."""
    found = asdict(step)
    if not step.logprobs:
        del found["logprobs"]
    return found


def _read(row: dict[str, Any]) -> dict[str, Any]:
    """What `_written` may have left out."""
    each = (tuple((int(token), float(p)) for token, p in one) for one in row.get("logprobs", ()))
    return {"logprobs": tuple(each)}
