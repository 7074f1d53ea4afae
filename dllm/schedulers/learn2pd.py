"""Learn2PD (arXiv 2509.25188): a trained filter decides which predictions are final."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from dllm.arguments import in_range
from dllm.errors import ConfigError, quoted
from dllm.models.base import folder_of
from dllm.schedulers.base import Scheduler, State, register
from dllm.schedulers.filter import Filter, load_filter, shipped_filter
from dllm.views import CanvasView, Setting, StepView


@register("learn2pd")
@dataclass(frozen=True)
class Learn2PD(Scheduler):
    """Commit what the filter accepts with more than `gamma`, and always the most confident position.

    The filter reads the confidence of every position of the block, committed ones included, before a transform. Blocks
    shorter than the filter are padded with 1.0, longer ones are read in chunks.

    Args:
        filter: auto = the one that comes with dllm for this model; or the path of a .safetensors file written by
            `dllm train-filter`.
        gamma: probability (exclusive); the published scripts use 0.96 for LLaDA and 0.9 for Dream.
    """

    filter: str = "auto"
    gamma: float = 0.96
    network: Filter | None = field(default=None, init=False, repr=False, compare=False)
    measures = frozenset({"raw"})

    def __post_init__(self) -> None:
        in_range("learn2pd: gamma", self.gamma, 0.0, 1.0)
        if not isinstance(self.filter, str | os.PathLike):
            raise ConfigError(
                f"learn2pd: filter={quoted(self.filter)} must be auto, or the path of a .safetensors file"
            )

    @property
    def files(self) -> tuple[str, ...]:
        return () if self.filter == "auto" else ("filter",)

    def bind(self, setting: Setting) -> Scheduler:
        bound = replace(self)
        object.__setattr__(bound, "network", load_filter(self._path(folder_of(setting.model))))
        return bound

    def _path(self, folder: Path | None) -> Path:
        if self.filter != "auto":
            return Path(self.filter)
        shipped = shipped_filter(folder)
        if shipped is None:
            raise ConfigError(
                "learn2pd: filter='auto' finds no filter for this model, only for tiny; train one with "
                "`dllm train-filter --model FOLDER` and give learn2pd(filter=PATH)"
            )
        return shipped

    def wants(self, view: CanvasView, state: State) -> Tensor:
        return torch.arange(view.start, view.end)

    def select(self, view: StepView, state: State) -> tuple[Tensor, State]:
        assert self.network is not None, "the engine binds a scheduler before its first row"
        inside = (view.positions >= view.start) & (view.positions < view.end)
        offsets = view.positions[inside] - view.start
        confidence = torch.ones(view.end - view.start, dtype=view.confidence.dtype)
        confidence[offsets] = view.measures["raw"][inside]
        accepted = torch.zeros_like(view.active)
        accepted[inside] = self.network.scores(confidence)[offsets] > self.gamma
        return view.active & accepted | view.best(view.confidence, 1), state
