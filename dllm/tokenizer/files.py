"""Reading a tokenizer folder: added tokens, named tokens, chat template, and the tokenizer itself.

Kept apart from `native.py` because loading a model needs the token names without building a tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from dllm.errors import ModelError
from dllm.hub import read_json, read_json_if_present
from dllm.tokenizer.chat import template_of

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where Qwen2's and Dream's tokenizers cut a text before BPE: contractions, words, single digits, the rest."""

_NAMED = ("bos_token", "eos_token", "pad_token", "mask_token", "unk_token", "sep_token", "cls_token")
_FLAGS: tuple[str, ...] = ("lstrip", "rstrip", "single_word", "normalized")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token recognised as a whole wherever it stands in a text.

    Attributes:
        id: its id.
        special: left out by `decode(skip_special=True)`.
        flags: the matching options `lstrip`, `rstrip`, `single_word`, `normalized`, as the files give them.
    """

    id: int
    special: bool
    flags: Mapping[str, bool]


def added_tokens(folder: Path) -> dict[str, AddedToken]:
    """Text -> added token, from `tokenizer.json`, `tokenizer_config.json` and `added_tokens.json`; {} without them."""
    named = set(named_tokens(folder).values()) | set(_additional(folder))
    tokens: dict[str, AddedToken] = {}
    for token_id, entry in _entries(folder):
        text = entry["content"]
        flags = {key: bool(entry[key]) for key in _FLAGS if key in entry}
        tokens.setdefault(text, AddedToken(token_id, bool(entry.get("special", text in named)), flags))
    return tokens


def _entries(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for entry in read_json_if_present(folder / "tokenizer.json").get("added_tokens") or []:
            yield int(entry["id"]), dict(entry)
        decoder = read_json_if_present(folder / "tokenizer_config.json").get("added_tokens_decoder") or {}
        for key, entry in decoder.items():
            yield int(key), {"content": entry} if isinstance(entry, str) else dict(entry)
        for text, token_id in read_json_if_present(folder / "added_tokens.json").items():
            yield int(token_id), {"content": text}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{folder}: the added tokens of the tokenizer files are not readable ({error!r})") from error


def named_tokens(folder: Path) -> dict[str, str]:
    """`bos_token`, `eos_token`, `mask_token`, ... -> text, as far as the folder names them."""
    names: dict[str, str] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        values = read_json_if_present(folder / file)
        names |= {name: text for name in _NAMED if (text := _content(values.get(name)))}
    return names


def _additional(folder: Path) -> list[str]:
    files = ("special_tokens_map.json", "tokenizer_config.json")
    listed = [read_json_if_present(folder / file).get("additional_special_tokens") or [] for file in files]
    return [text for entries in listed for entry in entries if (text := _content(entry))]


def _content(value: Any) -> str | None:
    """A token given as a string or as a serialised AddedToken."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else None


def chat_template(folder: Path) -> str | None:
    """The folder's Jinja chat template: `chat_template.jinja`, else the default one of `tokenizer_config.json`."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    value = read_json_if_present(folder / "tokenizer_config.json").get("chat_template")
    return template_of(value, f"{folder}: chat_template in tokenizer_config.json")


def has_tokenizer(folder: Path) -> bool:
    """Whether `build_core` can do something with the folder."""
    return (folder / "tokenizer.json").is_file() or _slow_files(folder)


def _slow_files(folder: Path) -> bool:
    return (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()


def build_core(folder: Path) -> tokenizers.Tokenizer:
    """The folder's tokenizer: `tokenizer.json`, else byte-level BPE from `vocab.json` and `merges.txt`.

    Raises:
        ModelError: there is neither, a file is broken, or an added token cannot get the id the files give it.
    """
    added = added_tokens(folder)
    try:
        if (folder / "tokenizer.json").is_file():
            core = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        elif _slow_files(folder):
            core = _byte_level_bpe(folder, {text: token.id for text, token in added.items()})
        else:
            raise ModelError(f"{folder}: no tokenizer; expected tokenizer.json, or vocab.json with merges.txt")
    except ModelError:
        raise
    except Exception as error:  # the library raises bare Exception for every kind of bad file
        raise ModelError(f"{folder}: the tokenizer files cannot be read ({error})") from error
    _add(core, added, folder)
    core.no_truncation()
    core.no_padding()
    return core


def _byte_level_bpe(folder: Path, added: Mapping[str, int]) -> tokenizers.Tokenizer:
    """What Qwen2's slow tokenizer and Dream's do: NFC, single digits, byte-level BPE."""
    merges = [
        (left, right)
        for number, line in enumerate((folder / "merges.txt").read_text(encoding="utf-8").split("\n"))
        if line and not (number == 0 and line.startswith("#version"))
        for left, right in [line.split(" ")]
    ]
    # Added tokens go into the vocabulary too: added afterwards, they could not keep ids that leave holes.
    core = tokenizers.Tokenizer(models.BPE({**read_json(folder / "vocab.json"), **added}, merges))
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    return core


def _add(core: tokenizers.Tokenizer, added: Mapping[str, AddedToken], folder: Path) -> None:
    """Make `core` recognise the tokens it does not yet, in the order of their ids."""
    known = {token.content for token in core.get_added_tokens_decoder().values()}
    for text, token in sorted(added.items(), key=lambda item: item[1].id):
        if text not in known:
            core.add_tokens([tokenizers.AddedToken(text, special=token.special, **token.flags)])
        if core.token_to_id(text) != token.id:
            raise ModelError(
                f"{folder}: the files give {text!r} the id {token.id}, the tokenizer {core.token_to_id(text)}; "
                "tokenizer.json and the other tokenizer files are of different versions"
            )
