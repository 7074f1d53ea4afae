"""What comes back from a request, whole or step by step, and what is left of one that was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from dllm.errors import ConfigError, DllmError, GrammarError
from dllm.trace import Alternatives, Trace, TraceStep

FinishReason = Literal["stop", "length"]


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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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
        parser: reads the text for `parsed`, under a grammar that has one (`Grammar.parser`). No part of what is
            compared.
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
    parser: Callable[[str], Any] | None = field(default=None, compare=False)

    @property
    def samples(self) -> tuple[RequestOutput, ...]:
        """All `n` samples, in the order of their seeds."""
        return (self, *self.more)

    @property
    def logprobs(self) -> list[Alternatives | None] | None:
        """For each of `token_ids`: the token and its log-probability when it was committed, then those of the most
        probable ids at that step; None for a token that was given. None altogether unless `SamplingParams.logprobs`.
        """
        if self.trace.params.get("logprobs") is None:
            return None
        found, first = self.trace.logprobs, self.trace.prompt_length
        return [found.get(first + index) for index in range(len(self.token_ids))]

    @property
    def parsed(self) -> Any:
        """What the text stands for, read anew each time: a value of the type that the grammar was made of, the JSON
        value under another JSON schema, the call under `Grammar.from_tools`; None where there is nothing to read.

        Raises:
            GrammarError: the text does not stand for a value of the type: JSON Schema cannot say all that validators
                check; or it holds an integer, or is nested, beyond what Python reads.
        """
        if self.parser is None:
            return None
        try:
            return self.parser(self.text)
        except DllmError:
            raise
        except (ValueError, RecursionError) as error:
            raise GrammarError(
                "the text belongs to its grammar, but cannot be read: a schema says less than those who read it check; "
                f"look at .text, or say more in the schema. {error}"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it, without the trace: the first sample, and under `samples` all of several."""
        names = ["text", "token_ids", "prompt_token_ids", "finish_reason", "holes", "seed"]
        names += ["logprobs"] if self.logprobs is not None else []
        samples = [
            {**{name: getattr(sample, name) for name in names}, "stats": sample.stats.to_dict()}
            for sample in self.samples
        ]
        return samples[0] | ({"samples": samples} if len(samples) > 1 else {})

    def _repr_html_(self) -> str | None:
        """For notebooks: the canvas of the first sample, coloured by step."""
        stats = self.stats
        counts = f"{stats.tokens} tokens in {stats.forwards} forwards, {stats.tokens_per_forward:.2f} a forward"
        samples = f"; the first of {len(self.samples)} samples" if self.more else ""
        try:
            return self.trace.drawn(f"{self.finish_reason}: {counts}, {stats.seconds:.2f} s{samples}")
        except ConfigError:
            return None

    def __repr__(self) -> str:
        said = self.text if self.text or not self.token_ids else self.token_ids
        return (
            f"<RequestOutput {said!r:.60}, {self.finish_reason}, {self.stats.tokens} tokens in {self.stats.forwards} "
            f"forwards{f', {len(self.samples)} samples' if self.more else ''}>"
        )


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during `LLM.generate`, `chat` or `infill`.

    Attributes:
        outputs: an entry a prompt, in their order: its RequestOutput if it was finished, the error it ended with under
            `on_error="return"`, else None. Of several samples (`n`), those that were finished.
    """

    def __init__(self, outputs: Sequence[RequestOutput | DllmError | None]) -> None:
        finished = sum(output is not None for output in outputs)
        super().__init__(f"interrupted with {finished} of {len(outputs)} requests finished; they are in .outputs")
        self.outputs = list(outputs)

    def __reduce__(self) -> tuple[type[Interrupted], tuple[object]]:
        return Interrupted, (self.outputs,)  # from a worker process too


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(TraceStep):
    """What one step changed, as `LLM.stream` yields it: a `TraceStep`, and what has become of the text.

    Attributes:
        text: everything settled left of the first mask, without an unfinished last character. It only grows, but for a
            stop string, which takes itself back when it is complete, and for a scheduler that edits or masks again.
        firm: of the text, what no later step changes, but for a stop string that is not complete.
        canvas: ids of the whole canvas now, the mask id where nothing is committed.
        output: the finished request, in the last event only.
    """

    text: str
    firm: str
    canvas: list[int]
    output: RequestOutput | None = None

    @classmethod
    def of(cls, step: TraceStep, *, text: str, firm: str, canvas: list[int], output: RequestOutput | None) -> StepEvent:
        """A step of a trace, as it happens."""
        kept = {one.name: getattr(step, one.name) for one in fields(step)}
        return cls(**kept, text=text, firm=firm, canvas=canvas, output=output)
