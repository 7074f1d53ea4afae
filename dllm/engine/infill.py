"""`infill`: documents with holes. Where a hole leaves its width open, several are denoised, and one is kept."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dllm.engine.answer import Answer, Document, Setup
from dllm.engine.document import Hole, Piece, expand, parse_parts, parse_template
from dllm.engine.row import Row
from dllm.engine.text_model import TextModel
from dllm.errors import ConfigError, GrammarError, PromptError, quoted
from dllm.outputs import RequestOutput, Stats
from dllm.params import SamplingParams

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
        best = max(self.documents, key=lambda one: (sureness(one.row), -one.row.view.total))
        output = best.output()
        return replace(output, stats=_all_told(output.stats, [one.row for one in self.documents]))


Sample = Answer | Document | Candidates


def rows_of(sample: Sample) -> list[Answer | Document]:
    """What is denoised for a sample, a row each."""
    return [*sample.documents] if isinstance(sample, Candidates) else [sample]


@dataclass(frozen=True, slots=True)
class DocumentDraft:
    """A checked request to fill a document. It waits for its turn without a canvas: its pieces, four bytes a token."""

    setup: Setup
    pieces: list[Piece]
    fixed: list[array[int]]

    @classmethod
    def of(cls, engine: TextModel, document: Any, params: SamplingParams) -> DocumentDraft:
        """Everything that can be said without a canvas.

        Raises:
            PromptError: no hole, ids that are illegal, or more of them, holes at their widest, than the context holds.
            ConfigError, CapabilityError: parameters that cannot work in a document, or on this model.
        """
        pieces = parse_template(document) if isinstance(document, str) else parse_parts(document)
        if not any(isinstance(piece, Hole) for piece in pieces):
            raise PromptError(
                "the document has no hole; write <mask:N> in the text, or put Hole(N) among the parts "
                "(a list without a Hole is a list of documents)"
            )
        for name in ("stop", "stop_token_ids"):
            if getattr(params, name):
                said = f"{name}={quoted(getattr(params, name))}"
                raise ConfigError(f"{said} plays no part in infill, whose holes have exact widths; drop it")
        holes = sum(piece.max for piece in pieces if isinstance(piece, Hole))
        engine.check_length(holes, "the document's holes")
        fixed = [array("i", _ids(engine, piece)) for piece in pieces]
        engine.check_length(holes + sum(map(len, fixed)), "the document, holes included,")
        return cls(Setup.of(engine, params), pieces, fixed)

    @property
    def candidates(self) -> int:
        """How many widths are tried."""
        return len(expand(self.pieces))

    @property
    def alike(self) -> tuple[SamplingParams, tuple[Hole | int, ...]] | None:
        """Equal for drafts that all can be put on a canvas if one can, None where each must be tried.

        Without a grammar that is a matter of where the holes lie.
        """
        if self.setup.params.grammar is not None:
            return None
        shape = (
            piece if isinstance(piece, Hole) else len(ids) for piece, ids in zip(self.pieces, self.fixed, strict=True)
        )
        return self.setup.params, tuple(shape)

    def sample(self, seed: int) -> Document | Candidates:
        """The document on its canvases; widths on which no text of the grammar is found to fit drop out.

        Raises:
            GrammarError: no width is left.
        """
        variants = expand(self.pieces)
        if len(variants) == 1:
            return self._document(variants[0], seed)
        documents, lost = list[Document](), 0.0
        for variant in reversed(variants):  # the widest first: its errors are the ones to report
            began = time.perf_counter()
            try:
                documents.append(self._document(variant, seed, advise=False))
            except GrammarError:
                lost += time.perf_counter() - began
        if not documents:
            raise self._none_fits(variants)
        documents[0].row.spend(grammar_seconds=lost)
        return documents[0] if len(documents) == 1 else Candidates(documents[::-1])

    def _document(self, pieces: Sequence[Piece], seed: int, *, advise: bool = True) -> Document:
        return Document.make(self.setup, pieces, [ids.tolist() for ids in self.fixed], seed, advise=advise)

    def _none_fits(self, variants: Sequence[list[Piece]]) -> GrammarError:
        """The error for a document of which all variants were refused; advice takes time, so it is sought once."""
        try:
            self._document(variants[-1], 0)
        except GrammarError as error:
            tried = _widths(self.pieces, variants)
            return GrammarError(f"of the widths tried for {tried}, none fits; at the widest: {error}")
        raise AssertionError("what was refused is refused again")


class Draft(Protocol):
    """A checked request that waits: an `AnswerDraft`, a `DocumentDraft`, or what stands for one."""

    @property
    def alike(self) -> tuple[object, ...] | None:
        """Equal for drafts that all can be put on a canvas if one can; None where each must be tried."""

    def sample(self, seed: int) -> Sample:
        """The request on a canvas."""


def _ids(engine: TextModel, piece: Piece) -> list[int]:
    """Of a fixed piece; none for a hole."""
    if isinstance(piece, Hole):
        return []
    return engine.check_ids(
        engine.encode(piece) if isinstance(piece, str) else piece, f"document part {str(piece)[:40]!r}"
    )


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
        forwards=sum(row.stats.forwards for row in rows),
        refreshes=sum(row.stats.refreshes for row in rows),
        positions_fed=sum(row.stats.positions_fed for row in rows),
        slots=sum(row.stats.slots for row in rows),
        # rows of one round hold the very same duration: time that they shared passed once
        seconds=math.fsum({step.seconds for row in rows for step in row.trace.steps}),
        grammar_seconds=sum(row.stats.grammar_seconds for row in rows),
    )


def _widths(pieces: Sequence[Piece], variants: Sequence[Sequence[Piece]]) -> str:
    """What was tried for each range, as in `<mask:1-3> (1, 2, 3)`."""
    lists = dict[str, str]()
    for hole, *tried in zip(pieces, *variants, strict=True):
        if isinstance(hole, Hole) and hole.width is None:
            widths = (str(one.width) for one in tried if isinstance(one, Hole))
            lists[f"<mask:{hole.min}-{hole.max}>"] = ", ".join(widths)
    return " and ".join(f"{name} ({listed})" for name, listed in lists.items())
