"""Text to ids and back, without remote code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tokenizers

from dllm.errors import ModelError
from dllm.hub import TOKENIZER_FILES, resolve_folder
from dllm.tokenizer.chat import Message, template_of
from dllm.tokenizer.files import has_tokenizer
from dllm.tokenizer.foreign import ForeignTokenizer
from dllm.tokenizer.native import Tokenizer


def tokenizer_of(folder: str | os.PathLike[str], default_template: str | None) -> Tokenizer | None:
    """The tokenizer in a checkpoint's folder, or None if it has none; the template serves where the files lack one."""
    path = Path(folder)
    return Tokenizer.from_folder(path, default_template=default_template) if has_tokenizer(path) else None


def as_tokenizer(obj: Any, default_template: str | None = None) -> Tokenizer:
    """Make a `Tokenizer` of what users have.

    Args:
        obj: a `Tokenizer`; a folder, `"tiny"` or a Hub id; a `tokenizers.Tokenizer`; a transformers tokenizer; or
            any object with `encode(text)` and `decode(ids)`.
        default_template: chat template where a folder has none.

    Raises:
        ModelError: none of these.
    """
    if isinstance(obj, Tokenizer):
        return obj
    if isinstance(obj, str | os.PathLike):
        return Tokenizer.from_folder(resolve_folder(obj, files=TOKENIZER_FILES), default_template=default_template)
    if isinstance(obj, tokenizers.Tokenizer):
        return Tokenizer(obj)
    core = getattr(obj, "backend_tokenizer", None)
    if isinstance(core, tokenizers.Tokenizer):
        names = {name: str(text) for name, text in obj.special_tokens_map.items() if isinstance(text, str)}
        template = template_of(obj.chat_template, "the tokenizer's chat_template")
        return Tokenizer(core, chat_template=template, named=names)
    missing = [name for name in ("encode", "decode") if not callable(getattr(obj, name, None))]
    if missing:
        raise ModelError(
            f"{type(obj).__name__} cannot serve as a tokenizer: it lacks {' and '.join(missing)}; give a folder, a "
            "tokenizers.Tokenizer, a transformers tokenizer, or an object with encode(text) and decode(ids)"
        )
    return ForeignTokenizer(obj)


__all__ = ["Message", "Tokenizer", "as_tokenizer", "tokenizer_of"]
