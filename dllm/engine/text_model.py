"""A model, its tokenizer, and what follows from the two for every request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch

from dllm.errors import ConfigError, PromptError
from dllm.models.base import RowDenoiser, block_rule, usual_of
from dllm.params import SamplingParams
from dllm.sampling.proposals import MEASURES
from dllm.schedulers import Scheduler
from dllm.tokenizer import Tokenizer
from dllm.trace import Trace
from dllm.views import Setting

if TYPE_CHECKING:
    from dllm.grammars.tables.vocabulary import Vocabulary

REMEMBERED = 64
"""Schedulers, and parameters, that a model keeps ready."""

T = TypeVar("T")


class HasTextModel(Protocol):
    """What holds a text model under the name `engine`, as `LLM` does."""

    @property
    def engine(self) -> TextModel: ...


def _recent(make: Callable[[T], T]) -> Callable[[T], T]:
    """`make` with its last results kept for equal arguments; for one that cannot be hashed it is made anew."""
    kept = lru_cache(REMEMBERED)(make)

    def made(given: T) -> T:
        try:
            hash(given)
        except TypeError:  # a component from outside
            hashable = False
        else:
            hashable = True
        return kept(given) if hashable else make(given)

    return made


class TextModel:
    """A model, its tokenizer and what follows from the two: which ids may never be proposed."""

    def __init__(self, model: RowDenoiser, tokenizer: Tokenizer | None) -> None:
        if model.mask_token_id is None:
            raise ConfigError(
                "neither the model nor its tokenizer says which id is the mask; give LLM(..., mask_token_id=ID)"
            )
        if not 0 <= model.mask_token_id < model.vocab_size:
            raise ConfigError(f"mask_token_id={model.mask_token_id} must be in 0...{model.vocab_size - 1}")
        if model.mask_token_id in model.eos_token_ids:
            raise ConfigError(
                f"mask_token_id={model.mask_token_id} is also an end-of-text id of this model "
                f"({list(model.eos_token_ids)}); a committed mask would end every answer: give the id of [MASK]"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.mask_token_id = model.mask_token_id
        banned = torch.zeros(model.vocab_size, dtype=torch.bool)
        if tokenizer is not None:
            banned |= ~tokenizer.decodable(model.vocab_size)
            # an end is never decoded, so a tokenizer that has no text for it must not keep answers from ending
            banned[list(model.eos_token_ids)] = False
        banned[self.mask_token_id] = True
        holes = banned.clone()
        if tokenizer is not None:
            # a hole is inside a document, where an end-of-text token can only be noise
            holes[list(model.eos_token_ids)] = True
        self.rule = block_rule(model)
        self._texts: dict[int, str] = {}
        self.ends = torch.tensor(model.eos_token_ids, dtype=torch.long, device=model.device)
        usual, setting = usual_of(model), Setting(model=model, tokenizer=tokenizer)
        # no bound methods: they would hold this object, and with it the weights, until a collection of cycles
        self.bind: Callable[[Scheduler], Scheduler] = _recent(lambda scheduler: _ready(scheduler, setting))
        """The scheduler made ready for this model and tokenizer; the work is done once for equal ones."""
        self.settled: Callable[[SamplingParams], SamplingParams] = _recent(lambda params: params.settled(usual))
        """The parameters with what the model is used to where nobody asked; the same object for equal ones."""
        self.banned, self.banned_in_holes = banned.to(model.device), holes.to(model.device)

    def encode(self, text: str) -> list[int]:
        if self.tokenizer is None:
            raise PromptError("this LLM has no tokenizer, so it takes token ids only; give LLM(..., tokenizer=...)")
        return self.tokenizer.encode(text)

    def templated(self, messages: Any) -> str:
        """A conversation as the text of a prompt, which ends where the answer begins."""
        if self.tokenizer is None:
            raise PromptError("chat needs a tokenizer with a chat template; give LLM(..., tokenizer=...)")
        return self.tokenizer.apply_chat_template(messages)

    def decode(self, token_ids: Sequence[int], *, skip_special: bool) -> str:
        return "" if self.tokenizer is None else self.tokenizer.decode(list(token_ids), skip_special=skip_special)

    def spelled(self, token_ids: Sequence[int]) -> str:
        """The bytes of the tokens as text, which is what a grammar reads: a decoder may drop a space at the start."""
        assert self.tokenizer is not None
        return b"".join(self.tokenizer.token_bytes(token) or b"" for token in token_ids).decode(errors="replace")

    def texts_of(self, trace: Trace) -> dict[int, str]:
        """The text of each id that occurs in a trace, alone; none without a tokenizer."""
        if self.tokenizer is None:
            return {}
        ids = {*trace.canvas, *(token for step in trace.steps for token in step.token_ids)} - {self.mask_token_id}
        for token in ids - self._texts.keys():
            self._texts[token] = self._spelled_alone(token)
        return {token: self._texts[token] for token in sorted(ids)}

    def _spelled_alone(self, token: int) -> str:
        """For people to look at: an id that a tokenizer has no text for, as an end may be, must not fail a request."""
        try:
            return self.decode([token], skip_special=False)
        except Exception:  # a tokenizer from outside
            return ""

    def whole_blocks(self, length: int) -> int:
        """A canvas's length, on a block-causal model that of whole blocks, as far as it has so much context."""
        if self.rule is None:
            return length
        whole = -(-length // self.rule.length) * self.rule.length
        return max(length, min(whole, self.model.max_length or whole))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The bytes of every token that may be proposed; mask and ends are no text, whatever a tokenizer says.

        Raises:
            ConfigError: no tokenizer, which says what text a token is.
        """
        if self.tokenizer is None:
            raise ConfigError(
                "a grammar needs a tokenizer, which says what text a token is; give LLM(..., tokenizer=...)"
            )
        from dllm.grammars.tables.vocabulary import vocabulary_of

        without = self.banned_in_holes.nonzero().flatten().tolist()
        return vocabulary_of(self.tokenizer, self.model.vocab_size, without)

    def check_ids(self, token_ids: Sequence[int], what: str) -> list[int]:
        """The ids as a list. Raises PromptError for none, for ids outside the vocabulary and for mask ids."""
        if not token_ids:
            raise PromptError(f"{what} is empty; give at least one token{self._from_nothing(what)}")
        for at, token in enumerate(token_ids):
            if not 0 <= token < self.model.vocab_size:
                raise PromptError(f"{what} holds id {token} at {at}; legal ids are 0...{self.model.vocab_size - 1}")
            if token == self.mask_token_id:
                raise PromptError(f"{what} holds the mask id {token} at {at}; to fill masks use infill with a Hole")
        return [int(token) for token in token_ids]  # numpy's are no JSON numbers

    def _from_nothing(self, what: str) -> str:
        """How to begin with no text at all, where that is asked for."""
        if what != "prompt":
            return ""
        begin = None if self.tokenizer is None else self.tokenizer.named.get("bos_token")
        return (
            f": to begin with nothing, give {begin!r}, the text that begins all others"
            if begin
            else (", such as the id that begins a text")
        )

    def check_length(self, length: int, made_of: str) -> None:
        longest = self.model.max_length
        if longest is not None and length > longest:
            raise PromptError(
                f"{made_of} is {length} tokens; this model's context holds {longest}: shorten one of them"
            )


def _ready(scheduler: Scheduler, setting: Setting) -> Scheduler:
    """Bound, with measures that exist."""
    bound = scheduler.bind(setting)
    unknown = sorted(set(bound.measures) - {"confidence", *MEASURES})
    if unknown:
        raise ConfigError(f"scheduler {bound} asks for measures {unknown}; known: {', '.join(MEASURES)}")
    return bound
