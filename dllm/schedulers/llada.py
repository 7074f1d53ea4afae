"""LLaDA's own schedule (arXiv 2502.09992): a fixed number of tokens at each step of a block."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from dllm.arguments import one_of, switch
from dllm.errors import ConfigError
from dllm.sampling.proposals import probability
from dllm.schedulers.base import Scheduler, State, register
from dllm.schedulers.budget import BlockBudget, check_budget, open_budget
from dllm.views import CanvasView, Setting, StepView

_ORDER_STREAM = 1
END_OF_TURN = "<|eot_id|>"
"""LLaDA's EoT, which its checkpoints do not list among the ends of a text."""


@register("llada")
@dataclass(frozen=True)
class LLaDA(Scheduler):
    """Spread a block's m masks over its T steps, floor(m / T) each and one more in the first m mod T.

    The last two arguments are the authors' switches for long canvases of LLaDA-Instruct, which else fill with ends of
    text; 11 of their 27 published configurations set one (docs/how-answers-end.md).

    Args:
        remasking: low_confidence commits the most confident, random a random choice.
        logits_eos_inf: EOS, the first of the model's ends, is not proposed at all: its logit is -inf.
        confidence_eos_eot_inf: ends of text may be proposed but are committed last: the order is by confidence with the
            logits of EOS and of the end of a turn at -inf. As published at temperature 0; above, the published code
            lets EOS through by an oversight, which is not followed.
    """

    remasking: Literal["low_confidence", "random"] = "low_confidence"
    logits_eos_inf: bool = False
    confidence_eos_eot_inf: bool = False
    reads_steps = True
    ends: tuple[int, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        one_of("llada: remasking", self.remasking, ("low_confidence", "random"))
        switch("llada: logits_eos_inf", self.logits_eos_inf)
        switch("llada: confidence_eos_eot_inf", self.confidence_eos_eot_inf)
        if self.confidence_eos_eot_inf and self.remasking == "random":
            raise ConfigError(
                "llada: confidence_eos_eot_inf orders by confidence, which remasking=random does not; drop one"
            )

    def bind(self, setting: Setting) -> LLaDA:
        if not (self.logits_eos_inf or self.confidence_eos_eot_inf):
            return self
        turn = None if setting.tokenizer is None else setting.tokenizer.token_to_id(END_OF_TURN)
        ends = setting.model.eos_token_ids
        if not ends:
            asked = "logits_eos_inf" if self.logits_eos_inf else "confidence_eos_eot_inf"
            raise ConfigError(f"llada: {asked} needs a model that names its end of text; this one has no eos_token_ids")
        bound = copy.copy(self)
        object.__setattr__(bound, "ends", (*ends, *(() if turn is None else (turn,))))
        return bound

    def init(self, view: CanvasView) -> BlockBudget:
        return check_budget(view, "llada")

    def transform(self, view: CanvasView, positions: Tensor, logits: Tensor, state: State) -> tuple[Tensor, State]:
        if self.logits_eos_inf:
            without = logits.clone()
            without[:, self.ends[0]] = -torch.inf
            only = without.amax(-1, keepdim=True) == -torch.inf  # where a grammar allows nothing else, it may end
            logits = torch.where(only, logits, without)
        return logits, state

    def open_block(self, view: CanvasView, state: BlockBudget) -> BlockBudget:
        return open_budget(view, state)

    def select(self, view: StepView, state: BlockBudget) -> tuple[Tensor, BlockBudget]:
        quota = state.masks // state.steps + (view.block_step < state.masks % state.steps)
        return view.best(self._score(view), quota, view.due), state

    def _score(self, view: StepView) -> Tensor:
        if self.remasking == "random":
            return view.noise(view.positions, _ORDER_STREAM)
        if not self.confidence_eos_eot_inf:
            return view.confidence
        scores = view.scores.clone()
        scores[:, list(self.ends)] = -torch.inf
        return probability(scores, view.token_ids.to(scores.device)).nan_to_num(0.0).cpu()
