"""The strict reader of a checkpoint's `config.json` that every family reads its own with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dllm.errors import ModelError

_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class ConfigReader:
    """A checkpoint's `config.json`, read strictly.

    A missing key is an error: the defaults of the published config classes differ from the published checkpoints, so
    guessing loads a different network without a word.

    Attributes:
        values: the parsed file.
        source: its path, for messages.
    """

    values: Mapping[str, Any]
    source: str

    def get(self, key: str) -> Any:
        """The value of a key that must be there."""
        value = self.values.get(key, _REQUIRED)
        if value is _REQUIRED:
            raise ModelError(f"{self.source}: {key!r} is missing; take it from the original checkpoint's config.json")
        return value

    def integer(self, key: str, least: int = 1) -> int:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._illegal(key, value, f"an integer of at least {least}")
        return value

    def positive(self, key: str) -> float:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self._illegal(key, value, "a positive number")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool):
            raise self._illegal(key, value, "true or false")
        return value

    def optional_integer(self, key: str, default: int, least: int = 1) -> int:
        """An integer that may be missing or null."""
        return default if self.values.get(key) is None else self.integer(key, least)

    def theta(self) -> float:
        """Base of the rotary frequencies, and that nothing scales them. transformers 5 writes both into one object."""
        self.only_if_present("rope_scaling", None)
        parameters = self.values.get("rope_parameters")
        if not isinstance(parameters, dict):
            return self.positive("rope_theta")
        inside = ConfigReader(parameters, f"{self.source}: 'rope_parameters'")
        inside.only_if_present("rope_type", "default")
        theta = inside.positive("rope_theta")
        self.only_if_present("rope_theta", theta)
        return theta

    def only(self, key: str, *legal: Any) -> None:
        """Refuse every value of a required key that changes the network in a way that is not implemented."""
        value = self.get(key)
        if value not in legal:
            raise self._illegal(key, value, " or ".join(map(repr, legal)) + " (nothing else is implemented)")

    def only_if_present(self, key: str, *legal: Any) -> None:
        """As `only`, for keys that older checkpoints do not carry."""
        if key in self.values:
            self.only(key, *legal)

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
        return ModelError(f"{self.source}: {key!r} is {value!r}; it must be {legal}")
