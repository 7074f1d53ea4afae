"""What a request asks for, checked when it is written down."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, wraps
from numbers import Real
from typing import Any, Literal, TypeVar

from dllm.arguments import MOST_TOKENS, in_range, one_of, refuse_unknown, switch, whole
from dllm.cache import Cache, as_cache
from dllm.errors import ConfigError, quoted
from dllm.grammars.grammar import Grammar
from dllm.models.base import Usual
from dllm.schedulers import Scheduler, as_scheduler


class Unasked:
    """Marks a default: nobody has asked for the value, so a model may have a better one (`SamplingParams.settled`)."""


class _UnaskedInt(Unasked, int):
    pass


class _UnaskedStr(Unasked, str):
    pass


MOST_BIAS = 1e4
"""Beyond this a bias decides whatever the logits are."""
MOST_LOGPROBS = 1_000
BLOCK_LENGTH, SCHEDULER = _UnaskedInt(Usual().block_length), _UnaskedStr(Usual().scheduler)


T = TypeVar("T")


def _by_name(cls: type[T]) -> type[T]:
    """The dataclass with a `ConfigError` for names that it does not have; those of other programs are translated."""
    init, known = cls.__init__, tuple(inspect.signature(cls).parameters)

    @wraps(init)
    def checked(self: T, *args: Any, **values: Any) -> None:
        refuse_unknown(cls.__name__, values, known)
        init(self, *args, **values)

    type.__setattr__(cls, "__init__", checked)
    return cls


@_by_name
@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How to denoise one request. Frozen: share it between requests freely.

    The defaults of `block_length` and `scheduler` are marked as `Unasked`: a model that is used to something else gets
    that. So they differ from the same value when it is written down, in comparisons too.

    Attributes:
        max_new_tokens: masks put behind the prompt; need not be a multiple of `block_length`.
        block_length: tokens of a semi-autoregressive block; the last block is the remainder. A block-causal model's own
            blocks are never crossed. Unless it is given, a model may have a better one (`dllm doctor` tells).
        steps: denoising steps over the whole answer, read by `llada` and `dream` only; None = one a token.
        temperature: 0 takes the most probable token; above, Gumbel noise of that size in float64.
        top_p: keep the smallest set of tokens with at least this probability; shapes the proposal only.
        top_k: keep the k most probable tokens; shapes the proposal only.
        cfg_scale: classifier-free guidance; 0 = off, w costs a second, unconditional row and uses
            `u + (w + 1)(c - u)`.
        seed: of the noise; None draws one for each request (it is kept in `RequestOutput.seed`).
        n: samples a prompt, with seeds seed ... seed + n - 1.
        scheduler: a spec such as `"threshold(0.9)"`, or a `Scheduler`. Unless given, a model may have a better one.
        cache: `"auto"`, a name, or a `Cache`. auto: `exact` on block-causal models, `suffix(keep=8, every=1)` on others
            that offer K/V, else `none`.
        grammar: a `Grammar` that the answer (in `infill`, the whole document) is held to; None = free text.
        stop: strings that end an answer; the text is cut before the first of them. Not with a grammar.
        ignore_eos: commit EOS like any other token and fill the whole answer.
        cut_at_eos: "now" = a committed EOS ends the canvas at once; "end" = all is denoised first, and the answer is
            what stands before the first EOS then, as in LLaDA's published evaluation. Not with a grammar.
        min_new_tokens: no EOS is proposed among the first so many positions of the answer. Not with a grammar.
        logit_bias: id -> what is added to its logit, after guidance and before all else; -inf: never proposed.
        stop_token_ids: ids that end an answer when they are committed, as EOS does, also with `ignore_eos`; the answer
            is cut before them. Not with a grammar.
        logprobs: how many of the most probable ids to record beside each committed token, with their log-probabilities
            at that step (`TraceStep.logprobs`, `RequestOutput.logprobs`); 0: the token's own alone; None: nothing.
    """

    max_new_tokens: int = 128
    block_length: int = BLOCK_LENGTH
    steps: int | None = None
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    cfg_scale: float = 0.0
    seed: int | None = None
    n: int = 1
    scheduler: str | Scheduler = SCHEDULER
    cache: str | Cache = "auto"
    grammar: Grammar | None = None
    stop: Sequence[str] = ()
    ignore_eos: bool = False
    cut_at_eos: Literal["now", "end"] = "now"
    min_new_tokens: int = 0
    logit_bias: Mapping[int, float] | tuple[tuple[int, float], ...] | None = None
    stop_token_ids: Sequence[int] = ()
    logprobs: int | None = None

    def __post_init__(self) -> None:
        # bounds far beyond use: a slip of the keyboard is an error and not a hang
        checked = {
            "max_new_tokens": whole("max_new_tokens", self.max_new_tokens, 1, MOST_TOKENS),
            "steps": whole("steps", self.steps, 1, 1_000_000, optional=True),
            "temperature": in_range("temperature", self.temperature, 0.0, 1e6),
            "top_p": in_range("top_p", self.top_p, 0.0, 1.0, optional=True, above=True),
            "top_k": whole("top_k", self.top_k, 1, optional=True),
            "cfg_scale": in_range("cfg_scale", self.cfg_scale, 0.0, 1e6),
            "seed": whole("seed", self.seed, 0, optional=True),
            "n": whole("n", self.n, 1, 100_000),
            "min_new_tokens": whole("min_new_tokens", self.min_new_tokens, 0),
            "logit_bias": _biases(self.logit_bias),
            "stop_token_ids": _ids(self.stop_token_ids),
            "logprobs": whole("logprobs", self.logprobs, 0, MOST_LOGPROBS, optional=True),
        }
        if not isinstance(self.block_length, Unasked):
            checked["block_length"] = whole("block_length", self.block_length, 1)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if 0 < self.temperature < 1e-6:
            raise ConfigError(f"temperature={self.temperature!r} must be 0 (greedy) or at least 1e-6")
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        if not isinstance(self.stop, Sequence) or isinstance(self.stop, bytes):
            raise ConfigError(f"stop={quoted(self.stop)} must be a string or a list of strings")
        object.__setattr__(self, "stop", tuple(self.stop))
        switch("ignore_eos", self.ignore_eos)
        if not all(isinstance(text, str) and text for text in self.stop):
            raise ConfigError(f"stop={quoted(self.stop)} must be non-empty strings")
        if self.grammar is not None and not isinstance(self.grammar, Grammar):
            raise ConfigError(
                f"grammar={quoted(self.grammar, 60)} must be a Grammar, such as Grammar.builtin('json') or "
                "Grammar.from_json_schema(schema), or None"
            )
        if self.grammar is not None and self.stop:
            given = f"stop={quoted(self.stop)} does not go with grammar={self.grammar!r}"
            raise ConfigError(
                f"{given}: what it cuts off is part of a text of the grammar, and what is left need not be one; leave "
                "stop out, the grammar says where the text ends"
            )
        one_of("cut_at_eos", self.cut_at_eos, ("now", "end"))
        if self.min_new_tokens > self.max_new_tokens:
            raise ConfigError(
                f"min_new_tokens={self.min_new_tokens} is more than max_new_tokens={self.max_new_tokens}; lower the "
                "first, or raise the second"
            )
        late = {"cut_at_eos='end'": self.cut_at_eos == "end", "min_new_tokens": self.min_new_tokens > 0}
        late["stop_token_ids"] = bool(self.stop_token_ids)
        for name in (name for name, asked in late.items() if asked and self.grammar is not None):
            raise ConfigError(
                f"{name} does not go with grammar={self.grammar!r}, which says where the text ends; drop it"
            )
        schedule = self.schedule
        if self.steps is not None and not schedule.reads_steps:
            raise ConfigError(
                f"steps={self.steps} is read by the schedulers llada and dream only, not by {schedule}; "
                "leave steps out, or use scheduler='llada'"
            )
        _ = self.caching  # reads the spec now, so that a mistake is named here and not at the first request

    def __eq__(self, other: object) -> bool:
        """Field by field; what nobody asked for differs from the same value asked for."""
        if not isinstance(other, SamplingParams):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def _fields(self) -> tuple[Any, ...]:
        values = [getattr(self, one.name) for one in fields(self)]
        return tuple((value, isinstance(value, Unasked)) for value in values)

    @property
    def biases(self) -> dict[int, float]:
        """`logit_bias` by token id, empty where none was asked for."""
        return dict(self.logit_bias or ())

    def to_dict(self) -> dict[str, Any]:
        """Every field, as JSON takes it: components as their specs, a grammar as its name."""
        return dict(self.described)

    @cached_property
    def described(self) -> dict[str, Any]:
        """What `to_dict` gives, made once; not to be changed."""
        shown = {one.name: _shown(getattr(self, one.name)) for one in fields(self)}
        biases = {str(token): bias for token, bias in self.biases.items()}
        lists = {"stop": list(self.stop), "stop_token_ids": list(self.stop_token_ids)}
        return {**shown, **lists, "logit_bias": biases or None}

    def settled(self, usual: Usual) -> SamplingParams:
        """With a model's usual block length and scheduler where none was asked for."""
        unasked = [one.name for one in fields(self) if isinstance(getattr(self, one.name), Unasked)]
        changes = {name: getattr(usual, name) for name in unasked if getattr(usual, name) != getattr(self, name)}
        return replace(self, **changes) if changes else self

    @cached_property
    def schedule(self) -> Scheduler:
        """The scheduler that `scheduler` names."""
        return as_scheduler(self.scheduler)

    @cached_property
    def caching(self) -> Cache | None:
        """The cache that `cache` names, or None for "auto", which the model decides."""
        return None if isinstance(self.cache, str) and self.cache == "auto" else as_cache(self.cache)


def _shown(value: Any) -> Any:
    """A value as JSON takes it. A component from outside may not be able to say what it is."""
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain(value)
    try:
        return None if value is None else str(value)[:1000]
    except Exception:  # somebody else's code
        return type(value).__name__


def _biases(given: Any) -> tuple[tuple[int, float], ...] | None:
    """`logit_bias` as pairs in the order of their ids, which compare and hash."""
    if given is None:
        return None
    try:
        pairs = sorted(dict(given).items())
        if isinstance(given, str | bytes):
            raise TypeError
    except (TypeError, ValueError):
        raise ConfigError(
            f"logit_bias={quoted(given, 60)} must map token ids to numbers, as in {{1234: -5.0}}"
        ) from None
    bias: Any
    for token, bias in pairs:
        whole("logit_bias: token id", token, 0)
        number = isinstance(bias, Real) and not isinstance(bias, bool)
        if not number or not (-MOST_BIAS <= bias <= MOST_BIAS or bias == -math.inf):
            raise ConfigError(
                f"logit_bias: {quoted(bias, 40)} of id {token} must be a number from -{MOST_BIAS:g} to {MOST_BIAS:g}, "
                "or -inf for never"
            )
    return tuple((int(token), float(bias)) for token, bias in pairs) or None


def _ids(given: Any) -> tuple[int, ...]:
    """`stop_token_ids`, each once, ascending."""
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise ConfigError(f"stop_token_ids={quoted(given, 60)} must be a list of token ids, as in [2, 7]")
    return tuple(sorted({whole("stop_token_ids: id", token, 0) for token in given}))


def params_of(params: Any, count: int) -> list[SamplingParams]:
    """One SamplingParams an item. Raises ConfigError for anything else, and for another number."""
    shared = SamplingParams() if params is None else params
    if isinstance(shared, SamplingParams):
        return [shared] * count
    if not isinstance(shared, Sequence) or not all(isinstance(one, SamplingParams) for one in shared):
        raise ConfigError(f"params={quoted(shared, 80)} must be a SamplingParams or a list of them")
    if len(shared) != count:
        raise ConfigError(f"params has {len(shared)} entries for {count} prompts; give one for all, or one a prompt")
    return list(shared)
