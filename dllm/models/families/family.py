"""What a family file declares: a `Family`, or a `BorrowedFamily`.

A family is data and two functions: config -> spec, and parameter name -> tensor name in the checkpoint. Its modules are
the shared ones; nothing of the checkpoint's own code is run. Or it borrows its network of transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dllm.models.base import Blocks, Usual
from dllm.models.families.config import BLOCK, ConfigReader
from dllm.models.network.spec import BackboneSpec


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

    def read(self, config: ConfigReader) -> tuple[int | None, str]:
        """The length for a checkpoint, None where attention is full, and who says so."""
        if self.key is not None and config.optional(self.key) is not None:
            return config.integer(self.key, most=BLOCK), "config.json"
        if self.only_named is None:
            return self.length, "published; the config does not say"
        if config.is_named(self.only_named):
            return self.length, f"guessed from {self.only_named!r} in the name of the folder"
        return None, f"guessed, for there is no {self.only_named!r} in the name of the folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What every family says.

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
        harmless: config keys of its checkpoints that change nothing here, besides those of `keys.BOOKKEEPING`.
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
    harmless: tuple[str, ...] = ()

    def scheduler_of(self, config: ConfigReader) -> tuple[str, str]:
        """The scheduler of a checkpoint, and who says so."""
        for word, scheduler in self.schedulers_by_name.items():
            if config.is_named(word):
                return scheduler, f"guessed from {word!r} in the name of the folder"
        return self.scheduler, f"published for {self.name}"

    def usual(self) -> Usual:
        """What a request gets that does not say, under full attention."""
        return Usual(
            scheduler=self.scheduler, chat_template=self.chat_template, template_variables=self.template_variables
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(Published):
    """A family whose network is the native one.

    Attributes:
        spec: reads the config; refuses what is not implemented.
        tensor_name: parameter name of the backbone -> name in the checkpoint. Parameters of one name are stored as one
            tensor, one below the other.
        blocks: of a block-causal family; None: attention is full, whatever is asked for.
    """

    spec: Callable[[ConfigReader], BackboneSpec]
    tensor_name: Callable[[str, ConfigReader], str]
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
    """A family whose network is transformers' own class of the architecture's name; see `dllm.models.borrowed`.

    Row i of its logits must predict position i, under full attention.

    Attributes:
        values: what the class's config is made of: the keys of `config.json` that make the network, once they are known
            to be there and to mean in every version of transformers what they mean here. No others, for the class takes
            whatever it is given.
    """

    values: Callable[[ConfigReader], Mapping[str, Any]]

    def tensor_name(self, parameter: str, config: ConfigReader) -> str:
        """Name in the checkpoint of a parameter of `Borrowed`: that of the class."""
        return parameter.removeprefix("module.")


AnyFamily = Family | BorrowedFamily
