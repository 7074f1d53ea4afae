"""What comes back from a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dllm.arguments import whole
from dllm.errors import ConfigError
from dllm.trace import Trace

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Hole:
    """A span of masked tokens, to be filled by `LLM.infill`.

    `Hole(12)` is exactly 12 tokens. `Hole(min=3, max=12)` is 3 to 12: up to 8 widths are tried, and the one is kept
    whose tokens the model is surest of (see `LLM.infill`).

    Attributes:
        width: tokens, or None where the number is left open; `Hole(min=3, max=3)` is `Hole(3)`.
        min, max: tokens at least and at most; both are `width` where there is one.

    Raises:
        ConfigError: no whole numbers of at least 1, max below min, one of the two alone, or a width and a range.
    """

    width: int | None
    min: int = field(init=False)  # so that dataclasses.replace(hole, width=...) works
    max: int = field(init=False)

    def __init__(self, width: int | None = None, *, min: int | None = None, max: int | None = None) -> None:
        least, most = _range(width, min, max)
        object.__setattr__(self, "width", least if least == most else None)
        object.__setattr__(self, "min", least)
        object.__setattr__(self, "max", most)

    def __repr__(self) -> str:
        return f"Hole(min={self.min}, max={self.max})" if self.width is None else f"Hole(width={self.width})"


def _range(width: Any, least: Any, most: Any) -> tuple[int, int]:
    """Fewest and most tokens of a hole; raises ConfigError as `Hole` says."""
    if width is not None:
        if (least, most) != (None, None):
            raise ConfigError(
                f"Hole width={width!r} with min={least!r}, max={most!r}: give a width, as in Hole(12), or a range, as "
                "in Hole(min=3, max=12)"
            )
        width = whole("Hole width", width, 1)
        return width, width
    if least is None or most is None:
        raise ConfigError(
            f"Hole min={least!r}, max={most!r}: give both, as in Hole(min=3, max=12), or a width, as in Hole(12)"
        )
    least, most = whole("Hole min", least, 1), whole("Hole max", most, 1)
    if most < least:
        raise ConfigError(f"Hole max={most} must be at least min={least}; swap them, or raise max")
    return least, most


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Costs of one row.

    Where a document leaves the width of a hole open, `forwards`, `refreshes`, `positions_fed`, `slots`, `seconds` and
    `grammar_seconds` count all candidates that ran, so a forward over a batch counts for every candidate in it, but its
    time counts once; `tokens` and `witness_tokens` are those of the one that was kept.

    Attributes:
        forwards: forwards the row took part in (an unconditional copy for CFG is not counted again).
        refreshes: forwards that recomputed all that the cache recomputes: the whole canvas, but for what it drops or
            keeps for good.
        positions_fed: canvas positions that went through the network, over all forwards (CFG's copy not counted again).
        tokens: committed answer tokens before EOS (all of them with `ignore_eos`; hole tokens in infilling).
        slots: positions filled, EOS included, and on a block-causal model what follows the answer in its last block.
        seconds: wall time of the rounds the row took part in.
        grammar_seconds: of that, spent on the grammar.
        witness_tokens: tokens that the grammar chose, since none of the model's own proposals could stand.
        cache: the cache used.
    """

    forwards: int = 0
    refreshes: int = 0
    positions_fed: int = 0
    tokens: int = 0
    slots: int = 0
    seconds: float = 0.0
    grammar_seconds: float = 0.0
    witness_tokens: int = 0
    cache: str = "none"

    @property
    def tokens_per_forward(self) -> float:
        return self.tokens / self.forwards if self.forwards else 0.0

    @property
    def slots_per_forward(self) -> float:
        """What ParallelBench calls tokens per step."""
        return self.slots / self.forwards if self.forwards else 0.0

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, float | int | str]:
        names = (
            *("forwards", "refreshes", "tokens", "slots", "tokens_per_forward", "slots_per_forward"),
            *("seconds", "tokens_per_second", "grammar_seconds", "witness_tokens", "cache", "positions_fed"),
        )
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutput:
    """One finished request.

    Attributes:
        text: the answer, without EOS and what follows; for `infill` the whole document. "" without a tokenizer.
        token_ids: the answer's ids, without EOS; for `infill` the whole canvas.
        prompt_token_ids: what stood in front of the answer; for `infill` the canvas as given, masks included.
        finish_reason: "stop" = EOS, stop string or all holes filled; "length" = the answer is full.
        stats: costs.
        trace: what was committed when.
        holes: the filled spans as text (`infill` only).
        seed: of this sample's noise.
        more: the other samples when `n` > 1; `samples` holds all of them.
    """

    text: str
    token_ids: list[int]
    prompt_token_ids: list[int]
    finish_reason: FinishReason
    stats: Stats
    trace: Trace
    holes: list[str] = field(default_factory=list)
    seed: int = 0
    more: tuple[RequestOutput, ...] = ()

    @property
    def samples(self) -> tuple[RequestOutput, ...]:
        """All `n` samples, in the order of their seeds."""
        return (self, *self.more)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent:
    """What one step changed, as `LLM.stream` yields it.

    Attributes:
        positions, token_ids, confidences, revoked: as in `TraceStep`.
        text: everything settled left of the first mask, without an unfinished last character. It only grows, but for a
            stop string, which takes itself back when it is complete, and for a scheduler that edits.
        canvas: ids of the whole canvas now, the mask id where nothing is committed.
        output: the finished request, in the last event only.
    """

    positions: tuple[int, ...]
    token_ids: tuple[int, ...]
    confidences: tuple[float, ...]
    revoked: tuple[int, ...]
    text: str
    canvas: list[int]
    output: RequestOutput | None = None
