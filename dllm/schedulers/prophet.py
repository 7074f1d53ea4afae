"""Prophet (arXiv 2508.19982): stop as soon as the answer is decided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dllm.arguments import in_range, whole
from dllm.errors import ConfigError, quoted
from dllm.schedulers.base import Scheduler, State, register
from dllm.views import CanvasView, Setting, StepView


@register("prophet")
@dataclass(frozen=True)
class Prophet(Scheduler):
    """Commit every remaining mask at once when the answer region is decided: the mean gap between its best and second
    logits has reached a threshold that falls as decoding goes on.

    Gaps are taken over all ids, the mask id too, from the model's own logits before a transform. Progress is that of
    the published clock, step / steps, this step counted: where no `steps` are asked for, the share of the answer that
    is behind the live block or committed with this step, which is the same where steps commit equally many. It asks
    `early` below 0.33, `middle` below 0.67, and `late` from there. All masks must be in view: with the cache `dual`
    that is so at a block's first forward, with `prefix` and `none` always.

    A suffix text such as 'The answer is' is put on the canvas before the first forward, with room to reason before it;
    the region is then the few positions behind it. An EOS committed before it cuts it off with everything else. (Where
    a block's planted tokens leave it fewer masks than steps, the published code makes forwards that commit nothing;
    these are left out, but the clock counts them with the block.)

    Args:
        early, middle, late: thresholds, in logits.
        region: answer = the masks of the answer before the first predicted EOS; or START:END, positions counted from
            the answer's first, committed or not; or a suffix text of at least two words, or one that ends in a colon.
        place: where a suffix stands, as a share of the answer's length; 200/256 in the published code.
        width: positions of the region behind a suffix, which begins one position after it and ends with the answer at
            the latest; 5 in the published code.
        spaced: a suffix is planted with a space before each word, the first too, as published; false: as it is written.
    """

    early: float = 7.5
    middle: float = 5.0
    late: float = 2.5
    region: str | tuple[int, ...] = "answer"
    place: float = 200 / 256
    width: int = 5
    spaced: bool = True
    measures = frozenset({"gap"})

    def __post_init__(self) -> None:
        for name in ("early", "middle", "late"):
            in_range(f"prophet: {name}", getattr(self, name), 0.0)
        in_range("prophet: place", self.place, 0.0, 1.0)
        whole("prophet: width", self.width, 1)
        if not isinstance(self.region, str):
            if not isinstance(self.region, Sequence) or isinstance(self.region, bytes):
                self._span()
            ids = tuple(whole("prophet: region: id", token, 0) for token in self.region)
            object.__setattr__(self, "region", ids)
        if isinstance(self.region, str) and self.region != "answer" and not _is_suffix(self.region):
            self._span()

    def bind(self, setting: Setting) -> Scheduler:
        if not isinstance(self.region, str) or not _is_suffix(self.region):
            return self
        if setting.tokenizer is None:
            raise ConfigError(
                f"prophet: region={quoted(self.region)} is text and needs a tokenizer; give START:END instead"
            )
        words = [" " + word for word in self.region.split()] if self.spaced else [self.region]
        return replace(self, region=tuple(token for word in words for token in setting.tokenizer.encode(word)))

    def plant(self, view: CanvasView) -> tuple[Tensor, Tensor] | None:
        if isinstance(self.region, str):
            return None
        if view.prompt_length == 0:
            raise ConfigError("prophet: a suffix text has no place in a document to infill; use region=answer")
        start, _ = self._behind(view.total)
        if start >= view.total:
            raise ConfigError(
                f"prophet: max_new_tokens={view.total} has no room for the suffix of {len(self.region)} tokens at "
                f"place={self.place:g} and two positions behind it; make it larger, or place smaller"
            )
        positions = torch.arange(start - 1 - len(self.region), start - 1) + view.prompt_length
        return positions, torch.tensor(self.region)

    def wants(self, view: CanvasView, state: State) -> Tensor:
        masks = view.masked.nonzero().squeeze(-1)
        return masks if self.region == "answer" else torch.cat([masks, self._positions(view)])

    def finishes(self, view: StepView, state: State) -> tuple[bool, State]:
        gaps = view.measures["gap"][self._inside(view)]
        progress = self._progress(view)
        needed = self.early if progress < 0.33 else self.middle if progress < 0.67 else self.late
        return len(gaps) > 0 and float(gaps.mean()) >= needed, state

    def _progress(self, view: StepView) -> float:
        """The published clock, between 0 and 1."""
        own = ~view.given
        if not isinstance(self.region, str):  # what was planted is part of the answer
            start, _ = self._behind(view.total + len(self.region))
            planted = slice(view.prompt_length + start - 1 - len(self.region), view.prompt_length + start - 1)
            own[planted] = True
        length, before = int(own.sum()), int(own[: view.start].sum())
        if view.steps is not None:
            return (before * view.steps / length + view.block_step + 1) / view.steps
        # not by `block_masked`: an end of the text may have cut masks off the block since
        committed = int((~view.given & ~view.masked)[view.start : view.end].sum())
        now = 0 if view.chosen is None else int(view.chosen.sum())
        return (before + committed + now) / length

    def _inside(self, view: StepView) -> Tensor:
        """`[m]` bool: the answer region."""
        if self.region != "answer":
            return torch.isin(view.positions, self._positions(view))
        masked = view.masked[view.positions]
        ends = masked & view.among(view.eos_token_ids)
        if not bool(ends.any()):
            return masked
        first = int(view.positions[ends][0])
        before = masked & (view.positions < first)
        # an answer that ends here and now: all that is left to decide is its end
        return before if bool(before.any()) else view.positions == first

    def _positions(self, view: CanvasView) -> Tensor:
        if isinstance(self.region, str):
            start, end = self._span()
        else:  # `total` does not count what was planted
            start, end = self._behind(view.total + len(self.region))
        return torch.arange(
            min(view.prompt_length + start, len(view.canvas)), min(view.prompt_length + end, len(view.canvas))
        )

    def _behind(self, length: int) -> tuple[int, int]:
        """The region behind a bound suffix, counted from the first position of an answer of `length`."""
        start = int(self.place * length) + len(self.region) + 1
        return start, start + self.width

    def _span(self) -> tuple[int, int]:
        """The region that START:END names."""
        match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", str(self.region))
        if match is None or int(match[1]) >= int(match[2]):
            raise ConfigError(
                f"prophet: region={quoted(self.region)} must be answer, START:END with START < END, or a suffix text "
                "such as 'The answer is' (two words or more, or a colon at its end)"
            )
        return int(match[1]), int(match[2])


def _is_suffix(region: str) -> bool:
    """Text to plant; a single word without a colon is more likely a slip."""
    return len(region.split()) > 1 or (region.endswith(":") and region.strip(":0123456789") != "")
