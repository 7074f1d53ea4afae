"""The evaluation's decoder, through the engine: what the model card reports is what a user of `LLM` gets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from dllm.engine.document import Hole, Part
from dllm.llm import LLM
from dllm.params import SamplingParams
from tools.train_tiny.data import TinySequence
from tools.train_tiny.evaluate import Decoder, Filled, Rule


def engine_decoder(llm: LLM, end: int, *, cache: str = "none") -> Decoder:
    """A `Decoder` (see `evaluate.score`) that fills rows with `LLM.generate` and `LLM.infill`, greedily."""

    def run(rows: list[TinySequence], rule: Rule) -> list[Filled]:
        filled: list[Filled] = [Filled([], 0)] * len(rows)
        for document in (False, True):
            chosen = [i for i, row in enumerate(rows) if row.document is document]
            params = [_params(rows[i], rule, cache, seed=i) for i in chosen]
            if not chosen:
                continue
            if document:
                outputs = llm.infill([_parts(rows[i]) for i in chosen], params, max_batch_size=len(chosen))
            else:
                prompts = [rows[i].ids[: rows[i].region[0]] for i in chosen]
                outputs = llm.generate(prompts, params, max_batch_size=len(chosen))
            for i, out in zip(chosen, outputs, strict=True):
                ids = out.token_ids if document else out.prompt_token_ids + out.token_ids
                # an END and what stood behind it have left the canvas; the checker reads up to the first END
                filled[i] = Filled(ids + [end] * (len(rows[i].ids) - len(ids)), out.stats.forwards)
        return filled

    return run


def _params(row: TinySequence, rule: Rule, cache: str, seed: int) -> SamplingParams:
    region = len(row.region)
    if rule.threshold is not None:
        scheduler = f"threshold({rule.threshold})"
    else:
        scheduler = f"topk({rule.k or region}, by={rule.order})"
    # a document's block spans fixed text too, so the canvas is what covers all of its holes at once
    return SamplingParams(
        max_new_tokens=region, block_length=rule.block or len(row.ids), scheduler=scheduler, cache=cache, seed=seed
    )


def _parts(row: TinySequence) -> Sequence[Part]:
    """Fixed ids and holes of a document, in turn."""
    holes = set(row.region)
    parts: list[Part] = []
    for hole, positions in groupby(range(len(row.ids)), key=holes.__contains__):
        span = list(positions)
        parts.append(Hole(len(span)) if hole else [row.ids[p] for p in span])
    return parts
