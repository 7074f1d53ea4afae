"""What is compared: variants of the sampler, written as specs with alternatives in braces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from dllm.cache import as_cache
from dllm.errors import ConfigError, DllmError
from dllm.eval.records import Identity
from dllm.eval.user_code import is_users_own, named
from dllm.registry import arguments_of, written
from dllm.schedulers import Scheduler, as_scheduler
from dllm.schedulers.joined import Joined

_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to decode.

    Attributes:
        scheduler: the spec as it was written; what tables show.
        key: the spec with every argument, its parts sorted; what tells one variant from another.
        method: names of its parts without arguments; variants of one method are the points of one curve.
    """

    scheduler: str
    block_length: int
    cache: str
    key: str
    method: str

    @classmethod
    def make(cls, scheduler: str, block_length: int = 32, cache: str = "none") -> Variant:
        """Raises ConfigError for an unknown scheduler or cache."""
        with named(f"scheduler {scheduler!r}", passing=DllmError):
            parts = _parts(as_scheduler(scheduler))
        if cache != "auto":
            as_cache(cache)
        return cls(
            scheduler=scheduler.strip(),
            block_length=block_length,
            cache=cache,
            key="+".join(sorted(_written(part) for part in parts)),
            method="+".join(sorted(_name(part) for part in parts)),
        )

    @property
    def is_users_own(self) -> bool:
        """Whether a scheduler of a plug-in is part of it."""
        return any(is_users_own(part) for part in _parts(as_scheduler(self.scheduler)))

    @property
    def identity(self) -> Identity:
        return self.key, self.block_length, self.cache


def alternatives(spec: str) -> list[str]:
    """`threshold({0.7,0.9})+{credit,localleap}` -> every combination of the alternatives, in order.

    Raises:
        ConfigError: a brace without its partner, or nested ones.
    """
    pieces = _BRACES.split(spec)
    if any("{" in piece or "}" in piece for piece in pieces):
        raise ConfigError(f"scheduler={spec!r}: braces must come in pairs and not nest, as in 'threshold({{0.7,0.9}})'")
    choices = [piece.split(",") if i % 2 else [piece] for i, piece in enumerate(pieces)]
    return ["".join(combination) for combination in product(*choices)]


def variants(
    schedulers: Iterable[str], block_lengths: Sequence[int] = (32,), caches: Sequence[str] = ("none",)
) -> list[Variant]:
    """All combinations, each once, in the order written."""
    found: dict[Identity, Variant] = {}
    for block_length, cache in product(block_lengths, caches):
        for spec in schedulers:
            for scheduler in alternatives(spec):
                variant = Variant.make(scheduler, block_length, cache)
                found.setdefault(variant.identity, variant)
    return list(found.values())


def _parts(scheduler: Scheduler) -> tuple[Scheduler, ...]:
    return scheduler.parts if isinstance(scheduler, Joined) else (scheduler,)


def _name(part: Scheduler) -> str:
    return str(part).partition("(")[0]


def _written(part: Scheduler) -> str:
    """`name(argument=value,...)` with defaults, so that a changed default is another variant."""
    return f"{_name(part)}({','.join(f'{key}={written(value)}' for key, value in arguments_of(part).items())})"
