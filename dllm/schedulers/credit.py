"""CreditDecoding (arXiv 2510.06133): tokens that keep being the most probable are trusted earlier."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dllm.arguments import in_range
from dllm.sampling.peaks import peaks
from dllm.schedulers.base import Scheduler, register
from dllm.views import CanvasView, Setting


@dataclass(frozen=True, slots=True)
class Credits:
    """The non-zero credits of a block's masks, in slots: one a position and step, so nothing is ever dropped.

    Memory: 12 m s bytes after s steps with m masks, 12 KiB for a block of 32 at its last step; a dense table of
    126,464 columns would take 15.4 MiB.

    Attributes:
        positions: `[m]` long on the CPU, ascending.
        token_ids: `[m, s]` long on the model's device.
        values: `[m, s]` float32, 0 in unused slots; a token has one slot that is not 0.
    """

    positions: Tensor
    token_ids: Tensor
    values: Tensor


@register("credit")
@dataclass(frozen=True)
class Credit(Scheduler):
    """Add `strength * ln(1 + C)` to the logits of the live block's masks; a selector then works on the result.

    At each step every credit of a position shrinks by `decay`, and the most probable token v of the model's own
    distribution p gains `p(v) ** power`; this step's gain counts at once. Credits end with their block, and with a
    token that is masked again. At the defaults no odds grow by more than a factor (1 + 1 / (1 - decay)) ** strength
    = 3.51.

    Args:
        decay: share of a credit that a step keeps.
        power: exponent of the gained probability; small ones reward being first more than being sure.
        strength: 0 leaves the logits as they are.
    """

    decay: float = 0.8
    power: float = 0.2
    strength: float = 0.7
    mask_token_id: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        in_range("credit: decay", self.decay, 0.0, 1.0)
        in_range("credit: power", self.power, 0.0, 1e6)
        in_range("credit: strength", self.strength, 0.0, 1e6)

    def bind(self, setting: Setting) -> Scheduler:
        bound = replace(self)
        object.__setattr__(bound, "mask_token_id", setting.model.mask_token_id)
        return bound

    def transform(
        self, view: CanvasView, positions: Tensor, logits: Tensor, state: Credits | None
    ) -> tuple[Tensor, Credits]:
        # where the block ends is settled after its first forward only; all that is asked about earns credit in that
        end = len(view.canvas) if view.block_step == 0 else view.end
        rows = (view.masked[positions] & (positions >= view.start) & (positions < end)).nonzero().squeeze(-1)
        there = rows.to(logits.device)
        best, gain = self._best(logits if len(rows) == len(positions) else logits[there])
        state = self._earned(positions[rows], best, gain, None if view.block_step == 0 else state)
        boosted = logits.to(torch.float32, copy=True)
        cells = there[:, None] * boosted.shape[1] + state.token_ids  # few: the table is not gathered to add to them
        boosted.view(-1).scatter_add_(0, cells.flatten(), (self.strength * state.values.log1p()).flatten())
        return boosted, state

    def _best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable token of each row that may be proposed, `[m]` long, and `p ** power`."""
        banned = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
        if self.mask_token_id is not None:
            banned[self.mask_token_id] = True
        found = peaks(logits, banned)
        return found.token_ids, (found.log_p(found.best) * self.power).exp().float()

    def _earned(self, positions: Tensor, best: Tensor, gain: Tensor, before: Credits | None) -> Credits:
        """The credits of `positions` after this step; those of positions that are no longer masked are dropped."""
        if before is None:
            return Credits(positions, best[:, None], gain[:, None])
        token_ids = torch.zeros(len(positions), before.token_ids.shape[1], dtype=torch.long, device=best.device)
        values = torch.zeros(token_ids.shape, device=best.device)
        here = torch.isin(positions, before.positions).nonzero().squeeze(-1).to(best.device)
        there = torch.isin(before.positions, positions).nonzero().squeeze(-1).to(best.device)
        token_ids[here], values[here] = before.token_ids[there], before.values[there] * self.decay
        known = (token_ids == best[:, None]) & (values > 0)
        values = values + known * gain[:, None]
        new = torch.where(known.any(1), 0.0, gain)
        return Credits(
            positions, torch.cat([token_ids, best[:, None]], 1), torch.cat([values, new[:, None].to(values)], 1)
        )

    def remasked(self, positions: Tensor, state: Credits | None) -> Credits | None:
        if state is None:
            return None
        kept = ~torch.isin(state.positions, positions)
        there = kept.to(state.values.device)
        return Credits(state.positions[kept], state.token_ids[there], state.values[there])
