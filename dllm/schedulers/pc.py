"""PC-Sampler (arXiv 2508.13021): early positions first, and rare words before frequent ones."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.errors import ConfigError, quoted
from dllm.hub import TINY, resolve_folder, said
from dllm.models.base import folder_of
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import Setting, StepView

TABLES = Path(__file__).parent / "frequencies"
LEAST = 1e-9
"""Added to a frequency before its logarithm (the published code)."""


@register("pc")
@dataclass(frozen=True)
class PositionPrior(Scheduler):
    """Commit the `k` active positions of highest exp(-decay * i) * min(-p ln f, cap): i is the offset in the block, p
    the proposal's probability, f how often its token occurs in a corpus.

    The published runs commit one token a step, in one block of the answer's length.

    Args:
        decay: of the position; 0.25 for most tasks of the paper, 0 for Sudoku, 1 for Countdown.
        cap: the most that probability and rareness together count.
        table: auto = the one that comes with dllm for this model; flat = all tokens are equally frequent, which leaves
            confidence and position; or the path of a JSON file by `scripts/token_frequencies.py`, whose format is that
            of the published tables.
        k: tokens a step.
    """

    decay: float = 0.25
    cap: float = 10.0
    table: str = "auto"
    k: int = 1
    frequencies: Tensor | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        in_range("pc: decay", self.decay, 0.0)
        in_range("pc: cap", self.cap, 0.0)
        whole("pc: k", self.k, 1)
        if not isinstance(self.table, str | os.PathLike):
            raise ConfigError(f"pc: table={quoted(self.table)} must be auto, flat, or the path of a .json file")

    @property
    def files(self) -> tuple[str, ...]:
        return () if self.table in ("auto", "flat") else ("table",)

    def bind(self, setting: Setting) -> Scheduler:
        bound = replace(self)
        object.__setattr__(bound, "frequencies", self._frequencies(setting))
        return bound

    def _frequencies(self, setting: Setting) -> Tensor:
        size = setting.model.vocab_size
        if self.table == "flat":
            return torch.full((size,), 1 / size, dtype=torch.float64)
        if self.table != "auto":
            return load_frequencies(Path(self.table), size)
        folder = folder_of(setting.model)
        if folder is None or folder.resolve() != resolve_folder(TINY).resolve():
            raise ConfigError(
                "pc: table='auto' finds no table for this model, only for tiny; count one with "
                "`python scripts/token_frequencies.py --model FOLDER` and give pc(table=PATH), or pc(table=flat)"
            )
        return load_frequencies(TABLES / "tiny.json", size)

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        assert self.frequencies is not None, "the engine binds a scheduler before its first row"
        rareness = -(self.frequencies[view.token_ids] + LEAST).log()
        prior = (-self.decay * (view.positions - view.start).double()).exp()
        return view.best(prior * (view.confidence * rareness).clamp(max=self.cap), self.k), state


def load_frequencies(path: Path, size: int) -> Tensor:
    """`[size]` float64: each token's share of the text; what it does not hold counts as if it were there once.

    Raises:
        ConfigError: names the file and what is wrong with it.
    """
    try:
        written: Any = json.loads(path.read_text())
        total, table = written["num_token"], written["p_baseline_dict"]
        counts = {int(token): whole(f"the count of {token}", count, 0) for token, count in table.items()}
        whole("num_token", total, max(1, sum(counts.values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ConfigError(
            f"pc: table={quoted(str(path))} cannot be read: {said(error)}; make one with scripts/token_frequencies.py"
        ) from error
    outside = [token for token in counts if not 0 <= token < size]
    if outside:
        raise ConfigError(
            f"pc: table={quoted(str(path))} counts the token {outside[0]}, and this model has {size}; it is another "
            "tokenizer's: make one with scripts/token_frequencies.py"
        )
    share = torch.full((size,), 1 / total, dtype=torch.float64)
    if counts:
        share[torch.tensor([*counts])] = torch.tensor([*counts.values()], dtype=torch.float64) / total
    return share
