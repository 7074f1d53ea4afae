"""What a family file declares, and the strict reader of `config.json` it uses.

A family is data and two functions: config -> spec, and parameter name -> tensor name in the checkpoint. Its modules are
the shared ones; nothing of the checkpoint's own code is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dllm.errors import ModelError
from dllm.models.spec import BackboneSpec

_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Settings:
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

    def kv_heads(self, kv_heads_key: str, heads_key: str) -> int:
        """Key/value heads, a divisor of the heads."""
        heads, kv_heads = self.integer(heads_key), self.integer(kv_heads_key)
        if heads % kv_heads:
            raise self._illegal(kv_heads_key, kv_heads, f"a divisor of {heads_key} {heads}")
        return kv_heads

    def _illegal(self, key: str, value: Any, legal: str) -> ModelError:
        return ModelError(f"{self.source}: {key!r} is {value!r}; it must be {legal}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One row of the table of families.

    Attributes:
        name: for messages.
        architectures: values of `architectures[0]` that select it.
        spec: reads the config; refuses what is not implemented.
        tensor_name: parameter name of the backbone -> name in the checkpoint.
        length_key: config key of the longest canvas.
        mask_token_id: published id, used when neither config nor tokenizer name one.
        eos_token_id: published id, likewise.
        mask_tokens: spellings of the mask token.
        turn_end_tokens: tokens that end a chat turn and so an answer.
        chat_template: Jinja template for checkpoints that ship none.
    """

    name: str
    architectures: tuple[str, ...]
    spec: Callable[[Settings], BackboneSpec]
    tensor_name: Callable[[str, Settings], str]
    length_key: str
    mask_token_id: int
    eos_token_id: int
    mask_tokens: tuple[str, ...]
    turn_end_tokens: tuple[str, ...]
    chat_template: str
