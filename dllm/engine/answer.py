"""Between people and the loop: prompts and documents become rows, finished rows become outputs."""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dllm.cache import Cache, resolve_cache
from dllm.engine.document import Piece, is_ids
from dllm.engine.row import Row
from dllm.engine.stopping import first_stop, stop_check
from dllm.engine.text_model import Engine
from dllm.errors import ConfigError, PromptError
from dllm.outputs import Hole, RequestOutput, Stats
from dllm.params import SamplingParams
from dllm.sampling.proposals import Shape
from dllm.schedulers import Scheduler


@dataclass(frozen=True, slots=True)
class Parts:
    """What every row of a request shares."""

    engine: Engine
    params: SamplingParams
    scheduler: Scheduler
    cache: Cache

    @classmethod
    def of(cls, engine: Engine, params: SamplingParams) -> Parts:
        """Raises ConfigError or CapabilityError where the scheduler or the cache cannot work on this model."""
        params = engine.settled(params)
        return cls(engine, params, engine.bind(params.schedule), resolve_cache(params.caching, engine.model))


@dataclass(frozen=True, slots=True)
class AnswerDraft:
    """A checked request to continue a prompt. It waits for its turn without a canvas: four bytes a token."""

    parts: Parts
    prompt: array[int]

    @classmethod
    def check(cls, engine: Engine, prompt: Any, params: SamplingParams) -> AnswerDraft:
        """Everything that can be said without a canvas.

        Raises:
            PromptError: no string and no ids, illegal ids, or too many.
            ConfigError, CapabilityError: parameters that cannot work on this model.
        """
        if not isinstance(prompt, str) and not is_ids(prompt):
            raise PromptError(
                f"prompt {str(prompt)[:60]!r} must be a string or a non-empty list of token ids (of an array: "
                ".tolist())"
            )
        ids = engine.encode(prompt) if isinstance(prompt, str) else list(prompt)
        ids = engine.check_ids(ids, "prompt")
        new = params.max_new_tokens
        engine.check_length(len(ids) + new, f"prompt ({len(ids)}) + max_new_tokens ({new})")
        if params.stop and engine.tokenizer is None:
            raise ConfigError(f"stop={params.stop!r} needs a tokenizer; give LLM(..., tokenizer=...) or drop stop")
        return cls(Parts.of(engine, params), array("i", ids))

    @property
    def alike(self) -> int | None:
        """Equal for drafts that all can be put on a canvas if one can, None where each must be tried."""
        return id(self.parts.params)

    def request(self, seed: int) -> Answer:
        """The request with its row. Raises GrammarError where no text of the grammar fits."""
        return Answer.make(self.parts, self.prompt.tolist(), seed)


@dataclass(frozen=True, slots=True)
class Answer:
    """A request to continue a prompt."""

    engine: Engine
    row: Row
    prompt: list[int]
    params: SamplingParams

    @classmethod
    def make(cls, parts: Parts, prompt: list[int], seed: int) -> Answer:
        engine, params = parts.engine, parts.params
        keep = len(prompt) + params.max_new_tokens
        length = keep if params.grammar is not None else engine.whole_blocks(keep)
        canvas = torch.tensor(prompt + [engine.mask_token_id] * (length - len(prompt)))
        eos = frozenset[int]() if params.ignore_eos else frozenset(engine.model.eos_token_ids)
        masked = torch.arange(len(canvas)) >= len(prompt)
        row = _row(parts, canvas, masked, seed, prompt_length=len(prompt), keep=keep, eos_token_ids=eos)
        engine.constrain(row, params, ends=bool(eos))
        if params.stop and engine.tokenizer is not None:
            row.stop_check = stop_check(engine.tokenizer, params.stop)
        return cls(engine, row, prompt, params)

    def text_so_far(self) -> str:
        # the last character may still want bytes
        return self._text(self._ids(self.row.settled)).rstrip("\ufffd")

    def output(self) -> RequestOutput:
        ids = self._ids(len(self.row.canvas))
        start = len(self.prompt)
        planted = int(self.row.given[start : start + len(ids)].sum())
        return RequestOutput(
            text=self._text(ids),
            token_ids=ids,
            prompt_token_ids=self.prompt,
            finish_reason=self.row.finish_reason or "length",
            stats=_stats(self.row, len(ids) - planted),
            trace=self.row.trace,
            seed=self.row.seed,
        )

    def _ids(self, end: int) -> list[int]:
        ids: list[int] = self.row.canvas[: self.row.keep][len(self.prompt) : end].tolist()
        return ids[:-1] if ids and ids[-1] in self.row.eos_token_ids else ids

    def _text(self, ids: list[int]) -> str:
        exact = self.params.grammar is not None
        text = self.engine.spelled(ids) if exact else self.engine.decode(ids, skip_special=True)
        return text[: first_stop(text, self.params.stop)]


@dataclass(frozen=True, slots=True)
class Document:
    """A request to fill the holes of a document."""

    engine: Engine
    row: Row
    pieces: Sequence[Piece]
    widths: list[int]
    given: list[int]
    exact: bool

    @classmethod
    def make(
        cls,
        parts: Parts,
        pieces: Sequence[Piece],
        fixed: Sequence[Sequence[int]],
        seed: int,
        *,
        advise: bool = True,
    ) -> Document:
        """A request for a document whose holes have fixed widths; `dllm.engine.infill` makes those of the others.

        Args:
            fixed: the ids of each piece, none for a hole.
            advise: whether an error of the grammar says what would have to change, which may take seconds to find out.
        """
        engine, params = parts.engine, parts.params
        ids, masked, widths = list[int](), list[bool](), list[int]()
        for piece, own in zip(pieces, fixed, strict=True):
            hole = isinstance(piece, Hole)
            new = [engine.mask_token_id] * piece.max if isinstance(piece, Hole) else own
            ids += new
            widths.append(len(new))
            masked += [hole] * len(new)
        row = _row(parts, torch.tensor(ids), torch.tensor(masked), seed)
        row.banned, row.when_full = engine.banned_in_holes, "stop"
        engine.constrain(row, params, ends=False, advise=advise)
        return cls(engine, row, pieces, widths, ids, params.grammar is not None)

    def text_so_far(self) -> str:
        return self._render(self.row.settled)[0].rstrip("\ufffd")

    def output(self) -> RequestOutput:
        text, holes = self._render(len(self.row.canvas))
        return RequestOutput(
            text=text if self.engine.tokenizer is not None else "",
            token_ids=self.row.canvas.tolist(),
            prompt_token_ids=self.given,
            finish_reason=self.row.finish_reason or "length",
            stats=_stats(self.row, self.row.total),
            trace=self.row.trace,
            holes=holes,
            seed=self.row.seed,
        )

    def _render(self, end: int) -> tuple[str, list[str]]:
        """Text of the canvas before `end`, and its holes.

        Fixed strings come back verbatim, not re-decoded; what lies between two of them is decoded together, since a
        character may be spread over tokens. Under a grammar all text is that of the tokens' bytes.
        """
        texts, holes, run, at = list[str](), list[str](), 0, 0
        for piece, width in zip(self.pieces, self.widths, strict=True):
            stop = min(at + width, end)
            if isinstance(piece, Hole) and at < end:
                holes.append(self._decode(at, stop))
            if isinstance(piece, str) and stop == at + width and not self.exact:
                texts += [self._decode(run, at), piece]
                run = stop
            at = stop
        return "".join([*texts, self._decode(run, at)]), holes

    def _decode(self, start: int, stop: int) -> str:
        ids = self.row.canvas[start:stop].tolist()
        return self.engine.spelled(ids) if self.exact else self.engine.decode(ids, skip_special=False)


def check_chat(engine: Engine, messages: Any, params: SamplingParams) -> AnswerDraft:
    """A checked request to answer a conversation."""
    return AnswerDraft.check(engine, engine.templated(messages), params)


def draw_seed(params: SamplingParams) -> int:
    """The request's first seed: the one asked for, or a fresh one of 53 bits, which every JSON reader keeps."""
    return secrets.randbits(53) if params.seed is None else params.seed


def _row(
    parts: Parts,
    canvas: Tensor,
    masked: Tensor,
    seed: int,
    *,
    prompt_length: int = 0,
    keep: int | None = None,
    eos_token_ids: frozenset[int] = frozenset(),
) -> Row:
    engine, params, scheduler = parts.engine, parts.params, parts.scheduler
    return Row(
        canvas=canvas,
        masked=masked.clone(),
        given=~masked,
        prompt_length=prompt_length,
        keep=keep,
        eos_token_ids=eos_token_ids,
        mask_token_id=engine.mask_token_id,
        scheduler=scheduler,
        cache=parts.cache,
        shape=Shape(params.temperature, params.top_p, params.top_k, scheduler.measures_shaped),
        banned=engine.banned,
        seed=seed,
        steps=params.steps,
        block_length=params.block_length,
        rule=engine.rule,
        cfg_scale=params.cfg_scale,
    )


def _stats(row: Row, tokens: int) -> Stats:
    return Stats(
        forwards=row.step,
        refreshes=row.refreshes,
        positions_fed=row.fed,
        tokens=tokens,
        slots=row.slots,
        seconds=row.seconds,
        grammar_seconds=row.constraint_seconds,
        witness_tokens=row.forced,
        cache=str(row.cache),
    )
