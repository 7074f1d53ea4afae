"""Tokenizers that are not the `tokenizers` library: slow transformers ones, or any object with encode and decode."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from operator import index
from typing import Any

import torch
from torch import Tensor

from dllm.errors import DllmError, ModelError, PromptError
from dllm.hub import said
from dllm.tokenizer.chat import Message, Turn, checked, rendered, template_of
from dllm.tokenizer.native import Tokenizer


class ForeignTokenizer(Tokenizer):
    """An adapter that asks the object for everything, and answers cautiously what it cannot ask.

    The size is `len(obj)` or `obj.vocab_size`; without either every id counts as decodable. Bytes are those of the
    token decoded alone: exact unless a token is part of a character, which then has none (None).

    What the object gives back is not trusted: a ModelError says what came in the place of ids or of text, and what it
    raises is a ModelError too, or for a text to encode a PromptError.
    """

    def __init__(self, obj: Any) -> None:
        self._obj = obj
        template = getattr(obj, "chat_template", None)
        known = isinstance(template, str | Mapping)
        self.chat_template = template_of(template, "the tokenizer's chat_template") if known else None
        names = getattr(obj, "special_tokens_map", None)
        self.named = {k: v for k, v in names.items() if isinstance(v, str)} if isinstance(names, Mapping) else {}
        self.template_variables = {}

    @cached_property
    def _size(self) -> int | None:
        size = len(self._obj) if hasattr(self._obj, "__len__") else getattr(self._obj, "vocab_size", None)
        return size if isinstance(size, int) and not isinstance(size, bool) else None

    @cached_property
    def vocab_size(self) -> int:
        return self._size or 0

    @cached_property
    def special_ids(self) -> frozenset[int]:
        ids = getattr(self._obj, "all_special_ids", None)
        return frozenset(() if ids is None else self._ids("all_special_ids", ids))

    @property
    def _is_transformers(self) -> bool:
        return hasattr(self._obj, "convert_ids_to_tokens")

    def _encode(self, text: str) -> list[int]:
        options: dict[str, Any] = {"add_special_tokens": False} if self._is_transformers else {}
        return self._ids("encode", self._asked("encode", text, fails=PromptError, **options))

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        known = [i for i in map(int, ids) if i >= 0 and (self._size is None or i < self._size)]
        options: dict[str, Any] = {}
        if self._is_transformers:
            options = {"skip_special_tokens": skip_special, "clean_up_tokenization_spaces": False}
        elif skip_special:
            known = [i for i in known if i not in self.special_ids]
        text = self._asked("decode", known, **options)
        if not isinstance(text, str):
            raise self._unfit("decode", text, "a string")
        return text

    def decodable(self, vocab_size: int) -> Tensor:
        size = vocab_size if self._size is None else self._size
        return torch.arange(vocab_size) < size

    def token_to_id(self, token: str) -> int | None:
        for name in ("convert_tokens_to_ids", "token_to_id"):
            if hasattr(self._obj, name):
                found = self._asked(name, token)
                return None if found is None else self._ids(name, [found])[0]
        return None

    def id_to_token(self, token_id: int) -> str | None:
        for name in ("convert_ids_to_tokens", "id_to_token"):
            if hasattr(self._obj, name):
                found = self._asked(name, token_id)
                if isinstance(found, bytes):  # as some byte-level vocabularies give them
                    return found.decode("utf-8", "replace")
                if found is None or isinstance(found, str):
                    return found
                raise self._unfit(name, found, "a string, or None")
        return None

    def token_bytes(self, token_id: int) -> bytes | None:
        if token_id in self.special_ids or token_id < 0 or (self._size is not None and token_id >= self._size):
            return None
        text = self.decode([token_id])
        return None if "\ufffd" in text else text.encode("utf-8")

    def apply_chat_template(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        if not self._renders_itself:
            return super().apply_chat_template(messages, add_generation_prompt)
        turns = checked(messages, None)
        if add_generation_prompt and turns[-1]["role"] == "assistant" and self._continues_itself:
            return self._ask(turns, add_generation_prompt=False, continue_final_message=True)
        return rendered(turns, self._render, None, add_generation_prompt=add_generation_prompt)

    @property
    def _renders_itself(self) -> bool:
        """Whether the object has a way of its own; transformers' is ours, but for the bounds."""
        own = getattr(type(self._obj), "apply_chat_template", None)
        return own is not None and getattr(own, "__qualname__", "") != "PreTrainedTokenizerBase.apply_chat_template"

    @property
    def _continues_itself(self) -> bool:
        """Whether it can be told that a turn goes on; some then take what they refuse else."""
        try:
            return "continue_final_message" in inspect.signature(self._obj.apply_chat_template).parameters
        except (TypeError, ValueError):  # it has no signature
            return False

    def _render(self, turns: list[Turn], add_generation_prompt: bool) -> str:
        if not self._renders_itself:
            return super()._render(turns, add_generation_prompt)
        return self._ask(turns, add_generation_prompt=add_generation_prompt)

    def _ask(self, turns: list[Turn], **options: bool) -> str:
        try:
            return str(self._obj.apply_chat_template(turns, tokenize=False, **options))
        except Exception as error:  # code from outside: it may raise anything
            raise PromptError(f"the tokenizer's apply_chat_template refuses these messages: {error}") from error

    def _asked(self, method: str, argument: Any, *, fails: type[DllmError] = ModelError, **options: Any) -> Any:
        """What a method of the object gives for an argument."""
        call: Callable[..., Any] = getattr(self._obj, method)
        try:
            return call(argument, **options)
        except DllmError:
            raise
        except Exception as error:  # somebody else's code
            raise fails(
                f"{self._name}.{method} fails on {argument!r:.80} ({type(error).__name__}: {said(error)})"
            ) from error

    def _ids(self, what: str, given: Any) -> list[int]:
        """Ids as a list; numpy's and torch's integers too."""
        legal = "a sequence of token ids: integers of at least 0, not nested"
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise self._unfit(what, given, legal)
        try:
            ids = [index(token) for token in given]
        except TypeError:
            raise self._unfit(what, given, legal) from None
        if any(token < 0 for token in ids):
            raise self._unfit(what, given, legal)
        return ids

    def _unfit(self, what: str, given: Any, legal: str) -> ModelError:
        came = f"{type(given).__name__} {given!r:.80}"
        return ModelError(f"the tokenizer {self._name} gives for {what} {came}; it must be {legal}")

    @property
    def _name(self) -> str:
        return type(self._obj).__name__
