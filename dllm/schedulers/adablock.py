"""AdaBlock (arXiv 2509.26432): end a block where the model confidently sees a delimiter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from dllm.arguments import in_range, one_of, whole
from dllm.errors import ConfigError, quoted
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import CanvasView, Setting, StepView

PUBLISHED = {
    "llada": (198,),
    "dream": (
        *(198, 271, 280, 319, 340, 382, 401, 532, 624, 630, 692, 698, 921, 1248, 1837, 1939, 2219, 2533, 3276, 3876),
        *(4894, 5267, 14750, 68327),
    ),
}
"""Delimiters of the published code (lgxi24/AdaBlock-dLLM@491b205), by the family whose vocabulary they are ids of."""


@register("adablock")
@dataclass(frozen=True)
class AdaBlock(Scheduler):
    """A block ends behind the most confident delimiter of a window, if that is at least `tau`, else as usual.

    The window is the part of the answer behind the block's start of `window` times a length; every block is chosen by
    the predictions of its own first forward, which is also its first denoising step.

    Args:
        tau: probability; the paper uses 0.3 for LLaDA and 0.5 for Dream.
        window: share of the length below.
        basis: length: of the whole answer (the published code); generated: of what is decoded already (the paper's
            Algorithm 1), at least one token.
        delimiters: newline = every token whose text holds one; llada, dream = the published lists, ids of these models'
            vocabularies; or token ids, as "198 271".
    """

    tau: float = 0.3
    window: float = 0.25
    basis: Literal["length", "generated"] = "length"
    delimiters: str | tuple[int, ...] = "newline"
    measures = frozenset({"raw"})  # the model's own confidence, whatever a transform has made of it

    def __post_init__(self) -> None:
        in_range("adablock: tau", self.tau, 0.0, 1.0)
        in_range("adablock: window", self.window, 0.0, 1.0)
        one_of("adablock: basis", self.basis, ("length", "generated"))
        if isinstance(self.delimiters, str) and self.delimiters not in ("newline", *PUBLISHED):
            object.__setattr__(self, "delimiters", _ids(self.delimiters))
        elif not isinstance(self.delimiters, str):
            object.__setattr__(self, "delimiters", _whole_ids(self.delimiters))

    def bind(self, setting: Setting) -> Scheduler:
        if not isinstance(self.delimiters, str):
            return self
        if self.delimiters in PUBLISHED:
            size, ids = setting.model.vocab_size, PUBLISHED[self.delimiters]
            if max(ids) >= size:
                raise ConfigError(
                    f"adablock: delimiters={self.delimiters} are ids up to {max(ids)}, and this model has {size}; give "
                    "delimiters=newline, or ids of its own"
                )
            return replace(self, delimiters=ids)
        if setting.tokenizer is None:
            raise ConfigError(
                "adablock: delimiters='newline' needs a tokenizer; give LLM(..., tokenizer=...) or delimiters as ids"
            )
        texts = ((token, setting.tokenizer.token_bytes(token)) for token in range(setting.model.vocab_size))
        return replace(self, delimiters=tuple(token for token, text in texts if text and b"\n" in text))

    def wants(self, view: CanvasView, state: State) -> Tensor | None:
        return self._window(view) if view.block_step == 0 else None

    def block_end(self, view: StepView, state: State) -> int:
        delimits = view.among(frozenset(self._bound_ids())) & torch.isin(view.positions, self._window(view))
        score = torch.where(delimits, view.measures["raw"], -torch.inf)
        if float(score.max()) < self.tau:
            return view.end
        return int(view.positions[score.argmax()]) + 1

    def _window(self, view: CanvasView) -> Tensor:
        """`[w]` long: the masks among the positions a delimiter is looked for."""
        generated = view.start - view.prompt_length
        width = int(self.window * view.total) if self.basis == "length" else max(1, int(self.window * generated))
        stop = min(view.start + width, len(view.canvas))
        return view.masked[view.start : stop].nonzero().squeeze(-1) + view.start

    def _bound_ids(self) -> tuple[int, ...]:
        assert not isinstance(self.delimiters, str), "bind turns words into ids"
        return self.delimiters


def _ids(text: str) -> tuple[int, ...]:
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and len(word) < 20 for word in words):
        raise ConfigError(
            f"adablock: delimiters={quoted(text)} must be newline, {', '.join(PUBLISHED)}, or token ids like '198 271'"
        )
    return _whole_ids([int(word) for word in words])


def _whole_ids(given: Any) -> tuple[int, ...]:
    if not isinstance(given, Sequence) or not given:
        raise ConfigError(
            f"adablock: delimiters={quoted(given)} must be newline, {', '.join(PUBLISHED)}, or a tuple of token ids"
        )
    return tuple(whole("adablock: delimiters: id", token, 0) for token in given)
