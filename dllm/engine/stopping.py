"""Stop strings: where the settled text first holds one."""

from __future__ import annotations

from collections.abc import Sequence

from dllm.engine.row import StopCheck
from dllm.tokenizer import Tokenizer


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Character offset of the earliest stop string in `text`, or None."""
    found = [at for at in (text.find(one) for one in stop) if at >= 0]
    return min(found, default=None)


def stop_check(tokenizer: Tokenizer, stop: Sequence[str]) -> StopCheck:
    """A check for the loop: how many of the settled answer ids to keep once a stop string is complete."""

    def check(token_ids: list[int]) -> int | None:
        if first_stop(tokenizer.decode(token_ids, skip_special=True), stop) is None:
            return None
        # rare and short: the fewest tokens whose text still holds the stop string
        held = (
            n
            for n in range(1, len(token_ids) + 1)
            if first_stop(tokenizer.decode(token_ids[:n], skip_special=True), stop) is not None
        )
        return next(held)

    return check
