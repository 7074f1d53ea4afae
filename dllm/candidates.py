"""Documents whose holes leave their widths open: several widths are denoised, and one is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dllm.document import Piece, expand
from dllm.engine import Engine
from dllm.errors import GrammarError
from dllm.outputs import Hole, RequestOutput, Stats
from dllm.params import SamplingParams
from dllm.requests import Answer, Document
from dllm.row import Row

LEAST = 1e-45
"""A probability of 0 is one below this, which is the least that float32 holds."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """One document with several widths of its holes, of which the one is kept that the model is surest of.

    The seed is the same for all, so that each is what it would be on its own.
    """

    documents: list[Document]

    def output(self) -> RequestOutput:
        """The candidate with the highest `sureness`; of equals, the shortest. Its `stats` count all that ran."""
        best = max(self.documents, key=lambda one: (sureness(one.row), -one.row.total))
        output = best.output()
        return replace(output, stats=_all_told(output.stats, [one.row for one in self.documents]))


Request = Answer | Document | Candidates


def rows_of(request: Request) -> list[Row]:
    """What is denoised for a request."""
    return [one.row for one in request.documents] if isinstance(request, Candidates) else [request.row]


def fill(engine: Engine, pieces: Sequence[Piece], params: SamplingParams, seed: int) -> Document | Candidates:
    """The request for a document; widths on which no text of the grammar is found to fit drop out.

    Raises:
        GrammarError: no width is left.
        DllmError: what `Document.make` raises.
    """
    variants = expand(pieces)
    if len(variants) == 1:
        return Document.make(engine, variants[0], params, seed)
    documents, lost = list[Document](), 0.0
    for variant in reversed(variants):  # the widest first: its errors are the ones to report
        began = time.perf_counter()
        try:
            documents.append(Document.make(engine, variant, params, seed, advise=False))
        except GrammarError:
            lost += time.perf_counter() - began
    if not documents:
        raise _none_fits(engine, pieces, variants, params)
    documents[0].row.constraint_seconds += lost
    return documents[0] if len(documents) == 1 else Candidates(documents[::-1])


def _none_fits(
    engine: Engine, pieces: Sequence[Piece], variants: Sequence[list[Piece]], params: SamplingParams
) -> GrammarError:
    """The error for a document of which all variants were refused; advice takes time, so it is sought once."""
    try:
        Document.make(engine, variants[-1], params, 0)
    except GrammarError as error:
        return GrammarError(f"of the widths tried for {_widths(pieces, variants)}, none fits; at the widest: {error}")
    raise AssertionError("what was refused is refused again")


def sureness(row: Row) -> float:
    """Mean log-probability (natural) of a row's tokens, each at the step that committed it for good.

    It is that of `TraceStep.confidences`: after guidance and a grammar's bans, before the temperature.
    """
    kept: dict[int, float] = {}
    for step in row.trace.steps:  # what was revoked has been committed again by the end
        kept.update(zip(step.positions, step.confidences, strict=True))
    # a scheduler may have cut the canvas
    standing = [math.log(max(p, LEAST)) for position, p in kept.items() if position < len(row.canvas)]
    # rounded, so that equals are equal: float32 holds no more, and a mean of equal numbers may be off by its last bit
    return round(math.fsum(standing) / max(1, len(standing)), 9)


def _all_told(kept: Stats, rows: Sequence[Row]) -> Stats:
    """The stats of the one that is kept, with the costs of all."""
    return replace(
        kept,
        forwards=sum(row.step for row in rows),
        refreshes=sum(row.refreshes for row in rows),
        positions_fed=sum(row.fed for row in rows),
        slots=sum(row.slots for row in rows),
        # rows of one round hold the very same duration: time that they shared passed once
        seconds=math.fsum({step.seconds for row in rows for step in row.trace.steps}),
        grammar_seconds=sum(row.constraint_seconds for row in rows),
    )


def _widths(pieces: Sequence[Piece], variants: Sequence[Sequence[Piece]]) -> str:
    """What was tried for each range, as in `<mask:1-3> (1, 2, 3)`."""
    lists = dict[str, str]()
    for hole, *tried in zip(pieces, *variants, strict=True):
        if isinstance(hole, Hole) and hole.width is None:
            widths = (str(one.width) for one in tried if isinstance(one, Hole))
            lists[f"<mask:{hole.min}-{hole.max}>"] = ", ".join(widths)
    return " and ".join(f"{name} ({listed})" for name, listed in lists.items())
