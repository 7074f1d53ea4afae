"""What it costs to generate under large schemas, and whether what comes out is valid: see `json_schemas.py --generate`.

The model is the worst there is: random logits, which know nothing of JSON. Vocabulary and tokenizer are those of
`tiny`, and all the rest is the engine, one token a step at a temperature of 1.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jsonschema.validators import Draft202012Validator, validator_for
from torch import Tensor

from benchmarks.schema_limits import cpu_limit, spread
from dllm import LLM, DllmError, Grammar, GrammarError, SamplingParams

ROOM = 1.3
"""Tokens of a canvas, for each of the instance that it could hold."""
SCALE, STEP = 3.0, 7
"""Of the random logits: their width, and by how many ids each position's are another's."""

Item = dict[str, Any]


class RandomModel:
    """A `Denoiser` that says the same at every step: normal logits for each position. They take next to no time."""

    def __init__(self, like: LLM, length: int, seed: int):
        self.vocab_size, self.mask_token_id = like.model.vocab_size, like.model.mask_token_id
        self.eos_token_ids = like.model.eos_token_ids
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(self.vocab_size + STEP * length, generator=generator) * SCALE
        self.table = drawn.unfold(0, self.vocab_size, STEP)

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """`[B, L, V]` for `[B, L]`."""
        return self.table[: input_ids.shape[1]].expand(len(input_ids), -1, -1)


@dataclass(frozen=True)
class Run:
    """One text under one schema.

    Attributes:
        index: of the schema in its file.
        room: tokens of the canvas.
        tokens: committed, EOS and what an EOS has cut off later included.
        seconds: of CPU time for them, without those that the grammar took to be made ready for the vocabulary.
        witnesses: tokens that the grammar had to choose.
        prepared: CPU seconds of that: the grammar's tables.
        grammar_seconds: wall time in the grammar's search, as the engine counts it.
        refused: its tables outgrow a limit, so that it is one of those that do not compile.
        failure: why there is no text, if there is none.
        over: the time ran out.
        invalid: what `jsonschema` says against the text, formats included.
        unjudged: why `jsonschema` has no verdict, if it has none.
    """

    index: int
    source: str
    room: int
    tokens: int = 0
    seconds: float = 0.0
    prepared: float = 0.0
    grammar_seconds: float = 0.0
    witnesses: int = 0
    text: str = ""
    refused: str | None = None
    failure: str | None = None
    over: bool = False
    invalid: str | None = None
    unjudged: str | None = None


def largest(items: Sequence[Item]) -> Iterator[tuple[int, Item, Grammar]]:
    """From the longest schema down, those that compile and have a valid instance; with their indices."""
    for at in sorted(range(len(items)), key=lambda at: -len(json.dumps(items[at]["schema"]))):
        if items[at].get("valid"):
            try:
                yield at, items[at], Grammar.from_json_schema(items[at]["schema"])
            except GrammarError:
                continue


def room_for(like: LLM, instances: Iterable[Any]) -> int:
    """Tokens of the canvas: those of the longest instance, and some more."""
    assert like.tokenizer is not None
    return int(ROOM * max(len(like.tokenizer.encode(json.dumps(one))) for one in instances))


def generated(like: LLM, at: int, item: Item, grammar: Grammar, limit: float, block: int | None, seed: int) -> Run:
    """A text under the schema, and what became of it. `block`: positions denoised at a time; None: all."""
    room = room_for(like, item["valid"])
    llm = LLM(RandomModel(like, room + 1, seed), tokenizer=like.tokenizer)
    params = SamplingParams(
        grammar=grammar,
        max_new_tokens=room,
        block_length=min(room, block or room),
        scheduler="topk(1)",
        temperature=1.0,
        seed=seed,
    )
    prompt = [like.model.eos_token_ids[0]]
    began = ready = time.process_time()
    made: dict[str, Any] = {"index": at, "source": item["source"], "room": room}
    try:
        with cpu_limit(limit) as clock:
            try:
                grammar.compile(llm.vocabulary)
            except GrammarError as error:
                return Run(**made, refused=str(error))
            ready = time.process_time()
            output = llm.generate(prompt, params)
        made["tokens"] = sum(len(step.positions) for step in output.trace.steps)
        made["witnesses"], made["grammar_seconds"] = output.stats.witness_tokens, output.stats.grammar_seconds
        made["text"] = output.text
    except Exception as error:
        if not clock.over and not isinstance(error, DllmError):
            raise
        made |= {"failure": f"{type(error).__name__}: {error}", "over": clock.over}
    spent = time.process_time()
    made |= {"prepared": ready - began, "seconds": spent - ready}
    if "text" in made:
        made |= dict(zip(("invalid", "unjudged"), judged_text(item["schema"], made["text"]), strict=True))
    return Run(**made)


def judged_text(schema: Any, text: str) -> tuple[str | None, str | None]:
    """What `jsonschema` has against a text, and why it cannot tell; both None where it is content."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"no JSON: {error}", None
    validator = validator_for(schema, default=Draft202012Validator)
    try:
        wrong = next(iter(validator(schema, format_checker=validator.FORMAT_CHECKER).iter_errors(value)), None)
    except Exception as error:  # a pattern that Python's re does not know, a reference to elsewhere, a bad schema
        return None, f"{type(error).__name__}: {error}"
    return (None if wrong is None else f"{wrong.json_path}: {wrong.message}"), None


def warm(like: LLM) -> None:
    """Compile the loops, or load them, which is no schema's cost."""
    grammar = Grammar.from_json_schema({"type": "object", "properties": {"a": {"type": "integer"}}})
    item = {"source": "", "schema": {}, "valid": [{"a": 1, "b": ["c"]}]}
    for seed in range(3):
        generated(like, 0, item, grammar, 600.0, None, seed)


def report(runs: Sequence[Run], slow: float) -> Iterator[str]:
    """The lines to print."""
    done = [run for run in runs if run.failure is None]
    costs = [1000 * run.seconds / run.tokens for run in done if run.tokens]
    searched = [1000 * run.grammar_seconds / run.tokens for run in done if run.tokens]
    tokens = sum(run.tokens for run in done)
    longest = max(runs, key=lambda run: run.seconds)
    yield "| generation | |"
    yield "|---|---|"
    yield f"| schemas | {len(runs)} |"
    yield f"| tokens of a canvas, median / p95 / most | {spread([run.room for run in runs], 0)} |"
    yield f"| CPU ms a token, median / p95 / most | {spread(costs)} |"
    yield f"| of that in the grammar (wall) | {spread(searched)} |"
    yield f"| CPU ms to make a grammar ready | {spread([1000 * run.prepared for run in runs], 0)} |"
    yield f"| longest run | {longest.seconds:.1f} s (schema {longest.index}) |"
    yield f"| over {slow:g} s | {sum(run.over or run.seconds > slow for run in runs)} |"
    yield f"| invalid by jsonschema | {sum(run.invalid is not None for run in done)} |"
    yield f"| jsonschema cannot tell | {sum(run.unjudged is not None for run in done)} |"
    yield f"| undecided or failed | {sum(run.failure is not None and not run.over for run in runs)} |"
    yield f"| tokens that the grammar chose | {100 * sum(run.witnesses for run in done) / max(1, tokens):.2f} % |"
    yield ""
    reasons = Counter(run.failure for run in runs if run.failure is not None and not run.over)
    yield from (f"failed, {count}: {why:.300}" for why, count in reasons.most_common())
    yield from (f"invalid: {run.index} {run.source}: {run.invalid:.300}" for run in done if run.invalid)
    yield from (f"not judged: {run.index} {run.source}: {run.unjudged:.200}" for run in done if run.unjudged)


def line(run: Run) -> str:
    """What is told of a run as soon as it is over."""
    each = 1000 * run.seconds / run.tokens if run.tokens else float("nan")
    if run.refused is not None:
        return f"{run.index}\t{run.source}\trefused: {run.refused:.160}"
    end = "over" if run.over else run.failure or ("INVALID" if run.invalid else "valid")
    return (
        f"{run.index}\t{run.source}\tcanvas {run.room}\ttokens {run.tokens}\t{each:.1f} ms each\t{run.seconds:.1f} s"
        f"\tready in {run.prepared:.2f} s\twitnesses {run.witnesses}\t{end:.160}"
    )


def generation(items: Sequence[Item], count: int, limit: float, block: int | None, seed: int) -> Iterator[str]:
    """The lines to print: one a run, then the table."""
    torch.set_num_threads(1)  # threads that wait for each other take CPU time too
    like = LLM("tiny")
    warm(like)
    runs: list[Run] = []
    for at, item, grammar in largest(items):
        run = generated(like, at, item, grammar, limit, block, seed + at)
        yield line(run)
        runs += [run] if run.refused is None else []
        if len(runs) == count:
            break
    if runs:
        yield from ("", *report(runs, limit))
