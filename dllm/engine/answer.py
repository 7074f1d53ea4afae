"""Between people and the loop: prompts and documents become rows, finished rows become outputs.

A draft is a request that has been checked and waits without a canvas; a sample is a draft and a seed with its row.
"""

from __future__ import annotations

import math
import secrets
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dllm.cache import Cache, resolve_cache
from dllm.engine.document import Hole, Piece, is_ids
from dllm.engine.row import Row, RowSpec, StopCheck
from dllm.engine.text_model import TextModel
from dllm.errors import ConfigError, PromptError
from dllm.models.base import name_of
from dllm.outputs import FinishReason, RequestOutput
from dllm.params import SamplingParams
from dllm.sampling.proposals import Shape
from dllm.schedulers import Scheduler
from dllm.tokenizer import Tokenizer
from dllm.trace import Trace
from dllm.views import CanvasView


@dataclass(frozen=True, slots=True)
class Setup:
    """What every row of a request shares: the model, the parameters, and the components that they name."""

    engine: TextModel
    params: SamplingParams
    scheduler: Scheduler
    cache: Cache
    bias: tuple[Tensor, Tensor] | None
    late: Tensor

    @classmethod
    def of(cls, engine: TextModel, params: SamplingParams) -> Setup:
        """Raises ConfigError or CapabilityError where the scheduler or the cache cannot work on this model."""
        params = engine.settled(params)
        biases, model = params.biases, engine.model
        for name, ids in (("logit_bias", biases), ("stop_token_ids", params.stop_token_ids)):
            unknown = [token for token in ids if token >= model.vocab_size]
            if unknown:
                raise ConfigError(f"{name}: id {unknown[0]} must be in 0...{model.vocab_size - 1}")
        if biases and len(biases) == model.vocab_size and max(biases.values()) == -math.inf:
            raise ConfigError("logit_bias: every id has -inf, so nothing could be proposed; leave one")
        added = (torch.tensor([*column], device=model.device) for column in (biases, biases.values()))
        scheduler, cache = engine.bind(params.schedule), resolve_cache(params.caching, model)
        stops = engine.ends.new_tensor(params.stop_token_ids)
        late = torch.unique(torch.cat([engine.ends, stops])) if params.stop_token_ids else engine.ends
        return cls(engine, params, scheduler, cache, (next(added), next(added)) if biases else None, late)

    @property
    def ends(self) -> frozenset[int]:
        """Ids that end an answer."""
        params = self.params
        return frozenset(params.stop_token_ids).union(() if params.ignore_eos else self.engine.model.eos_token_ids)

    @property
    def parser(self) -> Callable[[str], Any] | None:
        """What reads an answer for `RequestOutput.parsed`."""
        return None if self.params.grammar is None else self.params.grammar.parser

    def spec(
        self,
        *,
        banned: Tensor,
        first_late: int = 0,
        stop_check: StopCheck | None = None,
        when_full: FinishReason = "length",
    ) -> RowSpec:
        """How a row of the request is denoised; see `RowSpec`."""
        params, scheduler = self.params, self.scheduler
        return RowSpec(
            scheduler=scheduler,
            cache=self.cache,
            shape=Shape(params.temperature, params.top_p, params.top_k, scheduler.measures_shaped),
            banned=banned,
            mask_token_id=self.engine.mask_token_id,
            cfg_scale=params.cfg_scale,
            bias=self.bias,
            late=self.late,
            first_late=first_late,
            stop_check=stop_check,
            when_full=when_full,
            logprobs=params.logprobs,
        )

    def row(
        self,
        spec: RowSpec,
        canvas: Tensor,
        masked: Tensor,
        seed: int,
        *,
        prompt_length: int = 0,
        asked: int | None = None,
        eos_token_ids: frozenset[int] = frozenset(),
        fixed: bool = True,
    ) -> Row:
        """A row on a canvas of `[L]` ids, of which those that are `masked` (`[L]` bool) are to be filled.

        Args:
            prompt_length, asked, eos_token_ids, fixed: see `CanvasView`; None: all of the canvas was asked for.
        """
        view = CanvasView(
            canvas=canvas,
            masked=masked.clone(),
            given=~masked,
            prompt_length=prompt_length,
            asked=len(canvas) if asked is None else asked,
            total=int(masked[:asked].sum()),
            steps=self.params.steps,
            block_length=self.params.block_length,
            rule=self.engine.rule,
            seed=seed,
            eos_token_ids=eos_token_ids,
            fixed=fixed,
            stored=torch.full_like(canvas, -1),
        )
        trace = Trace(
            prompt_length=prompt_length,
            mask_token_id=self.engine.mask_token_id,
            model=name_of(self.engine.model),
            params=self.params.described,
        )
        row = Row(spec, view, trace=trace)
        row.trace.canvas = row.canvas.tolist()  # with what the scheduler has planted
        return row

    def hold(self, row: Row, *, ends: bool, advise: bool = True) -> None:
        """Hold a row to the grammar asked for, if any.

        Args:
            ends: whether an end of text may stop it before it is full.
            advise: whether an error says what would have to change, which may take seconds to find out.

        Raises:
            ConfigError: no tokenizer, which says what text a token is.
            GrammarError: no text of the grammar fits the canvas.
        """
        if self.params.grammar is None:
            return
        from dllm.grammars.attach import attach
        from dllm.grammars.canvas import MASK

        began, start = time.perf_counter(), row.view.prompt_length
        ids = row.canvas.masked_fill(row.masked, MASK)[start:].tolist()
        eos, vocabulary = self.engine.model.eos_token_ids, self.engine.vocabulary
        row.constraint = attach(self.params.grammar, vocabulary, ids, start, ends=ends, eos=eos, advise=advise)
        row.spend(grammar_seconds=time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class AnswerDraft:
    """A checked request to continue a prompt. It waits for its turn without a canvas: four bytes a token."""

    setup: Setup
    prompt: array[int]

    @classmethod
    def of(cls, engine: TextModel, prompt: Any, params: SamplingParams) -> AnswerDraft:
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
        return cls(Setup.of(engine, params), array("i", ids))

    @classmethod
    def of_chat(cls, engine: TextModel, messages: Any, params: SamplingParams) -> AnswerDraft:
        """A checked request to answer a conversation."""
        return cls.of(engine, engine.templated(messages), params)

    @property
    def alike(self) -> tuple[SamplingParams, int]:
        """Equal for drafts that all can be put on a canvas if one can.

        Where blocks of attention lie depends on the length of the prompt, and budgets of steps on that.
        """
        rule = self.setup.engine.rule
        return self.setup.params, 0 if rule is None else len(self.prompt) % rule.length

    def sample(self, seed: int) -> Answer:
        """The request on a canvas. Raises GrammarError where no text of the grammar fits."""
        return Answer.make(self.setup, self.prompt.tolist(), seed)


@dataclass(frozen=True, slots=True)
class Answer:
    """A prompt that is continued."""

    setup: Setup
    row: Row
    prompt: list[int]

    @classmethod
    def make(cls, setup: Setup, prompt: list[int], seed: int) -> Answer:
        engine, params = setup.engine, setup.params
        asked = len(prompt) + params.max_new_tokens
        length = asked if params.grammar is not None else engine.whole_blocks(asked)
        canvas = torch.tensor(prompt + [engine.mask_token_id] * (length - len(prompt)))
        ends = setup.ends
        eos = ends if params.cut_at_eos == "now" else frozenset[int]()
        stops = stop_check(engine.tokenizer, params.stop) if params.stop and engine.tokenizer is not None else None
        masked = torch.arange(len(canvas)) >= len(prompt)
        spec = setup.spec(banned=engine.banned, first_late=len(prompt) + params.min_new_tokens, stop_check=stops)
        row = setup.row(
            spec,
            canvas,
            masked,
            seed,
            prompt_length=len(prompt),
            asked=asked,
            eos_token_ids=eos,
            fixed=params.ignore_eos and not ends,
        )
        setup.hold(row, ends=bool(eos))
        return cls(setup, row, prompt)

    def text_before(self, end: int) -> str:
        # the last character may still want bytes
        return self._text(self._ids(end)).rstrip("\ufffd")

    def output(self) -> RequestOutput:
        ids = self._ids(len(self.row.canvas))
        start = len(self.prompt)
        planted = int(self.row.view.given[start : start + len(ids)].sum())
        ended = self.setup.params.cut_at_eos == "end" and len(ids) < self.row.view.asked - start
        return RequestOutput(
            text=self._text(ids),
            token_ids=ids,
            prompt_token_ids=self.prompt,
            finish_reason="stop" if ended else self.row.finish_reason or "length",
            stats=replace(self.row.stats, tokens=len(ids) - planted),
            trace=replace(self.row.trace, texts=self.setup.engine.texts_of(self.row.trace)),
            seed=self.row.view.seed,
            parser=self.setup.parser,
        )

    def _ids(self, end: int) -> list[int]:
        """The answer's ids before canvas position `end`, without what ends it."""
        ids: list[int] = self.row.canvas[len(self.prompt) : min(end, self.row.view.asked)].tolist()
        ends = self.setup.ends if self.setup.params.cut_at_eos == "end" else ()
        ids = ids[: next((at for at, token in enumerate(ids) if token in ends), len(ids))]
        return ids[:-1] if ids and ids[-1] in self.row.view.eos_token_ids else ids

    def _text(self, ids: list[int]) -> str:
        exact = self.setup.params.grammar is not None
        text = self.setup.engine.spelled(ids) if exact else self.setup.engine.decode(ids, skip_special=True)
        return text[: first_stop(text, self.setup.params.stop)]


@dataclass(frozen=True, slots=True)
class Document:
    """A document whose holes are filled."""

    setup: Setup
    row: Row
    pieces: Sequence[Piece]
    widths: list[int]
    given: list[int]

    @classmethod
    def make(
        cls,
        setup: Setup,
        pieces: Sequence[Piece],
        fixed: Sequence[Sequence[int]],
        seed: int,
        *,
        advise: bool = True,
    ) -> Document:
        """Of a document whose holes have fixed widths; `dllm.engine.infill` makes those of the others.

        Args:
            fixed: the ids of each piece, none for a hole.
            advise: as in `Setup.hold`.
        """
        engine, ids, masked, widths = setup.engine, list[int](), list[bool](), list[int]()
        for piece, own in zip(pieces, fixed, strict=True):
            hole = isinstance(piece, Hole)
            new = [engine.mask_token_id] * piece.max if isinstance(piece, Hole) else own
            ids += new
            widths.append(len(new))
            masked += [hole] * len(new)
        spec = setup.spec(banned=engine.banned_in_holes, when_full="stop")
        row = setup.row(spec, torch.tensor(ids), torch.tensor(masked), seed)
        setup.hold(row, ends=False, advise=advise)
        return cls(setup, row, pieces, widths, ids)

    @property
    def exact(self) -> bool:
        """Whether all text is that of the tokens' bytes, as under a grammar."""
        return self.setup.params.grammar is not None

    def text_before(self, end: int) -> str:
        return self._render(end)[0].rstrip("\ufffd")

    def output(self) -> RequestOutput:
        text, holes = self._render(len(self.row.canvas))
        return RequestOutput(
            text=text if self.setup.engine.tokenizer is not None else "",
            token_ids=self.row.canvas.tolist(),
            prompt_token_ids=self.given,
            finish_reason=self.row.finish_reason or "length",
            stats=replace(self.row.stats, tokens=self.row.view.total),
            trace=replace(self.row.trace, texts=self.setup.engine.texts_of(self.row.trace)),
            holes=holes,
            seed=self.row.view.seed,
            parser=self.setup.parser,
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
        return self.setup.engine.spelled(ids) if self.exact else self.setup.engine.decode(ids, skip_special=False)


def draw_seed(params: SamplingParams) -> int:
    """The request's first seed: the one asked for, or a fresh one of 53 bits, which every JSON reader keeps."""
    return secrets.randbits(53) if params.seed is None else params.seed


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Character offset of the earliest stop string in `text`, or None."""
    found = [at for at in (text.find(one) for one in stop) if at >= 0]
    return min(found, default=None)


def stop_check(tokenizer: Tokenizer, stop: Sequence[str]) -> StopCheck:
    """A check for the loop: how many of the settled answer ids to keep once a stop string is complete."""

    def check(token_ids: list[int]) -> int | None:
        if first_stop(tokenizer.decode(token_ids, skip_special=True), stop) is None:
            return None
        # rare and short: the fewest tokens whose text still holds the stop string
        held = (
            n
            for n in range(1, len(token_ids) + 1)
            if first_stop(tokenizer.decode(token_ids[:n], skip_special=True), stop) is not None
        )
        return next(held)

    return check
