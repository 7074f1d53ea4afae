"""What a grammar costs where proposals are refused, and what it does to what the model had right: see
`grammar_speed.py --noisy`.

The model is an oracle with errors: at each mask it proposes the text's own token, or, with the probability `error`,
another token of the same text, and then its own token second. How sure it is says nothing of which is which. The
engine's own choice (`engine.admission`) commits what can stand of the four surest in a block of 32 masks.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from benchmarks.schema_limits import spread
from dllm import GrammarError
from dllm.engine.admission import admitted, another
from dllm.engine.constraint import Constraint
from dllm.engine.foresight import look_ahead
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.tables.compiled import CompiledGrammar

AT_ONCE, BLOCK = 4, 32
"""Tokens proposed a step, and masks that are looked at."""
SPANS, SCATTERED = (1, 2, 3), (0.25, 0.5, 0.75)
"""Canvases: so many spans of a text masked, or this share of its tokens, each on its own."""
ERRORS = (0.03, 0.1)
OTHERS = 6
"""Tokens of the text that the oracle ranks behind its own."""
AGAIN = 0.3
"""How sure the oracle is of the next token in its ranking, for each before it that is not allowed."""


@dataclass
class Run:
    """One canvas, filled.

    Attributes:
        steps: CPU seconds of the grammar's part of each.
        right: masks that hold the text's own token at the end.
        wrong: masks at which the oracle's first proposal was another token.
    """

    name: str
    masks: int
    steps: list[float] = field(default_factory=list)
    right: int = 0
    wrong: int = 0

    @property
    def milliseconds(self) -> float:
        """Of CPU time, a token."""
        return 1000 * sum(self.steps) / max(1, self.masks)


class Oracle:
    """What is proposed at each mask of a text, the surest first."""

    def __init__(self, ids: Sequence[int], masks: Sequence[int], error: float, rng: random.Random) -> None:
        self.ranking: dict[int, list[int]] = {}
        for at in masks:
            others = rng.choices(ids, k=OTHERS)
            self.ranking[at] = [others[0], ids[at], *others[1:]] if rng.random() < error else [ids[at], *others]
        self.sureness = {at: rng.random() for at in masks}


def masked(ids: Sequence[int], pattern: float, rng: random.Random) -> list[int]:
    """Positions of the masks."""
    if pattern in SPANS:
        ends = sorted(rng.sample(range(len(ids) + 1), 2 * int(pattern)))
        return [at for low, high in zip(ends[::2], ends[1::2], strict=True) for at in range(low, high)]
    return [at for at in range(len(ids)) if rng.random() < pattern]


def next_allowed(rest: Iterator[int], allowed: torch.Tensor) -> int | None:
    """The next token of those left that is allowed."""
    return next((token for token in rest if allowed[0, token]), None)


def filled(compiled: CompiledGrammar, ids: Sequence[int], masks: Sequence[int], oracle: Oracle, name: str) -> Run:
    """The canvas filled, four tokens a step where they can stand."""
    run = Run(name, len(masks), wrong=sum(oracle.ranking[at][0] != ids[at] for at in masks))
    canvas = Canvas(tuple(MASK if at in oracle.ranking else token for at, token in enumerate(ids)))
    state: Constraint = GrammarConstraint.start(compiled, canvas, 0, ())
    left, filling, blind = list(masks), list(ids), 0
    while left:
        block = left[:BLOCK]
        began = time.process_time()
        allowed = state.allowed(torch.tensor(block)).numpy()
        proposals, sure = dict[int, int](), dict[int, float]()
        for row, at in enumerate(block):
            ranking = oracle.ranking[at]
            fine = [number for number, token in enumerate(ranking) if allowed[row, token]]
            proposals[at] = ranking[fine[0]] if fine else state.witness(at)
            sure[at] = oracle.sureness[at] * AGAIN ** (fine[0] if fine else OTHERS)
        state, doubtful, blind = look_ahead(state, sorted(proposals.items()), blind)
        chosen = sorted(block, key=lambda at: -sure[at])[:AT_ONCE]
        chosen = [at for at in chosen if at not in doubtful] or chosen[:1]
        state, taken = admitted(state, [(at, proposals[at]) for at in chosen])
        if not taken:
            first = chosen[0]
            rest = iter(token for token in oracle.ranking[first] if token != proposals[first])
            state, proposals[first], _ = another(state, first, partial(next_allowed, rest))
            taken = [0]
        run.steps.append(time.process_time() - began)
        done = {chosen[index] for index in taken}
        left = [at for at in left if at not in done]
        for at in done:
            filling[at] = proposals[at]
    run.right = sum(filling[at] == ids[at] for at in masks)
    return run


def measured(
    compiled: CompiledGrammar, texts: Sequence[tuple[str, Sequence[int]]], error: float, pattern: float
) -> tuple[list[Run], int]:
    """A run for each text; and how many canvases were given up from the start."""
    runs, lost = [], 0
    for name, ids in texts:
        rng = random.Random(f"{name}{pattern}{error}")
        masks = masked(ids, pattern, rng)
        if masks:
            try:
                runs.append(filled(compiled, ids, masks, Oracle(ids, masks, error, rng), name))
            except GrammarError:
                lost += 1
    return runs, lost


def table(compiled: CompiledGrammar, texts: Sequence[tuple[str, Sequence[int]]]) -> Iterator[str]:
    """The lines to print, for texts as (name, ids)."""
    torch.set_num_threads(1)  # threads that wait for each other take CPU time too
    yield "| errors | canvas | texts | CPU ms a token | CPU ms a step | right without | right with | not begun |"
    yield "|---|---|---|---|---|---|---|---|"
    for error in ERRORS:
        every, given_up = list[Run](), 0
        for pattern in (*SPANS, *SCATTERED):
            runs, lost = measured(compiled, texts, error, pattern)
            label = f"{pattern} spans" if pattern in SPANS else f"{100 * pattern:g} % masked"
            yield row(error, label, runs, lost)
            every, given_up = [*every, *runs], given_up + lost
        yield row(error, "all", every, given_up)


def row(error: float, label: str, runs: Sequence[Run], lost: int) -> str:
    """Of the table; times as median / 95th percentile / most, shares of the masks that hold the text's own token."""
    masks = max(1, sum(run.masks for run in runs))
    without, right = 1 - sum(run.wrong for run in runs) / masks, sum(run.right for run in runs) / masks
    steps = [1000 * second for run in runs for second in run.steps]
    return (
        f"| {100 * error:g} % | {label} | {len(runs)} | {spread([run.milliseconds for run in runs])} | {spread(steps)} "
        f"| {without:.3f} | {right:.3f} | {lost} |"
    )
