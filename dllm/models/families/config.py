"""The strict reader of a checkpoint's `config.json` that every family reads its own with."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dllm.errors import ModelError, nearest
from dllm.hub import shown
from dllm.models.families.keys import BOOKKEEPING, NEUTRAL, QUANTIZED

WIDEST = 1 << 24
"""Most of anything that a tensor has rows or columns of. Beyond what anybody has, and two of them multiply to a number
that torch can count in."""
DEEPEST = 1 << 14
"""Most layers, and most experts of one."""
BLOCK = 1 << 12
"""Most positions of a block of attention: a canvas holds whole ones, however short the answer."""
LONGEST = 1 << 31
"""Most positions of a canvas."""
_SMALLEST, _GREATEST = 1e-30, 1e30
"""A factor outside of these is 0 or infinite in float32, or will be."""
_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class ConfigReader:
    """A checkpoint's `config.json`, read strictly.

    A missing key is an error: the defaults of the published config classes differ from the published checkpoints, so
    guessing loads a different network without a word. So is a key that nobody asks for, unless it is known to change
    nothing (`refuse_unknown`), and a number beyond reason: the network is built before the weights are looked at.

    Attributes:
        values: the parsed file.
        source: its path, for messages.
        asked: keys that somebody has asked for.
    """

    values: Mapping[str, Any]
    source: str
    asked: set[str] = field(default_factory=set, compare=False)

    def optional(self, key: str) -> Any:
        """The value of a key, None where it is missing."""
        self.asked.add(key)
        return self.values.get(key)

    def get(self, key: str) -> Any:
        """The value of a key that must be there."""
        self.asked.add(key)
        value = self.values.get(key, _REQUIRED)
        if value is _REQUIRED:
            raise ModelError(f"{self.source}: {key!r} is missing; take it from the original checkpoint's config.json")
        return value

    def integer(self, key: str, least: int = 1, most: int = WIDEST) -> int:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._illegal(key, value, f"an integer of at least {least}, and at most {most}")
        return value

    def positive(self, key: str) -> float:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not _SMALLEST <= value <= _GREATEST:
            raise self._illegal(key, value, f"a positive number, from {_SMALLEST} to {_GREATEST}")
        return float(value)

    def flag(self, key: str, default: bool | None = None) -> bool:
        """True or false; the default, if there is one, where the key is missing."""
        if default is not None and key not in self.values:
            return default
        value = self.get(key)
        if not isinstance(value, bool):
            raise self._illegal(key, value, "true or false")
        return value

    def optional_integer(self, key: str, default: int, least: int = 1, most: int = WIDEST) -> int:
        """An integer that may be missing or null."""
        return default if self.optional(key) is None else self.integer(key, least, most)

    def inside(self, key: str) -> ConfigReader:
        """The reader of an object within the config."""
        value = self.get(key)
        if not isinstance(value, dict):
            raise self._illegal(key, value, "an object")
        return ConfigReader(value, f"{self.source}: {key!r}")

    def theta(self) -> float:
        """Base of the rotary frequencies, and that nothing scales them. transformers 5 writes both into one object."""
        self.refuse_scaling()
        if self.optional("rope_parameters") is None:
            return self.positive("rope_theta")
        parameters = self.inside("rope_parameters")
        for key in ("rope_type", "type"):
            parameters.only_if_present(key, "default")
        theta = parameters.positive("rope_theta")
        self.only_if_present("rope_theta", theta)
        parameters.only_if_present("partial_rotary_factor", self.values.get("partial_rotary_factor", 1))
        parameters.refuse_unknown()
        return theta

    def refuse_scaling(self) -> None:
        """That rotary frequencies are scaled in no way: `rope_scaling` may be null, or say "default"."""
        scaling = self.optional("rope_scaling")
        named = set(scaling) if isinstance(scaling, dict) else set()
        plain = bool(named) and named <= {"type", "rope_type"} and all(one == "default" for one in scaling.values())
        self.require("rope_scaling", scaling is None or plain, "None (nothing else is implemented)")

    def only(self, key: str, *legal: Any) -> None:
        """Refuse every value of a required key that changes the network in a way that is not implemented."""
        value = self.get(key)
        if not _among(value, legal):
            raise self._illegal(key, value, " or ".join(map(repr, legal)) + " (nothing else is implemented)")

    def only_if_present(self, key: str, *legal: Any) -> None:
        """As `only`, for keys that older checkpoints do not carry."""
        if key in self.values:
            self.only(key, *legal)

    def pass_over(self, *keys: str) -> None:
        """Keys that are moot because of what others say."""
        self.asked.update(keys)

    def refuse_quantized(self) -> None:
        """That the weights are plain numbers."""
        for key in QUANTIZED:
            if self.values.get(key) is not None:
                raise ModelError(
                    f"{self.source}: {key!r} is {shown(self.values[key])}; checkpoints that are stored quantized are "
                    "not supported: take the original one, and give load_model quantize='int8' or 'int4'"
                )

    def refuse_unknown(self, harmless: Collection[str] = ()) -> None:
        """Refuse what nobody has asked for, unless it is known to change nothing; null says nothing.

        Args:
            harmless: keys that may say what they like, besides `BOOKKEEPING`.

        Raises:
            ModelError: naming the first such key, its value, and the nearest one that is known.
        """
        known = self.asked | BOOKKEEPING | NEUTRAL.keys() | set(harmless)
        for key, value in self.values.items():
            if value is None or key in self.asked or key in BOOKKEEPING or key in harmless:
                continue
            if key in NEUTRAL:
                self.only(key, *NEUTRAL[key])
            elif key not in QUANTIZED:
                raise ModelError(
                    f"{self.source}: {key!r:.80} is {shown(value)}, and nothing here reads that key: the network may "
                    f"be another one than the one that would be loaded.{nearest(key[:80], known)} If you know that it "
                    "changes nothing, take it out"
                )

    def head_dim(self, hidden_key: str, heads_key: str) -> int:
        """Width of a head: the heads must divide the hidden size, and rotary embedding needs an even width."""
        hidden, heads = self.integer(hidden_key), self.integer(heads_key)
        if hidden % heads or hidden // heads % 2:
            raise self._illegal(heads_key, heads, f"a divisor of {hidden_key} {hidden} that leaves an even head width")
        return hidden // heads

    def is_named(self, word: str) -> bool:
        """Whether the checkpoint's folder, its name on the Hub, or the name it was saved under holds a word."""
        folder = Path(os.path.abspath(self.source)).parent
        of_the_hub = (part for part in folder.parts if part.startswith("models--"))  # its cache: folders are hashes
        saved = Path(str(self.values.get("_name_or_path"))).name
        return word.casefold() in f"{next(of_the_hub, folder.name)} {saved}".casefold()

    def require(self, key: str, right: bool, legal: str) -> None:
        """Refuse a value that is not right."""
        if not right:
            raise self._illegal(key, self.get(key), legal)

    def rotary_dim(self, head_dim: int) -> int:
        """Channels of a head that are rotated: `partial_rotary_factor` of them."""
        width = self.positive("partial_rotary_factor") * head_dim
        self.require(
            "partial_rotary_factor", width <= head_dim and width % 2 == 0, f"at most 1, and even times {head_dim}"
        )
        return int(width)

    def even(self, key: str) -> int:
        """A width that rotary embedding can pair off."""
        value = self.integer(key, least=2)
        if value % 2:
            raise self._illegal(key, value, "an even number")
        return value

    def at_most(self, key: str, most_key: str) -> int:
        """An integer no larger than another."""
        value, most = self.integer(key), self.integer(most_key)
        if value > most:
            raise self._illegal(key, value, f"at most {most_key} {most}")
        return value

    def kv_heads(self, kv_heads_key: str, heads_key: str) -> int:
        """Key/value heads, a divisor of the heads."""
        heads, kv_heads = self.integer(heads_key), self.integer(kv_heads_key)
        if heads % kv_heads:
            raise self._illegal(kv_heads_key, kv_heads, f"a divisor of {heads_key} {heads}")
        return kv_heads

    def _illegal(self, key: str, value: Any, legal: str) -> ModelError:
        return ModelError(f"{self.source}: {key!r} is {shown(value)}; it must be {legal}")


def _among(value: Any, legal: Collection[Any]) -> bool:
    """Whether a value is one of some; true is not 1."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in legal)
