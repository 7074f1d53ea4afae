"""What a family file declares, and the strict reader of `config.json` it uses.

A family is data and two functions: config -> spec, and parameter name -> tensor name in the checkpoint. Its modules are
the shared ones; nothing of the checkpoint's own code is run. Or it borrows its network of transformers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dllm.errors import ModelError
from dllm.models.base import Blocks, Usual
from dllm.models.network.spec import BackboneSpec

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

    def optional_integer(self, key: str, default: int, least: int = 1) -> int:
        """An integer that may be missing or null."""
        return default if self.values.get(key) is None else self.integer(key, least)

    def theta(self) -> float:
        """Base of the rotary frequencies, and that nothing scales them. transformers 5 writes both into one object."""
        self.only_if_present("rope_scaling", None)
        parameters = self.values.get("rope_parameters")
        if not isinstance(parameters, dict):
            return self.positive("rope_theta")
        inside = Settings(parameters, f"{self.source}: 'rope_parameters'")
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

    def check(self, key: str, right: bool, legal: str) -> None:
        """Refuse a value that is not right."""
        if not right:
            raise self._illegal(key, self.get(key), legal)

    def rotary_dim(self, head_dim: int) -> int:
        """Channels of a head that are rotated: `partial_rotary_factor` of them."""
        width = self.positive("partial_rotary_factor") * head_dim
        self.check(
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCausal:
    """How the canvases of a block-causal family fall into blocks.

    Attributes:
        length: published length of a block.
        key: config key that says otherwise.
        only_named: where configs do not tell block-causal checkpoints of the family from full ones: the word in the
            published names of those that are.
        denoised: positions that the published sampler denoises at a time; None: a whole block.
        lead: the published sampler settles the first token of a block alone, from the block before.
    """

    length: int
    key: str | None = None
    only_named: str | None = None
    denoised: int | None = None
    lead: bool = False

    def read(self, settings: Settings) -> tuple[int | None, str]:
        """The length for a checkpoint, None where attention is full, and who says so."""
        if self.key is not None and settings.values.get(self.key) is not None:
            return settings.integer(self.key), "config.json"
        if self.only_named is None:
            return self.length, "published; the config does not say"
        if settings.is_named(self.only_named):
            return self.length, f"guessed from {self.only_named!r} in the name of the folder"
        return None, f"guessed, for there is no {self.only_named!r} in the name of the folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What every row of the table of families says.

    Attributes:
        name: for messages.
        architectures: values of `architectures[0]` that select it.
        length_key: config key of the longest canvas.
        mask_token_id: published id, used when neither config nor tokenizer name one.
        eos_token_id: published id, likewise.
        mask_tokens: spellings of the mask token.
        turn_end_tokens: tokens that end a chat turn and so an answer.
        chat_template: Jinja template for checkpoints that ship none; None: none is known, and chat is an error there.
        template_variables: what a checkpoint's own template is told, as published.
        scheduler: what the published sampler comes to, for requests that name none.
        schedulers_by_name: word in the names of those of the family's checkpoints that have another -> that.
        second_hand: what is known of the family by hearsay only, for `dllm doctor`.
    """

    name: str
    architectures: tuple[str, ...]
    length_key: str
    mask_token_id: int
    eos_token_id: int
    mask_tokens: tuple[str, ...]
    turn_end_tokens: tuple[str, ...]
    chat_template: str | None
    template_variables: Mapping[str, Any] = field(default_factory=dict)
    scheduler: str = "threshold(0.9)"
    schedulers_by_name: Mapping[str, str] = field(default_factory=dict)
    second_hand: str = ""

    def scheduler_of(self, settings: Settings) -> tuple[str, str]:
        """The scheduler of a checkpoint, and who says so."""
        for word, scheduler in self.schedulers_by_name.items():
            if settings.is_named(word):
                return scheduler, f"guessed from {word!r} in the name of the folder"
        return self.scheduler, f"published for {self.name}"

    def usual(self) -> Usual:
        """What a request gets that does not say, under full attention."""
        return Usual(
            scheduler=self.scheduler, chat_template=self.chat_template, template_variables=self.template_variables
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(Published):
    """A row whose network is the native one.

    Attributes:
        spec: reads the config; refuses what is not implemented.
        tensor_name: parameter name of the backbone -> name in the checkpoint. Parameters of one name are stored as one
            tensor, one below the other.
        blocks: of a block-causal family; None: attention is full, whatever is asked for.
    """

    spec: Callable[[Settings], BackboneSpec]
    tensor_name: Callable[[str, Settings], str]
    blocks: BlockCausal | None = None

    def as_published(self, block: int | None) -> tuple[Blocks | None, Usual]:
        """How the published sampler goes about a canvas; `block`: that attention goes by, None where it is full."""
        if block is None or self.blocks is None:
            return None, self.usual()
        own = self.blocks.denoised
        denoised = own if own and block % own == 0 else block
        return Blocks(block, self.blocks.lead), replace(self.usual(), block_length=denoised)


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowedFamily(Published):
    """A row whose network is transformers' own class of the architecture's name; see `dllm.models.borrowed`.

    Row i of its logits must predict position i, under full attention.

    Attributes:
        values: what the class's config is made of: `config.json` once its keys are known to be there and to mean in
            every version of transformers what they mean here.
    """

    values: Callable[[Settings], Mapping[str, Any]]

    def tensor_name(self, parameter: str, settings: Settings) -> str:
        """Name in the checkpoint of a parameter of `Borrowed`: that of the class."""
        return parameter.removeprefix("module.")


Row = Family | BorrowedFamily
