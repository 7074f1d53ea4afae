"""Text to ids and back, over the `tokenizers` library.

Thin on purpose: nothing is added to a text and nothing is cleaned up after decoding, so that a canvas is exactly what
was written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers
import torch
from torch import Tensor

from dllm.errors import PromptError
from dllm.tokenizer.chat import Message, Turn, checked, rendered
from dllm.tokenizer.files import build_core, chat_template, named_tokens
from dllm.tokenizer.renderer import render
from dllm.tokenizer.token_bytes import spelling_of


class Tokenizer:
    """A tokenizer with its chat template.

    Args:
        core: the tokenizer proper; not changed.
        chat_template: Jinja source, or None.
        named: `bos_token`, `eos_token`, ... -> text, for the template.

    Attributes:
        template_variables: what else the template may ask for, as `enable_thinking` or `tools`, in what JSON can hold;
            yours to change.
    """

    def __init__(
        self,
        core: tokenizers.Tokenizer,
        *,
        chat_template: str | None = None,
        named: Mapping[str, str] | None = None,
    ) -> None:
        if core.truncation is not None or core.padding is not None:
            core = tokenizers.Tokenizer.from_str(core.to_str())
            core.no_truncation()
            core.no_padding()
        self._core = core
        self._spelling = spelling_of(core)
        self.chat_template = chat_template
        self.named = dict(named or {})
        self.template_variables: dict[str, Any] = {}

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str], *, default_template: str | None = None) -> Tokenizer:
        """Read `tokenizer.json`, or build from `vocab.json` and `merges.txt`.

        Args:
            folder: a folder of tokenizer files.
            default_template: chat template where the folder has none.

        Raises:
            ModelError: no tokenizer there, or a broken one.
        """
        path = Path(folder)
        template = chat_template(path)
        return cls(
            build_core(path),
            chat_template=default_template if template is None else template,
            named=named_tokens(path),
        )

    @cached_property
    def _texts(self) -> dict[int, str]:
        """Id -> spelling, added tokens included; ids may have holes."""
        return {token_id: text for text, token_id in self._core.get_vocab(with_added_tokens=True).items()}

    @cached_property
    def _added(self) -> dict[int, tokenizers.AddedToken]:
        added: dict[int, tokenizers.AddedToken] = self._core.get_added_tokens_decoder()
        return added

    @cached_property
    def vocab_size(self) -> int:
        """One past the largest id. A model's head may have more columns."""
        return max(self._texts, default=-1) + 1

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids that `decode(skip_special=True)` leaves out."""
        return frozenset(token_id for token_id, token in self._added.items() if token.special)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, verbatim: no BOS, no template; special tokens spelled out in the text are recognised.

        Raises:
            PromptError: not a string, or one that is not valid Unicode (lone surrogates).
        """
        if not isinstance(text, str):
            raise PromptError(f"encode takes a string, not {type(text).__name__}; token ids go in as they are")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise PromptError(f"the text holds a lone surrogate at {error.start}; remove it") from error
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        return list(self._core.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        """Text of ids. Incomplete UTF-8 becomes U+FFFD, ids outside the vocabulary nothing; never raises for them."""
        known = [token_id for token_id in map(int, ids) if token_id in self._texts]
        return str(self._core.decode(known, skip_special_tokens=skip_special))

    def decodable(self, vocab_size: int) -> Tensor:
        """`[vocab_size]` bool: the ids this tokenizer has a token for."""
        mask = torch.zeros(vocab_size, dtype=torch.bool)
        ids = torch.tensor([token_id for token_id in self._texts if token_id < vocab_size], dtype=torch.long)
        mask[ids] = True
        return mask

    def token_to_id(self, token: str) -> int | None:
        """Id of a token by its spelling in the vocabulary, or None."""
        found: int | None = self._core.token_to_id(token)
        return found

    def id_to_token(self, token_id: int) -> str | None:
        """Spelling of an id in the vocabulary, or None."""
        return self._texts.get(token_id)

    def token_bytes(self, token_id: int) -> bytes | None:
        """The exact bytes of a token: concatenated over an encoded text they are its (normalised) UTF-8.

        None for special tokens and for ids without a token. Vocabularies that spell bytes in neither known way
        (`dllm.tokenizer.token_bytes`) get the UTF-8 of the token decoded alone.
        """
        if token_id in self.special_ids or token_id not in self._texts:
            return None
        if token_id in self._added:
            return self._added[token_id].content.encode("utf-8")
        spelling: Callable[[str], bytes] | None = self._spelling
        return self.decode([token_id]).encode("utf-8") if spelling is None else spelling(self._texts[token_id])

    def apply_chat_template(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """Render a conversation as the text of a prompt; encode it with `encode`.

        Args:
            messages: `{"role": ..., "content": ...}`, oldest first; what else they may hold is in docs/chat.md.
            add_generation_prompt: end where the assistant is to write: right behind the content of the last message
                where that is the assistant's, else behind the opening of its turn.

        Raises:
            PromptError: no template; messages that are wrong or that this template cannot render; or a template that
                refuses them, or takes too long (see `dllm.tokenizer.renderer`).
        """
        turns = checked(messages, self.chat_template)
        if self.chat_template is None:
            raise PromptError("this tokenizer has no chat template; set tokenizer.chat_template or use generate")
        return rendered(turns, self._render, self.chat_template, add_generation_prompt=add_generation_prompt)

    def _render(self, turns: list[Turn], add_generation_prompt: bool) -> str:
        assert self.chat_template is not None
        variables: dict[str, Any] = {"tools": None, "documents": None, **self.named, **self.template_variables}
        variables |= {"messages": turns, "add_generation_prompt": add_generation_prompt}
        return render(self.chat_template, variables)
